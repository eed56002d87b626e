"""A label column as a classification task: its classes, their readable names, and each split's labelled images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from clipc.catalog.catalog import Catalog


class Labelled(NamedTuple):
    """Features of N images with their classes.

    Attributes:
        features: float32 (N, D).
        labels: ``int64`` (N,), the same class for the same number in every split.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassTask:
    """Which class each image of each split has, after one label column.

    Attributes:
        column: The column's name.
        names: The readable name of each class, C of them, in the sorted order of the labels.
        numbers: For each split the class of each image, ``int64`` (N,), -1 without a label.
        images: Gives the features of a split's images, float32 (N, D) on the CPU; asked for only if they are needed.
    """

    column: str
    names: list[str]
    numbers: dict[str, npt.NDArray[np.int64]]
    images: Callable[[str], Tensor]

    @classmethod
    def of(
        cls, catalog: Catalog, column: str, names: Mapping[str, str], images: Callable[[str], Tensor]
    ) -> "ClassTask":
        """The task of a catalog's column; a label without a name is read with spaces for its underscores."""
        values = {split: [_label(value) for value in catalog.split(split).column(column)] for split in catalog.splits}
        labels = sorted({label for part in values.values() for label in part if label is not None})
        number: dict[str | None, int] = {label: i for i, label in enumerate(labels)}
        return cls(
            column,
            [names.get(label, label.replace("_", " ")) for label in labels],
            {split: np.asarray([number.get(label, -1) for label in part]) for split, part in values.items()},
            images,
        )

    def problem(self, split: str) -> str | None:
        """Why nothing can be measured on a split, if that is so."""
        if len(self.names) < 2:
            return f"the column {self.column!r} does not tell two classes apart"
        if not (self.numbers[split] >= 0).any():
            return f"no image of the {split} split has a label in the column {self.column!r}"
        return None

    def part(self, split: str, *, measured: str | None = None) -> Labelled:
        """The labelled images of a split; none where there is no such split.

        Args:
            split: The split.
            measured: The split that is measured, which gives none: nothing may be chosen or learnt on it.
        """
        numbers = self.numbers.get(split, np.empty(0, dtype=np.int64))
        rows = np.flatnonzero(numbers >= 0)
        if len(rows) == 0 or split == measured:
            return Labelled(np.empty((0, 0), dtype=np.float32), numbers[:0])
        return Labelled(self.images(split).numpy()[rows], numbers[rows])


def _label(value: Any) -> str | None:
    """A label as text; None where there is none, or a list of several."""
    return None if value is None or value == "" or isinstance(value, (list, dict)) else str(value)
