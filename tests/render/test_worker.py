import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.images.decode import decode
from clipc.catalog.open import open_catalog
from clipc.compose.layouts.tiles import LEFT_RIGHT, TOP_BOTTOM
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.render.colour import adjust_colour
from clipc.render.crop import Augmentation
from clipc.render.loader import load
from clipc.render.texts import SIDE_PATTERN, names_a_side, texts
from clipc.render.worker import WorkerRenderer

PLAIN_VIEW = Augmentation(crop_scale=(1, 1), crop_ratio=(1, 1), flip=0)


class Words:
    """A tokenizer of words, for tests."""

    context_length, max_text_tokens = 16, 14

    def count(self, text: str) -> int:
        return len(text.split())

    def __call__(self, texts: list[str]) -> torch.Tensor:
        ids = torch.zeros(len(texts), self.context_length, dtype=torch.int64)
        for row, text in enumerate(texts):
            words = text.split()
            ids[row, : len(words)] = torch.tensor([1 + sum(map(ord, w)) for w in words])
        return ids


def renderer(
    catalog: Catalog, policy: Policy, augmentation: Augmentation = PLAIN_VIEW, seed: int = 0
) -> WorkerRenderer:
    return WorkerRenderer(Plans(catalog, policy, seed), augmentation, 16, Words())


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Ten pictures, each of one grey and with one caption that names it."""
    folder = tmp_path_factory.mktemp("flat")
    for i in range(10):
        Image.new("RGB", (40, 30), (20 * i, 20 * i, 20 * i)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"grey {i}.")
    return open_catalog(folder)


def test_each_half_shows_the_pair_that_its_caption_names(flat: Catalog) -> None:
    made = renderer(flat, Policy(rho=1))
    plan = made.plans.rows(0, 10)
    batch = made.render(0, 10)
    greys = np.array([int(key) * 20 for key in flat.keys])
    captions = texts(made.plans, plan, made.tokenizer).captions
    for i in range(10):
        first, second = (greys[row] for row in batch.sources[i].tolist())
        picture = batch.images[i].numpy()
        if plan.layout[i] == LEFT_RIGHT:
            assert (picture[:, :8] == first).all()
            assert (picture[:, 8:] == second).all()
        else:
            assert plan.layout[i] == TOP_BOTTOM
            assert (picture[:8] == first).all()
            assert (picture[8:] == second).all()
        assert captions[i] == f"grey {first // 20} and grey {second // 20}."
    assert batch.treated == 10


def test_centre_half_of_a_view_is_what_a_slow_reference_cuts(tmp_path: Path) -> None:
    ramp = np.zeros((32, 32, 3), dtype=np.uint8)
    ramp[:, :, 0] = np.arange(32) * 8
    ramp[:, :, 1] = np.arange(32)[:, None] * 8
    sources = [ramp, 255 - ramp]
    for name, pixels in zip("ab", sources, strict=True):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(name)
    batch = renderer(open_catalog(tmp_path), Policy(rho=1, axis="left-right")).render(0, 2)
    small = [np.asarray(Image.fromarray(p).resize((16, 16), Image.Resampling.BICUBIC)).astype(int) for p in sources]
    for picture, rows in zip(batch.images.numpy().astype(int), batch.sources.tolist(), strict=True):
        left, right = (small[row] for row in rows)
        np.testing.assert_allclose(picture[:, 1:7], left[:, 5:11], atol=2)
        np.testing.assert_allclose(picture[:, 9:15], right[:, 5:11], atol=2)


def test_batches_do_not_hang_on_workers_or_ranks_or_restart(tiny_catalog: Catalog) -> None:
    made = renderer(tiny_catalog, Policy(rho=0.5), Augmentation())
    alone = list(load(made, 8, range(0, 6)))
    helped = list(load(made, 8, range(0, 6), workers=2))
    restarted = list(load(made, 8, range(3, 6)))
    ranks = [list(load(made, 8, range(0, 6), rank=r, ranks=2)) for r in (0, 1)]
    for step, batch in enumerate(alone):
        halves = [ranks[r][step] for r in (0, 1)]
        for name in ("images", "tokens", "sources", "texts"):
            value = getattr(batch, name)
            assert torch.equal(value, getattr(helped[step], name))
            assert torch.equal(value, torch.cat([getattr(half, name) for half in halves]))
            if step >= 3:
                assert torch.equal(value, getattr(restarted[step - 3], name))


def test_arms_share_their_crops(tiny_catalog: Catalog) -> None:
    plain = renderer(tiny_catalog, Policy(rho=0), Augmentation()).render(0, 40)
    mixed = renderer(tiny_catalog, Policy(rho=0.5), Augmentation()).render(0, 40)
    alone = mixed.sources[:, 1] < 0
    assert 5 < alone.sum() < 35
    assert torch.equal(plain.images[alone], mixed.images[alone])
    assert torch.equal(plain.tokens[alone], mixed.tokens[alone])


def test_equal_captions_have_equal_ids(tiny_catalog: Catalog) -> None:
    batch = renderer(tiny_catalog, Policy(rho=0.5)).render(0, 80)
    plan = Plans(tiny_catalog, Policy(rho=0.5), 0).rows(0, 80)
    texts = [tiny_catalog.caption(int(r), int(c)) for r, c in zip(plan.left, plan.left_caption, strict=True)]
    for i in range(80):
        for j in range(80):
            assert (texts[i] == texts[j]) == bool(batch.texts[i, 0] == batch.texts[j, 0])
    assert (batch.texts[:, 1] == -1).equal(batch.sources[:, 1] == -1)


def test_mirrored_only_where_no_side_is_named(tmp_path: Path) -> None:
    picture = np.zeros((16, 16, 3), dtype=np.uint8)
    picture[:, :8] = 255
    for name, caption in (("a", "white on the left"), ("b", "half of it is white")):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text(caption)
    catalog = open_catalog(tmp_path)
    made = renderer(catalog, Policy(rho=0), replace_flip(1.0))
    batch = made.render(0, 2)
    for row, shown in zip(made.plans.rows(0, 2).left.tolist(), batch.images, strict=True):
        assert bool(shown[8, 0, 0] == 255) == ("left" in catalog.caption(row, 0))


def replace_flip(chance: float) -> Augmentation:
    return PLAIN_VIEW.model_copy(update={"flip": chance})


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("the left lung", True),
        ("a RIGHT-hand glove", True),
        ("leftover food", False),
        ("a bright room", False),
        ("右肺の影", True),
        ("写真です", False),
        ("facing westward", True),
    ],
)
def test_words_that_name_a_side(caption: str, names: bool) -> None:
    assert names_a_side(caption) == bool(SIDE_PATTERN.search(caption)) == names


def test_an_unreadable_image_is_grey_and_told(tiny_source: Path, tmp_path: Path) -> None:
    for file in tiny_source.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    catalog = open_catalog(tmp_path / "pairs.jsonl")
    broken = tmp_path / "03.png"
    broken.write_bytes(broken.read_bytes()[:60].ljust(broken.stat().st_size, b"\0"))
    batch = renderer(catalog, Policy(rho=0)).render(0, len(catalog))
    assert [catalog.keys[row] for row in batch.unreadable] == [catalog.keys[3]]
    place = batch.sources[:, 0].tolist().index(3)
    assert (batch.images[place] == 127).all()


def test_strong_views_are_smaller_and_change_colour(tiny_catalog: Catalog) -> None:
    policy = Policy(rho=1, treatment="augment")
    made = renderer(tiny_catalog, policy, Augmentation())
    plain = renderer(tiny_catalog, Policy(rho=0), Augmentation())
    batch, other = made.render(0, 40), plain.render(0, 40)
    assert batch.treated == 40
    assert torch.equal(batch.sources, other.sources)
    means = (batch.images.float().mean(dim=(1, 2, 3)) - other.images.float().mean(dim=(1, 2, 3))).abs()
    assert (means > 1).float().mean() > 0.8


def test_factors_of_one_change_no_colour() -> None:
    picture = np.random.Generator(np.random.Philox(0)).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(adjust_colour(picture, np.ones(3, dtype=np.float32)), picture)


def test_jitter_changes_each_half_by_itself(tiny_catalog: Catalog) -> None:
    policy, colourful = Policy(rho=1, axis="left-right"), PLAIN_VIEW.model_copy(update={"colour": 0.5})
    plain, changed = (renderer(tiny_catalog, policy, a).render(0, 40).images.float() for a in (PLAIN_VIEW, colourful))
    ratios = [
        half.mean(dim=(1, 2, 3)) for half in ((changed / (plain + 1))[:, :, :8], (changed / (plain + 1))[:, :, 8:])
    ]
    assert (ratios[0] - ratios[1]).abs().mean() > 0.1


def test_shortened_captions_are_counted(tiny_catalog: Catalog) -> None:
    made = renderer(tiny_catalog, Policy(rho=1))
    short = replace(made, tokenizer=ShortWords())
    assert made.render(0, 20).shortened == 0
    assert short.render(0, 20).shortened == 20


class ShortWords(Words):
    context_length, max_text_tokens = 8, 6


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Six JPEGs of 200 x 150 px, every second one stored on its side."""
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.Generator(np.random.Philox(0))
    for i in range(6):
        shapes = Image.fromarray(generator.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        smooth = np.asarray(shapes.resize((200, 150), Image.Resampling.BICUBIC)).astype(float)
        picture = Image.fromarray(np.clip(smooth + generator.normal(0, 8, (150, 200, 1)), 0, 255).astype(np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6 if i % 2 else 1
        picture.save(folder / f"{i}.jpg", quality=90, exif=exif)
        (folder / f"{i}.txt").write_text(f"picture {i}")
    return open_catalog(folder)


@pytest.mark.parametrize("size", [24, 40, 120])
def test_decoding_no_larger_than_needed_is_not_seen(
    photographs: Catalog, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = replace(renderer(photographs, Policy(rho=0.5), Augmentation()), image_size=size)
    quick = made.render(0, 12)
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "image", lambda catalog, row, at_least=None: decode(catalog.encoded(row)))
        slow = made.render(0, 12)
    assert (quick.images.float() - slow.images.float()).abs().mean() < 2
    assert quick.unreadable == slow.unreadable == ()


def test_a_row_is_the_same_in_any_batch(photographs: Catalog) -> None:
    made = renderer(photographs, Policy(rho=0.5), Augmentation(colour=0.3))
    together = made.render(0, 12).images
    for row in range(12):
        assert torch.equal(made.render(row, row + 1).images[0], together[row])


def test_a_picture_that_became_another_is_unreadable(photographs: Catalog, tmp_path: Path) -> None:
    for file in photographs.root.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    catalog = open_catalog(tmp_path)
    changed = tmp_path / "2.jpg"
    other = io.BytesIO()
    Image.new("RGB", (60, 30)).save(other, "JPEG")
    changed.write_bytes(other.getvalue().ljust(changed.stat().st_size, b"\0"))
    batch = renderer(catalog, Policy(rho=0)).render(0, 6)
    assert [catalog.keys[row] for row in batch.unreadable] == ["2"]


@pytest.mark.parametrize("strength", [0.1, 0.4, 1.0])
def test_jitter_is_brightness_then_contrast_then_saturation(strength: float) -> None:
    generator = np.random.Generator(np.random.Philox(0))
    picture, draws = generator.integers(0, 256, (20, 30, 3), dtype=np.uint8), generator.random(3)
    brightness, contrast, saturation = 1 + strength * (2 * draws - 1)
    bright = picture * brightness
    apart = (bright - bright.mean()) * contrast + bright.mean()
    grey = (apart @ [0.299, 0.587, 0.114])[..., None]
    expected = np.clip(grey + (apart - grey) * saturation, 0, 255)
    assert np.abs(adjust_colour(picture, (1 + strength * (2 * draws - 1)).astype(np.float32)) - expected).max() <= 0.51
