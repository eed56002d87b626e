"""Every image and caption gets its feature, in order."""

from pathlib import Path

import numpy as np
import pytest

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.evaluate.embed import embed, embed_texts

from .fake import ColourModel, colour_catalog


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return colour_catalog(tmp_path, {"test": 10})


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_features_stand_in_the_catalogs_order(catalog: Catalog, batch_size: int) -> None:
    told: list[tuple[str, int, int]] = []
    model = ColourModel()
    found = embed(model, catalog, batch_size=batch_size, progress=lambda *now: told.append(now))
    assert found.image.shape == (10, 3)
    assert found.text.shape == (20, 3)
    assert found.owner.tolist() == [i for i in range(10) for _ in range(2)]
    captions = [text for row in range(10) for text in catalog.captions(row)]
    np.testing.assert_allclose(found.text, ColourModel().encode_text(captions))
    assert [captions.index(text) for text in captions] == [list(found.caption_ids).index(i) for i in found.caption_ids]
    assert sorted(model.texts) == sorted(set(captions))
    assert {what: (done, total) for what, done, total in told} == {
        "images encoded": (10, 10),
        "captions encoded": (14, 14),
    }
    nearest = (found.image @ ColourModel().encode_text(["red", "green", "blue", "dark grey"]).T).argmax(1)
    assert nearest.tolist() == [i % 4 for i in range(10)]


def test_texts_keep_their_order_whatever_their_length() -> None:
    texts = ["a long text about red", "blue", "green things", "red"]
    np.testing.assert_allclose(embed_texts(ColourModel(), texts, batch_size=2), ColourModel().encode_text(texts))


def test_an_image_that_cannot_be_read_any_more_is_named(catalog: Catalog, tmp_path: Path) -> None:
    data = bytearray((tmp_path / "data.bin").read_bytes())
    start = catalog.table["offset"][3].as_py()
    data[start : start + 60] = bytes(60)
    (tmp_path / "data.bin").write_bytes(data)
    with pytest.raises(UserError, match="'test3' cannot be read any more"):
        embed(ColourModel(), catalog)
    (tmp_path / "data.bin").write_bytes(data[:100])
    with pytest.raises(UserError, match="cannot be read any more"):
        embed(ColourModel(), catalog)


def test_features_can_be_used_for_training_again(catalog: Catalog) -> None:
    found = embed(ColourModel(), catalog)
    assert not found.image.is_inference()
    assert not found.text.is_inference()
    assert np.isfinite(found.text.numpy()).all()
