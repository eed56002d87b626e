"""Catalogs without images: all that planning needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import About, Catalog, fingerprint


def catalog_of(captions: Sequence[int] | Sequence[Sequence[str]], **more: Sequence[Any]) -> Catalog:
    """Pairs with the given captions, or with so many captions each, and further columns."""
    texts = [[f"{i}.{j}" for j in range(c)] if isinstance(c, int) else list(c) for i, c in enumerate(captions)]
    n = len(texts)
    columns: Mapping[str, Any] = {
        "key": [str(i) for i in range(n)],
        "captions": pa.array(texts, pa.list_(pa.string())),
        "label": pa.nulls(n, pa.string()),
        "split": ["train"] * n,
        "file": [f"{i}.png" for i in range(n)],
        "offset": np.zeros(n, np.int64),
        "size": np.ones(n, np.int64),
        "width": np.full(n, 40, np.int32),
        "height": np.full(n, 30, np.int32),
        "content": np.arange(n, dtype=np.uint64),
        **more,
    }
    table = pa.table(columns)
    return Catalog(table, Path(), fingerprint(table), About("x"))
