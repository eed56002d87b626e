"""Validation metrics, by which checkpoints and interpolated weights are selected."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.catalog import Catalog
from clipc.evaluate.embed import embed, evaluation_views
from clipc.evaluate.retrieval import retrieval
from clipc.files import cores
from clipc.models.model import ClipModel
from clipc.render.evaluation_view import Resizing
from clipc.render.free_memory import free_memory

SELECTION_METRIC = "mean_recall"
"""The metric of :func:`validate` by which models are selected."""

_SHARE_OF_RAM: Final = 0.25
"""Share of free memory for cached images, over all runs on the machine: one a core at most."""

Views = npt.NDArray[np.uint8]


class Validation:
    """The pairs of a run's validation; their images are decoded once where memory allows.

    Attributes:
        catalog: The pairs.
    """

    def __init__(self, catalog: Catalog) -> None:
        """Decodes nothing yet.

        Args:
            catalog: The pairs, one or more.
        """
        self.catalog = catalog
        self._cache: dict[tuple[int, Resizing], Views] = {}

    def views(self, size: int, resizing: Resizing) -> Iterable[Views]:
        """The evaluation views of the images, in order, ``uint8`` (S, S, 3) each; see :func:`evaluation_views`."""
        if (cached := self._cache.get((size, resizing))) is not None:
            return cached
        limit = _SHARE_OF_RAM / cores() * (free_memory(torch.device("cpu")) or 0)
        views = evaluation_views(self.catalog, size, resizing)
        return self._caching(views, size, resizing) if 3 * size**2 * len(self.catalog) <= limit else views

    def _caching(self, views: Iterable[Views], size: int, resizing: Resizing) -> Iterator[Views]:
        cached = np.empty((len(self.catalog), size, size, 3), np.uint8)
        for row, view in enumerate(views):
            cached[row] = view
            yield view
        self._cache[size, resizing] = cached


def validate(model: ClipModel, validation: Validation, precision: torch.dtype) -> dict[str, float]:
    """The recalls of a model on validation pairs, and their mean."""
    model.eval()
    views = validation.views(model.image_size, model.resizing)
    with torch.autocast(model.device.type, precision, enabled=precision != torch.float32):
        embeddings = embed(model, validation.catalog, views=views)
    recalls = retrieval(embeddings.image, embeddings.text, embeddings.owner).items()
    return {name: float(values.mean()) for name, values in recalls.items()}
