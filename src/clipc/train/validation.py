"""The figure by which checkpoints, and mixtures of weights, are chosen."""

import torch

from clipc.catalog import Catalog
from clipc.evaluate.embed import embed
from clipc.evaluate.retrieval import retrieval
from clipc.train.model import ClipModel

CHOSEN_BY = "mean_recall"
"""The name of that figure among those that :func:`validate` gives."""


def validate(model: ClipModel, catalog: Catalog, precision: torch.dtype) -> dict[str, float]:
    """The recalls of a model on a catalog, and their mean, by which checkpoints are chosen."""
    model.eval()
    with torch.autocast(model.device.type, precision, enabled=precision != torch.float32):
        found = embed(model, catalog)
    metrics = retrieval(found.image, found.text, found.owner).metrics()
    return {name: value for name, value in metrics.items() if "recall" in name}
