"""Vectors and bands by a model whose taste is known."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from clipc.catalog.catalog import SCHEMA, About, Catalog
from clipc.errors import UserError
from clipc.models.fingerprints import folder_fingerprint
from clipc.models.model import ClipModel
from clipc.prepare import vectors as module
from clipc.prepare.vectors import best_bands, embed_pairs, model_vectors, partner_vectors, relevant_bands
from clipc.render.evaluation_view import RESIZE_MODES, Resizing
from models.starts import model_of

RGB = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


class ColourModel:
    """Sees the mean colour of a picture and reads the names of colours."""

    image_size = 8
    resizing = Resizing()

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (8, 8, 3)
        return normalize(images.float().mean((1, 2)), dim=-1)

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        colours = [[float(name in text) for name in RGB] for text in texts]
        return normalize(torch.tensor(colours) + 1e-6, dim=-1)


def catalog_of(root: Path, pictures: list[np.ndarray], captions: list[list[str]], **columns: Any) -> Catalog:
    data, rows = bytearray(), []
    for n, (pixels, texts) in enumerate(zip(pictures, captions, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        size = len(buffer.getvalue())
        row = {"key": f"k{n}", "captions": texts, "file": "data.bin", "offset": len(data), "size": size, "content": n}
        rows.append({**row, "width": pixels.shape[1], "height": pixels.shape[0]})
        data += buffer.getvalue()
    (root / "data.bin").write_bytes(data)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return Catalog(table, root, "f", About("bands"))


def marked(colour: str, x: float, y: float, width: int = 80, height: int = 64) -> np.ndarray:
    """A picture with a mark of a colour, a quarter of a side large, centred at x, y, on grey."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    x0, y0 = round((x - 1 / 8) * width), round((y - 1 / 8) * height)
    pixels[max(0, y0) : y0 + height // 4, max(0, x0) : x0 + width // 4] = RGB[colour]
    return pixels


PLACES = [(1 / 8, 7 / 8), (7 / 8, 1 / 8), (0.5, 0.5), (0.5, 1 / 8), (7 / 8, 7 / 8)]


@pytest.fixture
def marks(tmp_path: Path) -> Catalog:
    colours = ["red", "blue", "green", "red", "blue"]
    pictures = [marked(colour, *place) for colour, place in zip(colours, PLACES, strict=True)]
    return catalog_of(tmp_path, pictures, [[f"a {colour} mark", "a mark"] for colour in colours])


def test_bands_hold_what_the_captions_name(marks: Catalog) -> None:
    boxes = best_bands(ColourModel(), marks)
    assert boxes.dtype == np.float32
    assert np.array_equal(boxes[:, 2:] - boxes[:, :2], np.full((5, 2), 0.5))
    for (x0, y0, x1, y1), (x, y) in zip(boxes.tolist(), PLACES, strict=True):
        assert x0 <= x - 1 / 8 < x + 1 / 8 <= x1
        assert y0 <= y - 1 / 8 < y + 1 / 8 <= y1
    assert boxes[2].tolist() == [0.25, 0.25, 0.75, 0.75]


def test_the_captions_decide_between_two_marks(tmp_path: Path) -> None:
    both = np.maximum(marked("red", 1 / 8, 0.5), marked("blue", 7 / 8, 0.5))
    boxes = best_bands(ColourModel(), catalog_of(tmp_path, [both, both], [["red"], ["blue"]]))
    assert boxes[0, 2] <= 0.75
    assert boxes[1, 0] >= 0.25
    assert boxes[0, 0] < boxes[1, 0]


def test_where_nothing_is_more_relevant_the_centre_is_kept(tmp_path: Path) -> None:
    flat = np.full((20, 30, 3), 128, np.uint8)
    assert best_bands(ColourModel(), catalog_of(tmp_path, [flat], [["red"]])).tolist() == [[0.25, 0.25, 0.75, 0.75]]


def test_pieces_change_nothing(marks: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = best_bands(ColourModel(), marks), embed_pairs(ColourModel(), marks, "mean")
    monkeypatch.setattr(module, "_BANDS_AT_ONCE", 2)
    monkeypatch.setattr(module, "_SLICE", 2)
    assert np.array_equal(best_bands(ColourModel(), marks), whole[0])
    np.testing.assert_allclose(embed_pairs(ColourModel(), marks, "mean"), whole[1], atol=1e-6)


def test_an_image_that_cannot_be_read_any_more_is_named(marks: Catalog) -> None:
    (marks.root / "data.bin").write_bytes(b"")
    with pytest.raises(UserError, match="'k0' cannot be read any more"):
        best_bands(ColourModel(), marks)


def test_what_is_embedded(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), RGB["red"], np.uint8)
    catalog = catalog_of(tmp_path, [flat, flat], [["green"], ["green", "blue", "green"]])
    model = ColourModel()
    told: list[tuple[str, int, int]] = []
    image = embed_pairs(model, catalog, "image", lambda *now: told.append(now))
    text = embed_pairs(model, catalog, "text", lambda *now: told.append(now))
    mean = embed_pairs(model, catalog, "mean")
    assert {what: (done, total) for what, done, total in told} == {
        "images encoded": (2, 2),
        "pairs with captions encoded": (2, 2),
    }
    np.testing.assert_allclose(image, [[1, 0, 0]] * 2, atol=1e-5)
    np.testing.assert_allclose(text, [[0, 1, 0], [0, 2 / 5**0.5, 1 / 5**0.5]], atol=1e-5)
    np.testing.assert_allclose(mean, (image + text) / 2**0.5, atol=1e-5)
    for found in (image, text, mean):
        assert found.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


@pytest.fixture
def folder(tiny_model: str, tmp_path: Path) -> Path:
    ClipModel.create(tiny_model).save(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_is_asked_once(
    tiny_catalog: Catalog, tiny_model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = tiny_catalog.split("train").take(range(6))
    cache = tmp_path / "cache"
    found = {of: model_vectors(folder, train, of, cache) for of in ("image", "text", "mean")}
    bands = relevant_bands(folder, train, cache)
    assert bands.shape == (6, 4)
    mean = found["image"] + found["text"]
    np.testing.assert_allclose(found["mean"], mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)
    monkeypatch.setattr(ClipModel, "load", lambda _: pytest.fail("loaded again"))
    for of, vectors in found.items():
        assert np.array_equal(partner_vectors(train, str(folder), of, cache), vectors)
    assert np.array_equal(relevant_bands(folder, train, cache), bands)
    ClipModel.create(tiny_model, seed=1).save(folder)
    with pytest.raises(pytest.fail.Exception):
        model_vectors(folder, train, "text", cache)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_pictures_are_embedded_as_open_clip_embeds_them(mode: str, interpolation: str, tmp_path: Path) -> None:
    preprocess = {"resize_mode": mode, "interpolation": interpolation, "fill_color": 90}
    folder = model_of(tmp_path / "model", "clip", preprocess)
    sizes = [(40, 30), (30, 40), (32, 32), (90, 24), (5, 3)]
    coarse = [np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8) for i in range(len(sizes))]
    pictures = [np.asarray(Image.fromarray(c).resize(s)) for c, s in zip(coarse, sizes, strict=True)]
    own = embed_pairs(ClipModel.load(folder), catalog_of(tmp_path, pictures, [["x"]] * len(sizes)), "image")
    theirs, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    shown = torch.stack([transform(Image.fromarray(picture)) for picture in pictures])
    with torch.inference_mode():
        features = normalize(theirs.eval().encode_image(shown), dim=-1).numpy()  # pyright: ignore
    cosines = (own * features).sum(axis=1)
    # open_clip cuts at whole pixels, of which a small picture has few.
    assert cosines.min() > (0.995 if mode == "shortest" else 1 - 1e-6)


def test_vectors_of_another_view_are_not_taken_from_the_cache(
    tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks: list[str] = []
    monkeypatch.setattr(module, "cached_array", lambda name, mark, make, cache: marks.append(mark))
    folders = {mode: model_of(tmp_path / mode, "clip", {"resize_mode": mode}) for mode in RESIZE_MODES}
    for folder in folders.values():
        model_vectors(folder, tiny_catalog, "image")
        model_vectors(folder, tiny_catalog, "text")
    once = {
        mode: f"{module.VERSION} {folder_fingerprint(folder)} {tiny_catalog.fingerprint}"
        for mode, folder in folders.items()
    }
    assert marks[:2] == [f"{once['shortest']} image", f"{once['shortest']} text"]
    assert marks[2] == f"{once['longest']} image longest bicubic 0"
    assert marks[3] == f"{once['longest']} text"
    assert marks[4] == f"{once['squash']} image squash bicubic 0"


def test_captions_and_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = np.zeros((8, 8, 3), np.uint8)
    texts = [["a red plate"], ["a red cup"], ["a blue cup"]]
    catalog = catalog_of(tmp_path, [flat] * 3, texts, mine=[[0.0, 2.0], [1.0, 0.0], [1.0, 0.0]])
    found = partner_vectors(catalog, "captions", "mean", tmp_path)
    assert found[0] @ found[1] > found[0] @ found[2]
    assert partner_vectors(catalog, "column:mine", "mean", tmp_path).tolist() == [[0, 1], [1, 0], [1, 0]]
    monkeypatch.setattr(module, "caption_vectors", lambda *_, **__: pytest.fail("made again"))
    assert np.array_equal(partner_vectors(catalog, "captions", "mean", tmp_path), found)


@pytest.mark.parametrize("name", ["caption", "no/such/folder"])
def test_an_unknown_embedding(tiny_catalog: Catalog, name: str) -> None:
    with pytest.raises(UserError, match=f"unknown embedding '{name}'; use captions, column:NAME or the folder"):
        partner_vectors(tiny_catalog, name, "mean")


def test_a_folder_without_a_model(tiny_catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        partner_vectors(tiny_catalog, str(tmp_path), "image")
