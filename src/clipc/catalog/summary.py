"""A catalog's main numbers for reports."""

from collections import Counter
from typing import Any

from clipc.catalog.catalog import Catalog


def summary(catalog: Catalog) -> dict[str, Any]:
    """Pairs and captions for each split, classes, and rejects by reason, as JSON values."""
    splits = {name: catalog.split(name) for name in catalog.splits}
    reasons = Counter(catalog.rejects["reason"].to_pylist())
    about = catalog.about
    return {
        "name": about.name,
        "generated": about.generated,
        "pairs": {name: len(part) for name, part in splits.items()},
        "captions": {name: int(part.caption_counts.sum()) for name, part in splits.items()},
        "splits_made": about.splits_made,
        "label_columns": list(about.label_columns),
        "classes": {c: len(catalog.table[c].drop_null().unique()) for c in about.label_columns},
        "rejects": {"total": len(catalog.rejects), "reasons": dict(reasons)},
        "notes": list(about.notes),
        "warnings": list(about.warnings),
        "fingerprint": catalog.fingerprint,
    }
