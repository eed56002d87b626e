"""The catalog: a table with one row an image-caption pair, Arrow on disk, memory-mapped."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clipc.catalog.images.decode import decode
from clipc.errors import UserError, unknown_name

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("captions", pa.list_(pa.string()), nullable=False),
        pa.field("label", pa.string()),
        pa.field("split", pa.string()),
        pa.field("file", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("content", pa.uint64(), nullable=False),
    ]
)
"""The columns every catalog has; a source's own metadata columns follow them.

``key`` is unique. ``captions`` holds at least one caption with a word in it. ``file`` is relative to
the catalog's root and the encoded image is its bytes ``[offset, offset + size)``. ``width`` and
``height`` are in pixels as shown, that is after EXIF rotation. ``content`` is a 64-bit hash of the
encoded image, so that equal images can be found without decoding them. Catalogs that :func:`clipc.catalog.open_catalog`
makes also have ``dhash`` (``uint64``): a difference hash that near-identical images share, null where the
image was not decoded or has none (see :func:`~clipc.catalog.images.inspect_images.difference_hash`).
"""

REJECTS = pa.schema([("file", pa.string()), ("row", pa.int64()), ("key", pa.string()), ("reason", pa.string())])
"""What could not be read: the file, the row or record in it (from 1; null where there is none), the key, and why."""


@dataclass(frozen=True)
class About:
    """What describes a catalog as a whole.

    Attributes:
        name: A short name for reports, usually the folder's or the file's.
        generated: Whether the images were drawn by a program; every report states it.
        notes: What a reader should know of how the source was read, such as ``"read as CP932"``.
        warnings: What the user should check before trusting the data; commands print them, and pages show them.
        label_columns: The columns that hold class labels, the main one first.
        class_names: For a label column, the readable name of each label.
        splits_made: Whether clipc made a split that the source does not name.
        class_captions: Whether all captions were made from class names.
        intensity: For a type of samples the values shown as black and as white, where the set is scaled as one.
    """

    name: str
    generated: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    class_names: dict[str, dict[str, str]] = field(default_factory=dict)
    splits_made: bool = False
    class_captions: bool = False
    intensity: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Catalog:
    """Image-caption pairs as a table; images are read and decoded one by one, on demand.

    Attributes:
        table: One row a pair, with the columns of :data:`SCHEMA` and the source's own after them.
        root: The folder that ``file`` is relative to; nothing outside it is ever read.
        fingerprint: A hash of the pairs' contents, not of where they are stored: equal data, equal hash.
        about: Name, notes, label columns and class names.
        rejects: What could not be read, with the columns of :data:`REJECTS`.
        rejects_file: The same as a CSV file for people, where there are any and a cache could be written.
    """

    table: pa.Table
    root: Path
    fingerprint: str
    about: About
    rejects: pa.Table = field(default_factory=REJECTS.empty_table)
    rejects_file: Path | None = None

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def _places(self) -> tuple[pa.ChunkedArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return self.table["file"], self.table["offset"].to_numpy(), self.table["size"].to_numpy()

    @cached_property
    def _handles(self) -> "_Handles | None":
        """Files that stay open: a few tars, but never a file an image, of which there may be millions."""
        return _Handles(self.root) if len(self.table["file"].unique()) <= 256 else None

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: open files and cached values are not sent to worker processes."""
        return {field.name: self.__dict__[field.name] for field in fields(self)}

    @cached_property
    def keys(self) -> list[str]:
        """The pairs' keys, in order."""
        return self.column("key")

    @cached_property
    def caption_counts(self) -> npt.NDArray[np.int64]:
        """How many captions each pair has, shape (n,)."""
        kernels: Any = pc  # its functions are generated at run time, which type checkers cannot see
        return kernels.list_value_length(self.table["captions"]).to_numpy().astype(np.int64)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int32]:
        """Width and height of each image in pixels as shown, shape (n, 2)."""
        return np.stack([self.table["width"].to_numpy(), self.table["height"].to_numpy()], axis=1)

    @cached_property
    def image_ids(self) -> npt.NDArray[np.int64]:
        """For each pair the first row that has its image, byte for byte: equal images have equal numbers; (n,)."""
        return first_rows(self.table["content"].to_numpy())

    @cached_property
    def caption_ids(self) -> npt.NDArray[np.int32]:
        """A number from 0 for each caption, pair by pair: equal captions have equal numbers; shape (captions,)."""
        kernels: Any = pc  # its functions are generated at run time, which type checkers cannot see
        encoded = kernels.list_flatten(self.table["captions"]).dictionary_encode()
        return np.concatenate([np.zeros(0, dtype=np.int32), *(chunk.indices.to_numpy() for chunk in encoded.chunks)])

    def captions(self, row: int) -> list[str]:
        """All captions of one pair."""
        return self.table["captions"][row].as_py()

    def caption(self, row: int, choice: int) -> str:
        """One caption of one pair."""
        return self._captions[row].values[choice].as_py()

    @cached_property
    def _captions(self) -> pa.ChunkedArray:
        return self.table["captions"]  # Looking up the column takes as long as reading the caption.

    def encoded(self, row: int) -> bytes:
        """The encoded image of one pair, as it is stored in the source.

        Raises:
            OSError: The file is missing or was shortened since the catalog was made.
        """
        files, offsets, sizes = self._places
        name = files[row].as_py()
        handles = self._handles  # A reference of this thread's own: another thread may replace the property's value.
        handle = _open(self.root, name) if handles is None else handles[name]
        try:
            data = os.pread(handle, int(sizes[row]), int(offsets[row]))
        finally:
            if handles is None:
                os.close(handle)
        if len(data) != sizes[row]:
            raise OSError(f"{self.root / name} is shorter than when it was indexed")
        return data

    def image(self, row: int, at_least: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """The decoded image of one pair: RGB ``uint8`` of shape (height, width, 3), as shown.

        Args:
            row: The pair.
            at_least: A sufficient width and height, as for :func:`clipc.catalog.images.decode.decode`.

        Raises:
            OSError: The file cannot be read.
            DecodeError: The bytes cannot be decoded as an image.
        """
        return decode(self.encoded(row), at_least, self.about.intensity)

    def column(self, name: str) -> list[Any]:
        """One column as Python values.

        Raises:
            UserError: There is no such column.
        """
        if name not in self.table.column_names:
            raise unknown_name("column", name, self.table.column_names)
        return self.table[name].to_pylist()

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> "Catalog":
        """The catalog of these rows, in this order."""
        index = np.asarray(rows, dtype=np.int64)
        fingerprint = hashlib.blake2b(index.tobytes(), key=self.fingerprint.encode(), digest_size=8).hexdigest()
        table: pa.Table = self.table.take(pa.array(index))  # pyright: ignore[reportArgumentType]
        return replace(self, table=table, fingerprint=fingerprint)

    @cached_property
    def splits(self) -> dict[str, int]:
        """The number of pairs in each split; pairs without one count as ``"train"``."""
        names, counts = np.unique(self.split_names, return_counts=True)
        return {str(n): int(c) for n, c in zip(names, counts, strict=True)}

    @cached_property
    def split_names(self) -> npt.NDArray[np.str_]:
        """The split of each pair, shape (n,); pairs without one are ``"train"``."""
        return np.asarray([name or "train" for name in self.column("split")], dtype=np.str_)

    def split(self, name: str) -> "Catalog":
        """The pairs of one split (``train``, ``val`` or ``test``); pairs without a split are ``train``.

        Raises:
            UserError: The catalog has no such split.
        """
        if name not in self.splits:
            raise unknown_name("split", name, self.splits)
        return self.take(np.flatnonzero(self.split_names == name))


def first_rows(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """The index of each value's first occurrence: equal values have equal indices.

    Args:
        values: Shape (n,).

    Returns:
        Shape (n,).
    """
    _, first, number = np.unique(values, return_index=True, return_inverse=True)
    return first.astype(np.int64)[number]


class _Handles(dict[str, int]):
    """Files below a root by name, opened when first asked for; closed with the catalog that opened them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __missing__(self, name: str) -> int:
        handle = _open(self._root, name)
        if (first := self.setdefault(name, handle)) != handle:  # another thread was faster
            os.close(handle)
        return first

    def __del__(self) -> None:
        for handle in self.values():
            os.close(handle)


def _open(root: Path, name: str) -> int:
    return os.open(inside(root, name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def inside(root: Path, name: str) -> Path:
    """The file ``name`` below ``root``, links resolved.

    Raises:
        UserError: The name leads out of the root (``..``, an absolute path, a link).
    """
    path = Path(os.path.realpath(root / name))  # unlike Path.resolve also of links in a circle
    if not path.is_relative_to(os.path.realpath(root)):
        raise UserError(f"{name!r} leads out of {root}; images must lie below the source's folder.")
    return path


def fingerprint(table: pa.Table, intensity: Mapping[str, Sequence[float]] | None = None) -> str:
    """A hash of the pairs in a table: keys, captions, labels, splits, image contents, and the source's own metadata.

    Metadata are included because rules, groups, regions and probes depend on them. The ``intensity`` of a set that is
    scaled as one is included as well.
    """
    digest = hashlib.blake2b(digest_size=8)
    for batch in table.select(["key", "captions", "label", "split", "content"]).to_batches(max_chunksize=65536):
        rows: Iterable[Any] = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        for row in rows:
            digest.update(json.dumps(row, ensure_ascii=False).encode())
    for name in sorted({*table.column_names} - {*SCHEMA.names, "dhash"}):
        digest.update(json.dumps([name, str(table.schema.field(name).type)]).encode())
        # Slices of one length, so that the hash does not depend on the table's chunks.
        for start in range(0, table.num_rows, 65536):
            digest.update(_column_bytes(table[name].slice(start, 65536).combine_chunks()))
    if intensity:
        digest.update(json.dumps(["intensity", dict(intensity)], sort_keys=True).encode())
    return digest.hexdigest()


def _column_bytes(values: Any) -> bytes:
    """The bytes of a part of a column; vectors are converted without a Python object for each number."""
    kind: Any = values.type
    if pa.types.is_list(kind) and pa.types.is_floating(kind.value_type):
        lengths = values.value_lengths().fill_null(-1).to_numpy()
        return lengths.tobytes() + values.flatten().to_numpy(zero_copy_only=False).tobytes()
    return json.dumps(values.to_pylist(), ensure_ascii=False, default=str).encode()
