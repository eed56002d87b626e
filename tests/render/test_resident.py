from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.compose.layouts.tiles import PLAIN
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.progress import silent
from clipc.render.batch import Batch
from clipc.render.crop import Augmentation
from clipc.render.cuts import Cuts
from clipc.render.loader import load
from clipc.render.pixels import Pixels, resident_bytes, stored_sizes
from clipc.render.resample import Image8, ResampleSpec, resample
from clipc.render.resample_matrix import paste_cuts_batched
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer
from clipc.study.arms import Arm
from clipc.study.design import read_study
from clipc.study.recipes import arm_recipe
from clipc.train.loss import shared_sources

CPU = torch.device("cpu")
SIDE = 32
POLICIES = {
    "plain": Policy(rho=0),
    "some": Policy(rho=0.3),
    "halves": Policy(rho=1),
    "squeezed": Policy(rho=1, layout="squeezed-halves"),
    "cutmix": Policy(rho=1, layout="cutmix"),
    "blend": Policy(rho=1, layout="blend"),
    "first": Policy(rho=1, layout="first-image"),
    "strong": Policy(rho=1, treatment="augment"),
    "region": Policy(rho=1, layout="region", region="mark"),
}


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


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Smooth pictures of many sizes, larger and smaller than what is made of them, one of them twice."""
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.Generator(np.random.Philox(0))
    sizes = [(200, 150), (61, 47), (33, 90), (20, 17), (5, 3), (128, 128), (75, 75), (40, 31)]
    lines = ["image,caption,mark"]
    for i, (width, height) in enumerate(sizes * 3):
        shapes = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        picture = Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:02d}.png")
        lines.append(f'{i:02d}.png,picture number {i},"0.1,0.2,0.5,0.6"')
    (folder / "24.png").write_bytes((folder / "00.png").read_bytes())
    lines.append("24.png,the first one again,")
    (folder / "pairs.csv").write_text("\n".join(lines))
    return open_catalog(folder / "pairs.csv").split("train")


def resident(plans: Plans, augmentation: Augmentation, size: int) -> ResidentRenderer:
    pixels = Pixels.decode(plans, augmentation, size, CPU, silent)
    return ResidentRenderer(plans, augmentation, size, Words(), pixels)


def both(
    catalog: Catalog, policy: Policy, augmentation: Augmentation, size: int = SIDE
) -> tuple[WorkerRenderer, ResidentRenderer]:
    from clipc.prepare.plans import make_plans

    plans = make_plans(policy, catalog, 0)
    made = resident(plans, augmentation, size)
    return WorkerRenderer(plans, augmentation, size, Words()), made


def differences(one: Batch, other: Batch) -> torch.Tensor:
    """The mean absolute difference of each row's pictures, in levels."""
    return (one.images.float() - other.images.float()).abs().mean(dim=(1, 2, 3))


def exactly(image: Image8, spec: ResampleSpec, *, mirrored: bool = False) -> Image8:
    """What the quick resampler comes near to."""
    return resample(image, spec._replace(exact=True), mirrored=mirrored)


