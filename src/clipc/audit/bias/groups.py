"""Differences between groups in what a model can do: retrieval and zero-shot classification, group by group."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np

from clipc.audit.bias.mentions import Mentions
from clipc.compose.arrays import Float64s, Int64s
from clipc.errors import UserError
from clipc.evaluate.measurement import Measurement
from clipc.evaluate.statistics.benjamini_hochberg import benjamini_hochberg
from clipc.installation import install_command

MIN_IMAGES: Final = 20
"""Groups with fewer images are flagged and not tested."""


def exclusive_groups(mentions: Mentions) -> Int64s:
    """The group of each pair that shows exactly one, ``int64``, shape (pairs,); -1 for none or several."""
    single = mentions.present.sum(axis=1) == 1
    return np.where(single, mentions.present.argmax(axis=1), -1).astype(np.int64)


def group_gaps(
    measurements: Mapping[str, Measurement], groups: Int64s, names: Sequence[str], rate: float
) -> list[dict[str, Any]]:
    """For each metric its value in each group, and the largest gap between two groups.

    Values come from fairlearn's ``MetricFrame``. A group's difference from all other groups has Welch's t interval over
    images; the captions of an image are averaged first.

    Args:
        measurements: Metrics with values of items; items belong to images by their ``owner``, or are images.
        groups: The group of each image, -1 for none, shape (images,).
        names: The names of the groups.
        rate: The rate of false discoveries, over all metrics and groups of this call.

    Returns:
        For each metric ``metric``, ``gap`` and ``groups``: ``name``, ``images``, ``value``, ``difference``, ``low``,
        ``high``, ``p``, ``q``, ``few`` and ``found``.

    Raises:
        UserError: fairlearn is not installed.
    """
    frame_type = metric_frame()
    tables: list[dict[str, Any]] = []
    for metric, measured in measurements.items():
        if measured.values is None:
            continue
        owner = np.arange(len(measured.values)) if measured.owner is None else measured.owner
        item_group = groups[owner]
        kept = item_group >= 0
        if len(np.unique(item_group[kept])) < 2:
            continue
        values = np.asarray(measured.values[kept], dtype=np.float64)
        frame: Any = frame_type(
            metrics=_mean, y_true=np.ones(len(values)), y_pred=values, sensitive_features=item_group[kept]
        )
        images = _image_means(values, owner[kept])
        image_group = groups[np.unique(owner[kept])]
        rows = [
            {"name": names[int(g)], "value": float(frame.by_group[g]), **_difference(images, image_group == g)}
            for g in frame.by_group.index
        ]
        tables.append({"metric": metric, "gap": float(frame.difference()), "groups": rows})
    all_rows = [row for table in tables for row in table["groups"]]
    adjusted = benjamini_hochberg([None if row["few"] else row["p"] for row in all_rows])
    for row, q in zip(all_rows, adjusted, strict=True):
        row |= {"q": q, "found": q is not None and q <= rate}
    return tables


def metric_frame() -> Any:
    """Fairlearn's class ``MetricFrame``.

    Raises:
        UserError: fairlearn is not installed.
    """
    try:
        return import_module("fairlearn.metrics").MetricFrame
    except ImportError:
        raise UserError(f"group gaps of models need fairlearn: {install_command('fairlearn')}") from None


def _mean(_: Any, values: Any) -> float:
    return float(np.mean(values))


def _image_means(values: Float64s, owner: Int64s) -> Float64s:
    _, number = np.unique(owner, return_inverse=True)
    return np.bincount(number, values) / np.bincount(number)


def _difference(values: Float64s, inside: Any) -> dict[str, Any]:
    """The mean of a group's images minus that of all others, with Welch's 95% interval and p value."""
    from scipy.stats import ttest_ind

    one, rest = values[inside], values[~inside]
    few = min(len(one), len(rest)) < MIN_IMAGES
    facts: dict[str, Any] = {"images": len(one), "difference": float(one.mean() - rest.mean()), "few": few}
    if min(len(one), len(rest)) < 2 or (one.var() == 0 and rest.var() == 0):
        return {**facts, "low": None, "high": None, "p": None, "few": True}
    test: Any = ttest_ind(one, rest, equal_var=False)
    interval = test.confidence_interval(0.95)
    return {**facts, "low": float(interval.low), "high": float(interval.high), "p": float(test.pvalue)}
