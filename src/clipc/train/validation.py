"""Validation metrics, by which checkpoints and interpolated weights are selected."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.catalog.catalog import Catalog
from clipc.evaluate.embed import CatalogEncoder, embed, evaluation_views
from clipc.evaluate.retrieval import retrieval
from clipc.files import cores
from clipc.models.model import ClipModel
from clipc.render.evaluation_view import Resizing
from clipc.render.free_memory import free_memory

SELECTION_METRIC = "mean_recall"
"""The metric of :func:`validate` by which models are selected."""

_SHARE_OF_RAM: Final = 0.25
"""The share of free memory for the cached images of all runs on the machine; each core runs at most one."""

Views = npt.NDArray[np.uint8]


class Validation:
    """The validation pairs of a run; their images are decoded only once if they fit in memory.

    Attributes:
        catalog: The pairs.
        encoder: Makes the encoder of a model, if that is not the model itself: on kept features images are not decoded.
    """

    def __init__(self, catalog: Catalog, encoder: Callable[[ClipModel], CatalogEncoder] | None = None) -> None:
        """Stores the pairs; images are decoded at the first validation.

        Args:
            catalog: The pairs, one or more.
            encoder: As the attribute.
        """
        self.catalog, self.encoder = catalog, encoder
        self._cache: dict[tuple[int, Resizing], Views] = {}

    def views(self, size: int, resizing: Resizing) -> Iterable[Views]:
        """The images as the model takes them, in order, ``uint8`` (S, S, 3) each; see :func:`evaluation_views`."""
        if (cached := self._cache.get((size, resizing))) is not None:
            return cached
        limit = _SHARE_OF_RAM / cores() * (free_memory(torch.device("cpu")) or 0)
        views = evaluation_views(self.catalog, size, resizing)
        return self._cache_views(views, size, resizing) if 3 * size**2 * len(self.catalog) <= limit else views

    def _cache_views(self, views: Iterable[Views], size: int, resizing: Resizing) -> Iterator[Views]:
        cached = np.empty((len(self.catalog), size, size, 3), np.uint8)
        for row, view in enumerate(views):
            cached[row] = view
            yield view
        self._cache[size, resizing] = cached


def validate(model: ClipModel, validation: Validation, precision: torch.dtype) -> dict[str, float]:
    """The six recalls of :meth:`Retrieval.items` on validation pairs, in [0, 1], and their mean as ``mean_recall``."""
    model.eval()
    if validation.encoder is None:
        encoder, views = model, validation.views(model.image_size, model.resizing)
    else:
        encoder, views = validation.encoder(model), None
    with torch.autocast(model.device.type, precision, enabled=precision != torch.float32):
        embeddings = embed(encoder, validation.catalog, views=views)
    recalls = retrieval(embeddings.image, embeddings.text, embeddings.owner).items()
    return {name: float(values.mean()) for name, values in recalls.items()}
