"""Views that are turned by quarters or shown upside down: before halves are cut from them, in both renderers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.compose.layouts.tiles import LEFT_RIGHT, turn_boxes
from clipc.compose.policy import Policy
from clipc.compose.rules.schema import Rules
from clipc.prepare.plans import make_plans
from clipc.prepare.preview import preview
from clipc.progress import silent
from clipc.render.crop import Augmentation
from clipc.render.geometry import Geometry, geometry
from clipc.render.pixels import Pixels
from clipc.render.resample_matrix import paste_cuts_batched
from clipc.render.resident import ResidentRenderer
from clipc.render.texts import DIRECTION_PATTERN, SIDE_PATTERN, names_a_side, texts
from clipc.render.worker import WorkerRenderer
from render.test_cuts import BOTH, cuts, kept, laid, noise
from render.test_resident import Words

S = 16
ALL = Augmentation(crop_scale=(1, 1), crop_ratio=(1, 1), flip=0.5, flip_vertical=0.5, quarter_turns=1)
STILL = Augmentation(crop_scale=(1, 1), crop_ratio=(1, 1))
Pixel = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Squares of S x S noise, so that views are shown pixel by pixel; each with a red box that is its region."""
    folder = tmp_path_factory.mktemp("squares")
    lines = ["image,caption,mark"]
    for i in range(24):
        pixels = noise(S, S, i) // 2
        pixels[9:15, 1:7] = (255, 0, 0)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
        lines.append(f'{i:02d}.png,square number {i},"1,9,7,15"')
    (folder / "pairs.csv").write_text("\n".join(lines))
    return open_catalog(folder / "pairs.csv").split("train")


def worker(catalog: Catalog, policy: Policy, augmentation: Augmentation = ALL) -> WorkerRenderer:
    return WorkerRenderer(make_plans(policy, catalog, 0), augmentation, S, Words())


def drawn(made: WorkerRenderer, count: int) -> Geometry:
    plan = made.plans.rows(0, count)
    return geometry(made.plans, plan, 0, made.augmentation, texts(made.plans, plan, made.tokenizer).may_turn)


def turned(image: Pixel, turns: int, mirrored: bool) -> Pixel:
    image = np.rot90(image, turns)
    return image[:, ::-1] if mirrored else image


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 6), st.integers(1, 6), st.integers(-7, 7))
def test_turned_boxes_are_where_turned_pixels_are(x: int, y: int, width: int, height: int, turns: int) -> None:
    image = np.zeros((12, 12))
    image[y : y + height, x : x + width] = 1
    box = np.array([x, y, x + width, y + height], dtype=np.float32) / 12
    x0, y0, x1, y1 = np.rint(turn_boxes(box, np.array(turns)) * 12).astype(int).tolist()
    found = np.zeros((12, 12))
    found[y0:y1, x0:x1] = 1
    np.testing.assert_array_equal(found, np.rot90(image, turns))
    np.testing.assert_allclose(turn_boxes(turn_boxes(box, np.array(turns)), np.array(-turns)), box, atol=1e-6)


@BOTH
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_tile_is_turned_then_mirrored(lay: object, turns: int, mirrored: bool) -> None:
    picture, box, place = noise(30, 40), (3.2, 4.1, 33.7, 28.5), (2, 5, 14, 11)
    wide = (0, 0, 6, 12) if turns % 2 else (0, 0, 12, 6)
    still = laid(lay, kept(picture), cuts([box], [wide]))[0, : wide[3], : wide[2]]
    asked = replace(cuts([box], [place]), turns=np.array([turns]), mirrored=np.array([mirrored]))
    found = laid(lay, kept(picture), asked)[0, 5:11, 2:14]
    np.testing.assert_array_equal(found, turned(still, turns, mirrored))


def test_plain_views_show_all_orientations(squares: Catalog) -> None:
    made = worker(squares, Policy(rho=0))
    still, views = worker(squares, Policy(rho=0), STILL).render(0, 240).images.numpy(), drawn(made, 240)
    for image, before, turns, mirrored in zip(
        made.render(0, 240).images.numpy(), still, views.turns[:, 0], views.mirrored[:, 0], strict=True
    ):
        np.testing.assert_array_equal(image, turned(before, int(turns), bool(mirrored)))
    kinds = np.bincount(views.turns[:, 0] + 4 * views.mirrored[:, 0], minlength=8)
    assert kinds.min() > 12


def test_upside_down_is_a_mirror_image(squares: Catalog) -> None:
    upside_down = STILL.model_copy(update={"flip_vertical": 1.0})
    still = worker(squares, Policy(rho=0), STILL).render(0, 24).images
    assert torch.equal(worker(squares, Policy(rho=0), upside_down).render(0, 24).images, still.flip(1))