def same_but_for_pixels(one: Batch, other: Batch) -> bool:
    equal = all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("tokens", "sources", "texts"))
    told = ("treated", "shortened")
    return equal and all(getattr(one, name) == getattr(other, name) for name in told)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(crop_scale=(0.2, 1), flip=0.5),
        Augmentation(crop_scale=(1, 1), crop_ratio=(1, 1)),
        Augmentation(colour=0.4, flip=1),
    ],
    ids=["usual", "small views", "whole", "coloured"],
)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_shows_what_the_worker_shows(
    photographs: Catalog, policy: Policy, augmentation: Augmentation, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, resident = both(photographs, policy, augmentation)
    if together:
        monkeypatch.setattr("clipc.render.cuts.resample", exactly)

        def lay(images: torch.Tensor, cuts: Cuts, _: object) -> None:
            paste_cuts_batched(images, resident.pixels, cuts)

        monkeypatch.setattr("clipc.render.resident.paste_cuts", lay)
    rows = len(photographs)
    shown, wanted = resident.render(0, rows), worker.render(0, rows)
    assert same_but_for_pixels(shown, wanted)
    off = differences(shown, wanted)
    assert off.mean() < (0.6 if together else 1.5)
    assert off.max() < (2 if together else 4)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_images_kept_at_their_own_size_are_the_worker_s_to_the_last_bit(photographs: Catalog, policy: Policy) -> None:
    augmentation = Augmentation(crop_scale=(0.5, 1), flip=0.5, colour=0.4)
    _, resident = both(photographs, policy, augmentation, 120)
    kept = resident.pixels.size[resident.pixels.number]
    whole = photographs.take(np.flatnonzero((kept == photographs.sizes[:, None]).all(axis=(1, 2))))
    assert len(whole) > len(photographs) / 2
    worker, resident = both(whole, policy, augmentation, 120)
    rows = 2 * len(whole)
    shown, wanted = resident.render(0, rows), worker.render(0, rows)
    assert same_but_for_pixels(shown, wanted)
    assert torch.equal(shown.images, wanted.images)


@pytest.mark.parametrize("rho", [0, 0.7])
def test_one_picture_under_two_names_is_no_negative_of_itself(photographs: Catalog, rho: float) -> None:
    rows = len(photographs)
    encoded = [photographs.encoded(row) for row in range(rows)]
    assert len(set(encoded)) == rows - 1
    for renderer in both(photographs, Policy(rho=rho), Augmentation()):
        plan, batch = renderer.plans.rows(0, rows), renderer.render(0, rows)
        pairs = [(left, right) if right >= 0 else (left,) for left, right in zip(plan.left, plan.right, strict=True)]
        shown = [{encoded[row] for row in of} for of in pairs]
        said = [{photographs.caption(row, 0) for row in of} for of in pairs]
        wanted = [[bool(shown[i] & shown[j] or said[i] & said[j]) for j in range(rows)] for i in range(rows)]
        assert shared_sources(batch.sources, batch.texts).tolist() == wanted
        names = [{photographs.keys[row] for row in of} for of in pairs]
        assert sum(map(sum, wanted)) > sum(bool(names[i] & names[j]) for i in range(rows) for j in range(rows))


def test_of_different_pictures_each_row_is_told(photographs: Catalog) -> None:
    different = photographs.take(range(len(photographs) - 1))
    for renderer in both(different, Policy(rho=0.7), Augmentation()):
        plan = renderer.plans.rows(0, 24)
        assert renderer.render(0, 24).sources.tolist() == np.stack([plan.left, plan.right], axis=1).tolist()


def test_photographs_look_as_from_the_worker(shared_data: Path) -> None:
    catalog = open_catalog(shared_data / "flickr8k").split("train").take(range(120))
    for policy in (POLICIES["some"], POLICIES["strong"]):
        for size in (64, 112, 224):
            worker, resident = both(catalog, policy, Augmentation(flip=0.5), size)
            shown, wanted = resident.render(0, 40), worker.render(0, 40)
            assert same_but_for_pixels(shown, wanted)
            assert differences(shown, wanted).mean() < 3
            assert abs(float(shown.images.float().mean() - wanted.images.float().mean())) < 0.2


def test_parts_of_a_batch_equal_the_whole(photographs: Catalog) -> None:
    _, resident = both(photographs, Policy(rho=0.5), Augmentation(flip=0.5, colour=0.2))
    whole = resident.render(3, 60)
    parts = [resident.render(start, stop) for start, stop in ((3, 4), (4, 30), (30, 60))]
    for name in ("images", "tokens", "sources", "texts"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


def test_arms_share_their_plain_rows_to_the_last_bit(photographs: Catalog) -> None:
    batches = [
        both(photographs, policy, Augmentation(), 8)[1].render(0, 20) for policy in (Policy(rho=0), Policy(rho=0.5))
    ]
    strong = both(photographs, Policy(rho=0.5, treatment="augment"), Augmentation(), 8)[1].render(0, 20)
    alone = batches[1].sources[:, 1] < 0
    assert 3 < alone.sum() < 17
    for other in (batches[1], strong):
        assert torch.equal(batches[0].images[alone], other.images[alone])
    assert not torch.equal(batches[0].images, strong.images)


def test_loads_as_any_renderer(photographs: Catalog) -> None:
    _, resident = both(photographs, Policy(rho=0.5), Augmentation())
    alone, helped = (list(load(resident, 8, range(4), workers=workers)) for workers in (0, 1))
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.images, other.images)


def test_an_unreadable_image_is_grey_and_told_each_time(tiny_source: Path, tmp_path: Path) -> None:
    for file in tiny_source.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    catalog = open_catalog(tmp_path / "pairs.jsonl").split("train")
    broken = tmp_path / "03.png"
    broken.write_bytes(broken.read_bytes()[:60].ljust(broken.stat().st_size, b"\0"))
    made = resident(Plans(catalog, Policy(rho=0.5), 0), Augmentation(), 16)
    worker = WorkerRenderer(made.plans, Augmentation(), 16, Words())
    for start in (0, 40, 80):
        batch = made.render(start, start + 40)
        assert sorted(batch.unreadable) == sorted(worker.render(start, start + 40).unreadable)
        assert set(batch.unreadable) == {3}
    place = made.render(0, 40).sources[:, 0].tolist().index(3)
    alone = replace(made, plans=Plans(catalog, Policy(rho=0), 0)).render(0, 40)
    assert (alone.images[place] == 127).all()


def test_only_what_is_needed_is_kept_and_equal_pictures_once(photographs: Catalog) -> None:
    told: list[tuple[int, int]] = []
    plans = Plans(photographs, Policy(rho=0), 0)
    pixels = Pixels.decode(plans, Augmentation(), SIDE, CPU, lambda _, done, total: told.append((done, total)))
    assert pixels.values.numel() == resident_bytes(plans, Augmentation(), SIDE)
    assert told[-1] == (24, 24)
    assert pixels.number[24, 0] == pixels.number[0, 0]
    assert len(set(pixels.number[:, 0].tolist())) == 24
    assert (pixels.size[pixels.number[:, 0]] <= photographs.sizes).all()
    assert (pixels.size[pixels.number[:, 0]] < photographs.sizes).any()


def test_strong_views_get_finer_copies(photographs: Catalog) -> None:
    usual = resident_bytes(Plans(photographs, Policy(), 0), Augmentation(), SIDE)
    both_kinds = resident_bytes(Plans(photographs, Policy(treatment="augment"), 0), Augmentation(), SIDE)
    made = both(photographs, POLICIES["strong"], Augmentation())[1].pixels
    assert usual < both_kinds == made.values.numel()
    first, second = (made.size[made.number[:, kind]] for kind in (0, 1))
    assert (first <= second).all()
    assert (made.number[:, 0] == made.number[:, 1]).any()


def test_the_smallest_view_of_a_kept_picture_has_as_many_pixels_as_are_shown() -> None:
    sizes = np.random.Generator(np.random.Philox(0)).integers(1, 4000, (2000, 2))
    for scale in ((0.8, 1.0), (0.25, 0.5), (1.0, 1.0)):
        kept = stored_sizes(sizes, scale, (3 / 4, 4 / 3), 100)
        assert (kept <= sizes).all()
        assert (
            np.abs(kept[:, 0] / kept[:, 1] - sizes[:, 0] / sizes[:, 1]).max() < 0.6 * (sizes[:, 0] / kept[:, 1]).max()
        )
        shrunk = (kept < sizes).any(axis=1)
        share = np.sqrt(scale[0] * (3 / 4)) * np.minimum(kept[:, 0], kept[:, 1])
        square = np.abs(np.log(sizes[:, 0] / sizes[:, 1])) < 0.2
        assert shrunk.any()
        assert (share[shrunk & square] > 0.84 * 100).all()
        assert (kept.min(axis=1)[shrunk] < 200 / np.sqrt(scale[0])).all()


CONTROLS = read_study("controls")


@pytest.mark.parametrize("arm", CONTROLS.expanded_arms, ids=lambda arm: arm.name)
@pytest.mark.parametrize("kind", [0, 1], ids=["worker", "resident"])
def test_every_arm_of_the_controls_shows_the_plain_rows_of_the_baseline(
    photographs: Catalog, arm: Arm, kind: int
) -> None:
    recipe = arm_recipe(CONTROLS, arm, 0, "all", {"policy.group": None, "policy.rho": 0.5 * (arm.name != "clip")})
    plain = both(photographs, Policy(rho=0), recipe.augmentation, 16)[kind]
    made = both(photographs, recipe.policy, recipe.augmentation, 16)[kind]
    baseline, plan = (renderer.plans.rows(0, 50) for renderer in (plain, made))
    assert plan.left.tolist() == baseline.left.tolist()
    assert plan.left_caption.tolist() == baseline.left_caption.tolist()
    expected, batch = plain.render(0, 50), made.render(0, 50)
    untreated = np.flatnonzero(plan.layout == PLAIN)
    assert len(untreated) == 50 if arm.name == "clip" else 10 < len(untreated) < 40
    assert torch.equal(expected.images[untreated], batch.images[untreated])
    assert torch.equal(expected.tokens[untreated], batch.tokens[untreated])
