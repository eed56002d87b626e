"""Rows of a table joined by the image that they name, because many sets have one row for each caption or label."""

from collections.abc import Sequence

from clipc.catalog.rows import Reject, Row, SourceInfo
from clipc.catalog.values import ALL_LABELS, main_label


class PairsByImage:
    """Collects rows; those that name the same image become one pair with all their captions and labels.

    Args:
        place: The table's name.
        with_keys: Whether rows with different keys are different pairs even if they name the same image.
        image_ids: The column of keys, if by its name they are those of images, not of rows.
    """

    def __init__(self, place: str, with_keys: bool, image_ids: str | None = None) -> None:
        self._place, self._with_keys, self._image_ids = place, with_keys, image_ids
        self._of_other_ids: dict[str, None] = {}
        self._rows: dict[tuple[str, str | None], Row] = {}
        self._joined: dict[int, Row] = {}
        self._repetitions = 0
        self._relabelled: dict[str, None] = {}

    def add(self, row: Row) -> Reject | None:
        """Adds a row, or says why it cannot belong to the pair that an earlier row of the same image began."""
        earlier = self._rows.setdefault((row.file, row.key if self._with_keys else None), row)
        if earlier is row:
            return None
        if earlier.split != row.split:
            return Reject(self._place, row.number, row.key, "the same image again, with another split")
        before, labels = _labels(earlier), _labels(row)
        labels = dict.fromkeys([*before, *labels])
        if not row.captions and len(labels) == len(before):
            return Reject(self._place, row.number, row.key, "there is no caption")
        if before and len(labels) > len(before):
            self._relabelled[earlier.file] = None
        earlier.label = main_label(list(labels), earlier.more)
        earlier.captions += row.captions
        self._joined[id(earlier)] = earlier
        self._repetitions += 1
        if earlier.key != row.key and self._image_ids:
            self._of_other_ids[earlier.file] = None
        return None

    def rows(self, info: SourceInfo) -> list[Row]:
        """The pairs in the order of their first rows; what was joined goes into the notes and warnings."""
        rows = list(self._rows.values())
        split_labels(rows, info)
        for row in self._joined.values():
            row.captions = list(dict.fromkeys(row.captions))
        if self._repetitions:
            note = f"{self._repetitions:,} rows named an image of an earlier row; their captions were joined to it"
            info.notes.append(note)
        if self._of_other_ids:
            info.warnings.append(
                f"{self._place} names {len(self._of_other_ids):,} files under different {self._image_ids} (the first "
                f"is {next(iter(self._of_other_ids))}), and their captions were joined: write the folders into the "
                "paths if these are different images"
            )
        several = sum(ALL_LABELS in row.more for row in rows)
        if several:
            info.notes.append(f"{several:,} pairs have several labels: the first is the label, {ALL_LABELS} has all")
        if self._relabelled:
            info.warnings.append(
                f"{self._place} gives {len(self._relabelled):,} images another label in a later row (the first is "
                f"{next(iter(self._relabelled))}); the label is that of the first row, so correct the table if an "
                "image has one class only"
            )
        return rows


def split_labels(rows: Sequence[Row], info: SourceInfo) -> None:
    """Makes several labels of one such as ``scratch;dent``, where nearly all such consist of labels of other rows.

    Args:
        rows: The rows of the whole set, which are changed.
        info: Receives a note.
    """
    for separator in ";,":
        joined = [
            row for row in rows if row.label is not None and separator in row.label and ALL_LABELS not in row.more
        ]
        if not joined:
            continue
        alone = {row.label for row in rows if row.label is not None and separator not in row.label}
        parts = {row.label: [part.strip() for part in str(row.label).split(separator)] for row in joined}
        fitting = {label for label, own in parts.items() if len(own) > 1 and alone.issuperset(own)}
        if 10 * sum(row.label in fitting for row in joined) < 9 * len(joined):
            continue
        first = joined[0].label
        for row in joined:
            row.label = main_label(list(dict.fromkeys(filter(None, parts[row.label]))), row.more)
        info.notes.append(
            f"{len(joined):,} labels such as {first!r} are read as several, since their parts are labels of other rows"
        )


def _labels(row: Row) -> list[str]:
    """All labels of a row."""
    if ALL_LABELS in row.more:
        return str(row.more[ALL_LABELS]).split("|")
    return [] if row.label is None else [row.label]