@pytest.mark.parametrize("layout", ["centre-halves", "half"])
def test_halves_are_cut_from_turned_views(squares: Catalog, layout: str) -> None:
    policy = Policy(rho=1) if layout != "half" else Policy(rho=1, treatment="half")
    made = worker(squares, policy)
    plan, views, images = made.plans.rows(0, 96), drawn(made, 96), made.render(0, 96).images.numpy()
    for i in range(96):
        for side, row in enumerate((plan.left[i], plan.right[i])):
            x0, y0, x1, y1 = np.rint(views.tiles.place[i, side] * S).astype(int).tolist()
            shown = images[i, y0:y1, x0:x1]
            if row < 0:
                assert (shown == shown[0, 0, 0]).all()
                continue
            view = turned(squares.image(int(row)), int(views.turns[i, side]), bool(views.mirrored[i, side]))
            wanted = view[:, 4:12] if plan.layout[i] == LEFT_RIGHT else view[4:12]
            np.testing.assert_array_equal(shown, wanted)


def test_regions_stay_visible(squares: Catalog) -> None:
    made = worker(squares, Policy(rho=1, layout="region", region="mark"))
    images = made.render(0, 96).images.numpy()
    red = (images[..., 0] == 255) & (images[..., 1] == 0)
    assert (red.reshape(96, -1).sum(axis=1) == 2 * 36).all()


@pytest.mark.parametrize(
    "policy",
    [
        Policy(rho=0.5),
        Policy(rho=1, layout="squeezed-halves"),
        Policy(rho=1, layout="cutmix"),
        Policy(rho=1, treatment="half"),
    ],
)
def test_renderers_agree(squares: Catalog, policy: Policy) -> None:
    augmentation = ALL.model_copy(update={"crop_scale": (0.5, 1.0), "crop_ratio": (0.75, 4 / 3), "colour": 0.3})
    made = replace(worker(squares, policy, augmentation), image_size=24)
    pixels = Pixels.decode(made.plans, augmentation, 24, torch.device("cpu"), silent)
    resident = ResidentRenderer(made.plans, augmentation, 24, Words(), pixels)
    images = made.render(0, 72).images
    assert torch.equal(resident.render(0, 72).images, images)
    with pytest.MonkeyPatch.context() as patch:  # as on a GPU
        patch.setattr(
            "clipc.render.resident.paste_cuts", lambda images, cuts, _: paste_cuts_batched(images, pixels, cuts)
        )
        batched = resident.render(0, 72).images
    assert (batched.float() - images.float()).abs().mean() < 6


def test_crops_mirrors_and_partners_stay(squares: Catalog) -> None:
    still = ALL.model_copy(update={"flip_vertical": 0.0, "quarter_turns": 0.0})
    one, other = (drawn(worker(squares, Policy(rho=0.5), augmentation), 96) for augmentation in (ALL, still))
    np.testing.assert_array_equal(one.views, other.views)
    np.testing.assert_array_equal(one.colour, other.colour)
    assert (other.turns == 0).all()


@pytest.mark.parametrize(
    ("caption", "side", "direction"),
    [
        ("a road on the left", True, True),
        ("the northwestern corner", True, True),
        ("turning counter-clockwise", True, True),
        ("反時計回りの矢印", True, True),
        ("houses at the top", False, True),
        ("the UPPER half", False, True),
        ("a river north of the town", False, True),
        ("a pipe above the tank", False, True),
        ("upside down", False, True),
        ("a horizontal line", False, True),
        ("上の建物", False, True),
        ("川の北側", False, True),
        ("a bridge over a river", False, False),
        ("a playground is made up of grass", False, False),
        ("a stopped car, a northerner", False, False),
        ("森と畑", False, False),
    ],
)
def test_words_that_forbid_turns(caption: str, side: bool, direction: bool) -> None:
    assert names_a_side(caption) == bool(SIDE_PATTERN.search(caption)) == side
    assert bool(DIRECTION_PATTERN.search(caption)) == direction


def test_captions_and_rules_forbid_turns(squares: Catalog, tmp_path: Path) -> None:
    for name, caption in (("a", "red at the bottom"), ("b", "red and noise")):
        (tmp_path / f"{name}.png").write_bytes((squares.root / "00.png").read_bytes())
        (tmp_path / f"{name}.txt").write_text(caption)
    made = worker(open_catalog(tmp_path), Policy(rho=0))
    plan, views = made.plans.rows(0, 80), drawn(made, 80)
    named = np.array(["bottom" in made.catalog.caption(row, 0) for row in plan.left.tolist()])
    assert (views.turns[named] == 0).all()
    assert (views.turns[~named] > 0).mean() > 0.5
    rules = Rules.model_validate({"images": [{"mirror": False, "why": "lettering"}]})
    ruled = drawn(worker(squares, Policy(rho=0.5, rules=rules)), 48)
    assert not ruled.turns.any()
    assert not ruled.mirrored.any()


def test_previews_show_turned_sources(squares: Catalog) -> None:
    for layout in ("centre-halves", "cutmix"):
        samples = preview(worker(squares, Policy(rho=1, layout=layout)), 6, size=32)
        assert {turns for sample in samples for turns in sample["turns"]} > {0}
