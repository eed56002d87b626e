"""A label column as a classification task: its classes, their readable names, and the labelled images of each split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from clipc.catalog.catalog import Catalog
from clipc.catalog.classes import class_order


class Labelled(NamedTuple):
    """Features of N images with their classes.

    Attributes:
        features: float32 (N, D).
        labels: The class of each image as an index into ``ClassTask.names``, ``int64`` (N,).
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassTask:
    """The classification task that one label column defines.

    Attributes:
        column: The column's name.
        names: The readable names of the C classes, in the order of the labels (see
            :func:`~clipc.catalog.classes.class_order`).
        class_ids: For each split the class of each image, ``int64`` (N,), an index into ``names``; -1 without a label.
        image_features: Returns the features of a split's images, float32 (N, D) on the CPU; called only if they are
            needed.
    """

    column: str
    names: list[str]
    class_ids: dict[str, npt.NDArray[np.int64]]
    image_features: Callable[[str], Tensor]

    @classmethod
    def from_catalog(
        cls, catalog: Catalog, column: str, readable_names: Mapping[str, str], image_features: Callable[[str], Tensor]
    ) -> "ClassTask":
        """The task of a catalog's label column.

        Args:
            catalog: The catalog with all splits.
            column: The label column.
            readable_names: The names of labels; by default the name is the label with spaces for underscores.
            image_features: Returns the features of a split's images, as in the attributes.
        """
        values = {split: [_label(value) for value in catalog.split(split).column(column)] for split in catalog.splits}
        labels = class_order(label for row_labels in values.values() for label in row_labels if label is not None)
        ids: dict[str | None, int] = {label: i for i, label in enumerate(labels)}
        return cls(
            column,
            [readable_names.get(label, label.replace("_", " ")) for label in labels],
            {
                split: np.asarray([ids.get(label, -1) for label in split_labels])
                for split, split_labels in values.items()
            },
            image_features,
        )

    def problem(self, split: str) -> str | None:
        """The reason why nothing can be measured on a split; None if it can."""
        if len(self.names) < 2:
            return f"the column {self.column!r} has fewer than two classes"
        if not (self.class_ids[split] >= 0).any():
            return f"no image of the {split} split has a label in the column {self.column!r}"
        return None

    def labelled(self, split: str, *, measured: str | None = None) -> Labelled:
        """The labelled images of a split.

        Args:
            split: The split.
            measured: The split under measurement: asking for it returns no images, so that nothing is chosen or learnt
                on the images that are measured.

        Returns:
            The features and classes. Without such a split or labelled images, the features have the shape (0, 0).
        """
        class_ids = self.class_ids.get(split, np.empty(0, dtype=np.int64))
        rows = np.flatnonzero(class_ids >= 0)
        if len(rows) == 0 or split == measured:
            return Labelled(np.empty((0, 0), dtype=np.float32), class_ids[:0])
        return Labelled(self.image_features(split).numpy()[rows], class_ids[rows])


def _label(value: Any) -> str | None:
    """A label as text; None for an empty value, or a list or mapping."""
    return None if value is None or value == "" or isinstance(value, (list, dict)) else str(value)
