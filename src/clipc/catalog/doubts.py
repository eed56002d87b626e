"""What should be checked before a table of pairs is trusted: images in two splits, one class under two names."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.catalog.rows import SourceInfo
from clipc.errors import first_names

_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[\s_\-]+(?=[^\W_])")
_WHOLE = re.compile(r"(-?\d+)\.0+")
_SPLITS = ("train", "val", "test")


def clean_label(label: str) -> str:
    """A label without spaces around it, in Unicode's composed form (NFC): what looks equal is one class."""
    label = label.strip()
    return label if label.isascii() else unicodedata.normalize("NFC", label)


def variant_warning(column: str, labels: Collection[str]) -> str | None:
    """A warning if labels of a column differ only in case, width of letters, separators or a ``.0``; None otherwise."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        plain = unicodedata.normalize("NFKC", _WHOLE.sub(r"\1", label.strip())).casefold()
        groups.setdefault(_BETWEEN_WORDS.sub(" ", plain), []).append(label)
    alike = [group for group in groups.values() if len(group) > 1]
    if not alike:
        return None
    shown = first_names([" / ".join(map(repr, group)) for group in alike])
    return (
        f"classes in the column {column} differ only in the way they are written ({shown}): they count as different "
        "classes, so write each in one way if they are the same"
    )


def tell_of_splits(table: pa.Table, info: SourceInfo) -> None:
    """Warns of images of which equal bytes are in ``train`` and in another split; notes splits with other names."""
    splits: npt.NDArray[np.object_] = np.array(table["split"].fill_null("train").to_pylist(), object)
    names = Counter(splits.tolist())
    content = table["content"].to_numpy()
    trained = content[splits == "train"]
    for name in names:
        if name == "train":
            continue
        (rows,) = np.nonzero((splits == name) & np.isin(content, trained))
        if len(rows):
            info.warnings.append(_leak(table, name, rows.tolist(), names[name]))
    if others := {name: count for name, count in names.items() if name not in _SPLITS}:
        listed = first_names([f"{name} {count:,}" for name, count in others.items()])
        info.notes.append(
            f"pairs of other splits than train, val and test are used only where these are named: {listed}"
        )


def _leak(table: pa.Table, split: str, rows: Sequence[int], size: int) -> str:
    first = table["key"][rows[0]].as_py()
    return (
        f"{len(rows):,} of {size:,} images in {split} are in train too, byte by byte (the first is {first}), which "
        f"makes every metric on {split} too good: leave them out of one of the two"
    )
