"""The figure by which checkpoints, and mixtures of weights, are chosen."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.catalog import Catalog
from clipc.catalog.cores import cores
from clipc.evaluate.embed import embed, evaluation_views
from clipc.evaluate.retrieval import retrieval
from clipc.models.model import ClipModel
from clipc.render.evaluation_view import Resizing
from clipc.render.free_memory import free_memory

CHOSEN_BY = "mean_recall"
"""The name of that figure among those that :func:`validate` gives."""

_SHARE_OF_RAM: Final = 0.25
"""How much of what is free kept pictures may take, by all the runs that share a machine: one a core at most."""

Views = npt.NDArray[np.uint8]


class Validation:
    """The pairs that a run is validated on; their pictures are decoded once where there is room to keep them.

    Attributes:
        catalog: The pairs.
    """

    def __init__(self, catalog: Catalog) -> None:
        """Decodes nothing yet.

        Args:
            catalog: The pairs, one or more.
        """
        self.catalog = catalog
        self._kept: dict[tuple[int, Resizing], Views] = {}

    def views(self, size: int, resizing: Resizing) -> Iterable[Views]:
        """The pictures as evaluation shows them, in order, ``uint8`` (S, S, 3) each; see :func:`evaluation_views`."""
        if (kept := self._kept.get((size, resizing))) is not None:
            return kept
        free = free_memory(torch.device("cpu"))
        room = 0 if free is None else _SHARE_OF_RAM / cores() * free
        views = evaluation_views(self.catalog, size, resizing)
        return self._keeping(views, size, resizing) if 3 * size**2 * len(self.catalog) <= room else views

    def _keeping(self, views: Iterable[Views], size: int, resizing: Resizing) -> Iterator[Views]:
        kept = np.empty((len(self.catalog), size, size, 3), np.uint8)
        for row, view in enumerate(views):
            kept[row] = view
            yield view
        self._kept[size, resizing] = kept


def validate(model: ClipModel, validation: Validation, precision: torch.dtype) -> dict[str, float]:
    """The recalls of a model on a run's validation pairs, and their mean, by which checkpoints are chosen."""
    model.eval()
    views = validation.views(model.image_size, model.resizing)
    with torch.autocast(model.device.type, precision, enabled=precision != torch.float32):
        found = embed(model, validation.catalog, views=views)
    metrics = retrieval(found.image, found.text, found.owner).metrics()
    return {name: value for name, value in metrics.items() if "recall" in name}
