"""Checks of classes and splits: their balance, their names, and whether they can be measured."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import MAX_EXAMPLES, Example, Finding, Severity
from clipc.catalog.classes import numeric_class_warning
from clipc.catalog.doubts import variant_warning
from clipc.evaluate.small_split import FEW_PAIRS, PRECISE_PAIRS

_RARE: Final = 10
_IMBALANCE: Final = 20.0
_STRONG_IMBALANCE: Final = 100.0


def splits(data: DoctorData) -> Iterator[Finding]:
    """Splits that are too small to train on (``few-pairs``) or to measure on (``small-test``)."""
    sizes = data.catalog.splits
    train, batch = sizes.get("train", 0), data.recipe.batch_size
    if train < batch:
        yield Finding("few-pairs", "stop", train, len(data.catalog), {"batch": batch})
    split = "test" if "test" in sizes else "val"
    n = sizes.get(split, 0)
    if n < PRECISE_PAIRS:
        severity: Severity = "warning" if n < FEW_PAIRS else "note"
        # The half-width of the 95% interval of a share of one half, in percentage points.
        values = {
            "split": split,
            "points": round(100 * 1.96 * 0.5 / max(1, n) ** 0.5),
            "made": data.catalog.about.splits_made,
        }
        yield Finding("small-test", severity, n, len(data.catalog), values)


def classes(data: DoctorData) -> Iterator[Finding]:
    """The classes of the main label column.

    - ``rare-classes``: classes with fewer than ten training pairs; ``unseen-classes``: with none, but in other splits.
    - ``imbalance``: the largest class has at least twenty times as many training pairs as the smallest of those with
      ten or more.
    - ``numeric-classes`` and ``class-variants`` of all label columns: see :mod:`clipc.catalog`.
    """
    about = data.catalog.about
    for column in about.label_columns:
        labels = list(map(str, data.catalog.table[column].drop_null().unique().to_pylist()))
        for code, sentence in (
            ("numeric-classes", numeric_class_warning(column, labels, about.class_names.get(column, {}))),
            ("class-variants", variant_warning(column, labels)),
        ):
            if sentence is not None:
                examples = [Example((), label) for label in sorted(labels)[:MAX_EXAMPLES]]
                yield Finding(code, "warning", len(labels), len(labels), {"column": column}, examples)
    if not about.label_columns:
        return
    column = about.label_columns[0]
    values = np.asarray(["" if v is None else str(v) for v in data.catalog.column(column)], dtype=object)
    names, number = np.unique(values, return_inverse=True)
    train = np.bincount(number[data.train], minlength=len(names))
    everywhere = np.bincount(number, minlength=len(names))
    real = names != ""
    order = np.argsort(train, kind="stable")
    for code, has in (("unseen-classes", real & (train == 0)), ("rare-classes", real & (train > 0) & (train < _RARE))):
        if has.any():
            chosen = [i for i in order.tolist() if has[i]]
            counts = everywhere if code == "unseen-classes" else train
            examples = [Example((), str(names[i]), count=int(counts[i])) for i in chosen[:MAX_EXAMPLES]]
            severity: Severity = "warning" if code == "unseen-classes" else "note"
            yield Finding(code, severity, len(chosen), int(real.sum()), {"column": column}, examples)
    common = np.flatnonzero(real & (train >= _RARE))
    if len(common) > 1 and train[common].max() >= _IMBALANCE * train[common].min():
        largest, smallest = common[train[common].argmax()], common[train[common].argmin()]
        ratio = float(train[largest] / train[smallest])
        severity = "warning" if ratio >= _STRONG_IMBALANCE else "note"
        details = {
            "column": column,
            "ratio": round(ratio, 1),
            "largest": str(names[largest]),
            "smallest": str(names[smallest]),
            "largest_count": int(train[largest]),
            "smallest_count": int(train[smallest]),
        }
        examples = [Example((), str(names[i]), count=int(train[i])) for i in order[::-1].tolist() if real[i]]
        yield Finding("imbalance", severity, int(train[largest]), int(train.sum()), details, examples[:MAX_EXAMPLES])
