"""What a user has without any of this: linear probes on the features of the towers that trials start from."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from clipc.catalog.catalog import Catalog
from clipc.evaluate.classes import ClassTask
from clipc.evaluate.probe import probe
from clipc.evaluate.statistics.interval import t_interval
from clipc.models.device import choose_device
from clipc.prepare.kept_features import KeptFeatures
from clipc.prepare.new_model import new_model, tokenizer_for
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.study.checks import trains_from_scratch


def untrained_probes(recipe: Recipe, catalog: Catalog, progress: Progress = silent) -> list[dict[str, Any]]:
    """Fits a linear probe on the start's image features for each label column, with all training labels.

    Args:
        recipe: The recipe of the baseline.
        catalog: The data that the trials train and are tested on.
        progress: Receives the number of features computed.

    Returns:
        Rows of ``kind`` (``probe``), ``metric`` (the name of the trained models' metric), ``column``, ``model``,
        ``mean``, ``low`` and ``high`` (the 95% interval over test images), ``n`` and ``chance``. Empty without labels,
        and where trials start from random weights.
    """
    rows: list[dict[str, Any]] = []
    for column, task in _tasks(recipe, catalog, progress):
        accuracy = t_interval(_hits(task))
        interval = {"low": max(0.0, accuracy.low), "high": min(1.0, accuracy.high), "n": accuracy.n}
        name = {"kind": "probe", "metric": f"probe/{column}/all/top1", "column": column, "model": recipe.model}
        rows.append({**name, "mean": accuracy.mean, **interval, "chance": 1 / len(task.names)})
    return rows


def untrained_hits(
    recipe: Recipe, catalog: Catalog, column: str, progress: Progress = silent
) -> dict[str, list[int]] | None:
    """The same probe on one label column: ``hits`` (0 or 1) and ``labels`` of the labelled test images, in their order.

    None where :func:`untrained_probes` has no row for the column.
    """
    for name, task in _tasks(recipe, catalog, progress):
        if name == column:
            labels = task.labelled("test").labels
            return {"hits": [int(hit) for hit in _hits(task)], "labels": [int(label) for label in labels]}
    return None


def _tasks(recipe: Recipe, catalog: Catalog, progress: Progress) -> Iterator[tuple[str, ClassTask]]:
    """The label columns that a probe can be fitted on, with the start's features."""
    if not catalog.about.label_columns or trains_from_scratch(recipe):
        return
    model = new_model(recipe, tokenizer_for(recipe, catalog)).to(choose_device(recipe.device))
    kept = KeptFeatures(model.eval(), recipe.data.cache, progress)

    @cache
    def features(split: str) -> torch.Tensor:
        values, rows = kept.whole_images(catalog.split(split))
        return torch.from_numpy(values[rows].astype(np.float32))

    for column in catalog.about.label_columns:
        task = ClassTask.from_catalog(catalog, column, catalog.about.class_names.get(column, {}), features)
        if not task.problem("test") and len(np.unique(task.labelled("train", measured="test").labels)) > 1:
            yield column, task


def _hits(task: ClassTask) -> npt.NDArray[np.float64]:
    train, val = task.labelled("train", measured="test"), task.labelled("val", measured="test")
    return probe(train, val, task.labelled("test"), shots=()).hits["all"]
