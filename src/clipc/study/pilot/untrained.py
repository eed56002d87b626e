"""What a user has without any of this: linear probes on the features of the towers that trials start from."""

from functools import cache
from typing import Any

import numpy as np
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
        Rows of ``metric`` (the name of the trained models' metric), ``column``, ``model``, ``mean``, ``low`` and
        ``high`` (the 95% interval over test images), ``n`` and ``chance``. Empty without labels, and where trials
        start from random weights.
    """
    if not catalog.about.label_columns or trains_from_scratch(recipe):
        return []
    model = new_model(recipe, tokenizer_for(recipe, catalog)).to(choose_device(recipe.device))
    kept = KeptFeatures(model.eval(), recipe.data.cache, progress)

    @cache
    def features(split: str) -> torch.Tensor:
        values, rows = kept.whole_images(catalog.split(split))
        return torch.from_numpy(values[rows].astype(np.float32))

    rows: list[dict[str, Any]] = []
    for column in catalog.about.label_columns:
        task = ClassTask.from_catalog(catalog, column, catalog.about.class_names.get(column, {}), features)
        if task.problem("test") or len(np.unique((train := task.labelled("train", measured="test")).labels)) < 2:
            continue
        result = probe(train, task.labelled("val", measured="test"), task.labelled("test"), shots=())
        accuracy = t_interval(result.hits["all"])
        interval = {"low": max(0.0, accuracy.low), "high": min(1.0, accuracy.high), "n": accuracy.n}
        name = {"metric": f"probe/{column}/all/top1", "column": column, "model": recipe.model, "mean": accuracy.mean}
        rows.append({**name, **interval, "chance": 1 / len(task.names)})
    return rows
