"""Selections: only the pairs of a source whose keys a file names."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.catalog.doubts import tell_of_splits
from clipc.catalog.rows import SourceInfo
from clipc.catalog.sources.grid import read_grid
from clipc.errors import UserError, first_names
from clipc.files import expand_home

KEY_COLUMN = "key"
"""The column of a file of keys that is read."""


def with_keys_of(catalog: Catalog, file: Path) -> Catalog:
    """The catalog of the pairs whose keys a file names, in the catalog's order.

    The fingerprint is that of the pairs that stay; it is the catalog's own where all of them do.

    Args:
        catalog: Any catalog.
        file: A table (CSV, TSV, JSON lines, Parquet) with the column ``key``, such as ``clipc doctor --fix`` writes.

    Raises:
        UserError: The file cannot be read, has no such column, or names no key of the catalog.
    """
    file = Path(expand_home(str(file)))
    grid = read_grid(file)
    if KEY_COLUMN not in grid.names:
        raise UserError(
            f"{file} has no column {KEY_COLUMN!r} (there are {first_names(grid.names)}); name a table of the keys to "
            "keep, such as clipc doctor --fix writes."
        )
    records = (record.values for record in grid.records if not isinstance(record.values, str))
    wanted = {str(values[KEY_COLUMN]).strip() for values in records if values.get(KEY_COLUMN) is not None} - {""}
    rows = np.asarray([row for row, key in enumerate(catalog.keys) if key.strip() in wanted], dtype=np.int64)
    if not len(rows):
        few = first_names(sorted(wanted)) or "none"
        raise UserError(
            f"{file} names no key of {catalog.about.name}: its keys are {few}, those of the pairs "
            f"{first_names(catalog.keys)}; name a table that was made from this source."
        )
    note = f"{len(rows):,} of {len(catalog):,} pairs are used: those that {file.name} names"
    if missing := len(wanted) - len(rows):
        note += f" ({missing:,} of its keys are not in the source)"
    chosen = catalog if len(rows) == len(catalog) else catalog.take(rows)
    # Images in two splits may be what was left out.
    before, after = (warnings_of_splits(part) for part in (catalog, chosen))
    warnings = (*(sentence for sentence in catalog.about.warnings if sentence not in before), *after)
    return replace(chosen, about=replace(catalog.about, notes=(*catalog.about.notes, note), warnings=warnings))


def warnings_of_splits(catalog: Catalog) -> list[str]:
    """The warnings of a catalog that concern images in two splits."""
    info = SourceInfo()
    tell_of_splits(catalog.table, info)
    return info.warnings
