"""What every source hands over: rows and rejects, one after the other, nothing checked yet."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Value = bool | int | float | str | npt.NDArray[np.float32] | None
"""A metadata value; a column whose values are of several kinds becomes a column of strings."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
"""File name endings, in lower case, that mark an image."""


@dataclass(slots=True)
class Row:
    """One pair as a source found it.

    Attributes:
        key: The pair's name; :func:`clipc.catalog.build.build` refuses the second of a kind.
        captions: All captions, empty ones included.
        label: The main class label.
        split: The split's name in the source's own words.
        file: The file that holds the encoded image, relative to the source's root, with ``/``.
        offset: Where the image begins in it, in bytes.
        size: The image's length in bytes, or -1 for the whole file.
        place: The file to name when the row is rejected; ``file`` where it is empty.
        number: The row or record in that file, from 1.
        more: Metadata.
    """

    key: str
    captions: list[str]
    label: str | None
    split: str | None
    file: str
    offset: int = 0
    size: int = -1
    place: str = ""
    number: int | None = None
    more: dict[str, Value] = field(default_factory=dict)


class Reject(NamedTuple):
    """What could not be read, as in :data:`clipc.catalog.catalog.REJECTS`."""

    file: str
    row: int | None
    key: str | None
    reason: str


@dataclass
class SourceNotes:
    """What a source learns of itself while it is read; it becomes part of the catalog's ``About``."""

    notes: list[str] = field(default_factory=list)
    label_columns: list[str] = field(default_factory=list)
    class_names: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A place where pairs lie, found but not yet read.

    Attributes:
        root: The folder that the rows' files are relative to; nothing outside it is read.
        name: A short name for reports.
        watched: The files and folders whose change makes a cached catalog stale.
        read: Reads the rows, writing what it learns into the given :class:`SourceNotes`.
        loose: Whether the images lie in files that ``watched`` does not name, so that they are watched as well.
    """

    root: Path
    name: str
    watched: Sequence[Path]
    read: Callable[[SourceNotes], Iterator[Row | Reject]]
    loose: bool = False
