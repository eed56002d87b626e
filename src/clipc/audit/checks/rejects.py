"""Checks of what could not be read, and of what the catalog doubts."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import MAX_EXAMPLES, Example, Finding, Severity
from clipc.catalog.classes import numeric_class_warning
from clipc.catalog.doubts import variant_warning
from clipc.catalog.images.intensity import is_dark_warning
from clipc.catalog.selection import warnings_of_splits

_MANY: Final = 0.5
"""From this share of rejects on, what is left is hardly the data that the user means."""
_SOME: Final = 0.01


def rejects(data: DoctorData) -> Iterator[Finding]:
    """Rows and images that could not be read (``unreadable``), and rows with another separator (``separators``).

    A tab in a file name or key is a row of a table whose other rows are separated by something else: the image's path
    then holds the caption too.
    """
    table = data.catalog.rejects.to_pylist()
    total = len(data.catalog) + len(table)
    mixed = [row for row in table if "\t" in (row["key"] or "")]
    others = [row for row in table if "\t" not in (row["key"] or "")]
    if mixed:
        examples = [Example((), row["key"], _place(row)) for row in mixed[:MAX_EXAMPLES]]
        yield Finding("separators", _severity(len(mixed), total), len(mixed), total, {}, examples)
    if others:
        reasons = Counter(row["reason"] for row in others).most_common(1)[0]
        # The commonest reasons first, but one example of each before a second of any.
        earlier: Counter[str] = Counter()
        order: list[tuple[int, int]] = []
        for number, row in enumerate(others):
            order.append((earlier[row["reason"]], number))
            earlier[row["reason"]] += 1
        examples = [
            Example(
                (), others[number]["reason"], " ".join(filter(None, (_place(others[number]), others[number]["key"])))
            )
            for _, number in sorted(order)[:MAX_EXAMPLES]
        ]
        values = {"reason": reasons[0], "times": reasons[1]}
        yield Finding("unreadable", _severity(len(others), total), len(others), total, values, examples)


def _severity(count: int, total: int) -> Severity:
    return "stop" if count >= _MANY * total else "warning" if count >= _SOME * total else "note"


def _place(row: dict[str, object]) -> str:
    return str(row["file"]) + (f":{row['row']}" if row["row"] is not None else "")


def doubts(data: DoctorData) -> Iterator[Finding]:
    """What the catalog doubts (``doubt``), in its own sentences, without those that other checks measure."""
    catalog = data.catalog
    elsewhere = set(warnings_of_splits(catalog))
    for column in catalog.about.label_columns:
        labels = list(map(str, catalog.table[column].drop_null().unique().to_pylist()))
        names = catalog.about.class_names.get(column, {})
        elsewhere |= {str(numeric_class_warning(column, labels, names)), str(variant_warning(column, labels))}
    for sentence in catalog.about.warnings:
        if sentence not in elsewhere and not (data.pixels and is_dark_warning(sentence)):
            yield Finding("doubt", "warning", 1, 1, {"sentence": sentence})
