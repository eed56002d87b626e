"""Sources of pairs: how they are read, and the rows and rejects that they yield, not checked yet."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Value = bool | int | float | str | npt.NDArray[np.float32] | None
"""A metadata value; a column whose values are of several kinds becomes a column of strings."""

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif",
    ".dcm",
)  # fmt: skip
"""File name endings, in lower case, that mark an image."""

_NAMES_FILE = resources.files("clipc.catalog") / "names.toml"
NAMES: dict[str, dict[str, list[str]]] = tomllib.loads(_NAMES_FILE.read_text("utf-8"))
"""Names in English and Japanese by which ``columns`` and ``splits`` are recognised."""

SPLIT_NAMES = {name: split for split, names in NAMES["splits"].items() for name in names}
"""For every name of a split that is recognised, in lower case, the split: ``train``, ``val`` or ``test``."""


@dataclass(slots=True)
class Row:
    """One pair as read from a source.

    Attributes:
        key: The pair's name; :func:`clipc.catalog.build.build` rejects a second pair with the same key.
        captions: All captions, empty ones included.
        label: The main class label.
        split: The split's name as the source writes it.
        file: The file that holds the encoded image, relative to the source's root, with ``/``.
        offset: The position of the image's first byte in it.
        size: The image's length in bytes, or -1 for the whole file.
        place: The file to name when the row is rejected; ``file`` if empty.
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
    """A row that could not be read, with the columns of :data:`clipc.catalog.catalog.REJECTS`."""

    file: str
    row: int | None
    key: str | None
    reason: str


@dataclass
class SourceInfo:
    """What becomes known about a source while it is read; it goes into the catalog's ``About``.

    Attributes:
        notes: How the source was read, such as ``"read as CP932"``.
        warnings: What the user should check before trusting the data: each says what, where and what to do.
        label_columns: The columns that hold class labels, the main one first.
        guessed_label: The column that was taken for the class label by its name or place alone (``label`` for the
            names of folders and the labels in tars), if the user named none.
        class_names: For a label column, the readable name of each label.
        class_captions: The number of rows whose caption was made from the class name.
    """

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    label_columns: list[str] = field(default_factory=list)
    guessed_label: str | None = None
    class_names: dict[str, dict[str, str]] = field(default_factory=dict)
    class_captions: int = 0


@dataclass(frozen=True)
class Source:
    """A source of pairs, not yet read.

    Attributes:
        root: The folder that the rows' files are relative to; nothing outside it is read.
        name: A short name for reports.
        watched: The files and folders whose change makes a cached catalog stale.
        read: Reads the rows; notes, label columns and class names go into the :class:`SourceInfo`.
        loose: Whether images are stored in files that ``watched`` does not name, so that these are watched as well.
        tabular: Whether it has columns, of which captions can be made.
    """

    root: Path
    name: str
    watched: Sequence[Path]
    read: Callable[[SourceInfo], Iterator[Row | Reject]]
    loose: bool = False
    tabular: bool = False
