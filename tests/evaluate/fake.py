"""A catalog of coloured pictures, and a model that sees colours and reads their names."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from clipc.catalog.catalog import SCHEMA, About, Catalog
from clipc.evaluate.retrieval import Retrieval
from clipc.evaluate.zeroshot import ZeroShot
from clipc.render.evaluation_view import Resizing

COLOURS = {"r": (220, 30, 30), "g": (30, 200, 40), "b": (30, 40, 220), "dark_grey": (60, 60, 60)}
NAMES = {"r": "red", "g": "green", "b": "blue"}


class ColourModel:
    """Sees an image's mean colour; of a text knows the colour words."""

    image_size = 8
    resizing = Resizing()

    def __init__(self) -> None:
        self.images = 0
        self.texts: list[str] = []

    def encode_image(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        assert images.shape[1:] == (8, 8, 3)
        self.images += len(images)
        return normalize(images.float().mean((1, 2)), dim=-1)

    def encode_text(self, texts: list[str]) -> Tensor:
        self.texts += texts
        words = {NAMES.get(label, "dark grey"): colour for label, colour in COLOURS.items()}
        rows = [[1.0, 1.0, 1.0] for _ in texts]
        for row, text in zip(rows, texts, strict=True):
            for word, colour in words.items():
                if word in text:
                    row[:] = [float(c) for c in colour]
        return normalize(torch.tensor(rows), dim=-1)


def colour_catalog(root: Path, splits: dict[str, int], labelled: bool = True, **columns: list[Any]) -> Catalog:
    """Pictures of one noisy colour each, two captions an image, the colours in turn."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    data = bytearray()
    for split, count in splits.items():
        for i in range(count):
            label = list(COLOURS)[i % 4]
            pixels = np.clip(np.array(COLOURS[label]) + rng.normal(0, 8, (10, 12, 3)), 0, 255).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            name = NAMES.get(label, "dark grey")
            rows.append(
                {
                    "key": f"{split}{i}",
                    "captions": [f"a {name} picture", f"picture {i} of {split}, {name}"],
                    "label": label if labelled else None,
                    "split": split,
                    "file": "data.bin",
                    "offset": len(data),
                    "size": len(buffer.getvalue()),
                    "width": 12,
                    "height": 10,
                    "content": len(rows),
                }
            )
            data += buffer.getvalue()
    (root / "data.bin").write_bytes(data)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    about = About("colours", label_columns=("label",) if labelled else (), class_names={"label": NAMES})
    return Catalog(table, root, "f", about)


def with_label_columns(catalog: Catalog, *names: str) -> Catalog:
    """The catalog with other label columns."""
    return replace(catalog, about=replace(catalog.about, label_columns=names))


def metrics_of(result: Retrieval | ZeroShot) -> dict[str, float]:
    """The values of a result's metrics by their names without a prefix."""
    return {one.name.removeprefix("x/"): one.value for one in result.measurements("x")}
