"""What a person or a report should know of a catalog, in a few figures."""

from typing import Any

import pyarrow.compute as pc

from clipc.catalog.catalog import Catalog


def summary(catalog: Catalog) -> dict[str, Any]:
    """Pairs and captions a split, classes, what could not be read and why; ready for JSON."""
    splits = {name: catalog.split(name) for name in catalog.splits}
    reasons = pc.value_counts(catalog.rejects["reason"]).to_pylist()
    about = catalog.about
    return {
        "name": about.name,
        "generated": about.generated,
        "pairs": {name: len(part) for name, part in splits.items()},
        "captions": {name: int(part.caption_counts.sum()) for name, part in splits.items()},
        "splits_made": about.splits_made,
        "label_columns": list(about.label_columns),
        "classes": {c: pc.count_distinct(catalog.table[c]).as_py() for c in about.label_columns},
        "rejects": {"total": len(catalog.rejects), "reasons": {r["values"]: r["counts"] for r in reasons}},
        "notes": list(about.notes),
        "fingerprint": catalog.fingerprint,
    }
