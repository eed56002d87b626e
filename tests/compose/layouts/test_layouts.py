import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.layouts import LAYOUTS
from clipc.compose.layouts.boxes import read_boxes
from clipc.compose.layouts.halves import region
from clipc.compose.layouts.layout import SHAPES, Layout, Shape
from clipc.compose.layouts.tiles import BOX, PLAIN, STRONG, TOP_BOTTOM, Tiles, Views, area, uncut
from clipc.errors import UserError

RNG = np.random.Generator(np.random.Philox(5))


def codes_of(name: str, n: int = 300) -> np.ndarray:
    """The codes that a plan with this layout has: its own, and rows that show one image."""
    return RNG.choice(np.array([PLAIN, STRONG, *LAYOUTS[name].codes], dtype=np.uint8), n)


def views_of(n: int, marked: float = 0.0) -> Views:
    """Views of 50 to 100 % of the image's sides, some with a region."""
    size = RNG.uniform(0.5, 1, (n, 2, 2))
    corner = RNG.random((n, 2, 2)) * (1 - size)
    whole = np.broadcast_to(np.array([0, 0, 1, 1]), (n, 2, 4))
    ends = np.sort(RNG.random((n, 2, 2, 2)), axis=2)
    box = np.where(RNG.random((n, 2, 1)) < marked, ends.reshape(n, 2, 4), np.nan)

    def within(boxes: np.ndarray) -> np.ndarray:
        return ((boxes - np.tile(corner, 2)) / np.tile(size, 2)).astype(np.float32)

    return Views(within(whole), within(box), np.zeros((n, 2), dtype=bool))


def tiles_of(name: str, codes: np.ndarray, views: Views | None = None) -> Tiles:
    draws = RNG.random((len(codes), 4)).astype(np.float32)
    return LAYOUTS[name].tiles(codes, draws, views or views_of(len(codes), 0.5))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_fills_the_picture_from_inside_the_images(name: str) -> None:
    codes, views = codes_of(name), views_of(300, 0.5)
    tiles = tiles_of(name, codes, views)
    np.testing.assert_allclose(tiles.share().sum(axis=1), 1, atol=1e-6)
    assert (tiles.opacity[:, 0] == 1).all()
    shown = area(tiles.place) > 0
    assert shown[:, 0].all()
    assert (tiles.window[..., :2] >= views.bounds[..., :2] - 1e-5)[shown].all()
    assert (tiles.window[..., 2:] <= views.bounds[..., 2:] + 1e-5)[shown].all()
    alone = np.isin(codes, (PLAIN, STRONG))
    np.testing.assert_allclose(tiles.share()[alone], np.tile([1, 0], (alone.sum(), 1)))
    np.testing.assert_allclose(tiles.visible()[alone], np.tile([1, 0], (alone.sum(), 1)))
    assert ((tiles.visible() >= 0) & (tiles.visible() <= 1)).all()


@pytest.mark.parametrize(
    ("name", "visible"), [("centre-halves", 0.5), ("squeezed-halves", 1), ("blend", 0.5), ("region", 0.5)]
)
def test_what_survives_of_each_source(name: str, visible: float) -> None:
    tiles = tiles_of(name, np.full(9, LAYOUTS[name].codes[0], dtype=np.uint8))
    np.testing.assert_allclose(tiles.share(), 0.5, atol=1e-6)
    np.testing.assert_allclose(tiles.visible(), visible, atol=1e-5)


def test_the_box_of_cutmix_has_half_of_the_picture_on_average() -> None:
    tiles = tiles_of("cutmix", np.full(20_000, BOX, dtype=np.uint8))
    share = tiles.share()
    assert share[:, 1].mean() == pytest.approx(0.5, abs=0.01)
    assert share[:, 1].min() > 0.24
    np.testing.assert_allclose(tiles.visible(), share, atol=1e-5)
    np.testing.assert_allclose(tiles.window[:, 1], tiles.place[:, 1])
    assert tiles.place.min() >= 0
    assert tiles.place.max() <= 1


def test_caption_only_composition_shows_the_first_image_alone() -> None:
    tiles = tiles_of("first-image", np.full(3, LAYOUTS["first-image"].codes[0], dtype=np.uint8))
    np.testing.assert_allclose(tiles.share(), [[1, 0]] * 3)


@pytest.mark.parametrize("name", ["centre-halves", "cutmix", "blend", "region"])
def test_nothing_is_stretched(name: str) -> None:
    tiles = tiles_of(name, codes_of(name))
    shown = area(tiles.place) > 0
    for axis in (0, 1):
        window = tiles.window[..., 2 + axis] - tiles.window[..., axis]
        place = tiles.place[..., 2 + axis] - tiles.place[..., axis]
        np.testing.assert_allclose(window[shown], place[shown], atol=1e-5)


def slow_best_cover(box: tuple[float, float], low: float, high: float) -> float:
    """The most of an interval that a window of length 1/2 inside [low, high] can cover, by trying."""
    starts = np.linspace(low, high - 0.5, 2001)
    covered = np.minimum(starts + 0.5, box[1]) - np.maximum(starts, box[0])
    return float(covered.max(initial=0))


@given(st.integers(0, 10_000))
def test_a_region_is_kept_as_far_as_the_half_allows(seed: int) -> None:
    random = np.random.Generator(np.random.Philox(seed))
    low, high = -random.random(2), 1 + random.random(2)
    ends = np.sort(random.uniform(low, high, (2, 2)), axis=0)
    bounds = np.array([*low, *high], dtype=np.float32)
    views = Views(
        np.tile(bounds, (1, 2, 1)), np.tile(ends.reshape(4).astype(np.float32), (1, 2, 1)), np.zeros((1, 2), bool)
    )
    window = region(np.array([0]), np.zeros((1, 4), np.float32), views).window[0, 0]
    covered = min(window[2], ends[1, 0]) - max(window[0], ends[0, 0])
    assert covered == pytest.approx(slow_best_cover((ends[0, 0], ends[1, 0]), low[0], high[0]), abs=2e-3)
    assert window[2] - window[0] == pytest.approx(0.5, abs=1e-5)


def test_without_regions_the_region_layout_is_centre_halves() -> None:
    codes, views = codes_of("region"), views_of(300)
    np.testing.assert_array_equal(
        tiles_of("region", codes, views).window, tiles_of("centre-halves", codes, views).window
    )


def test_whole_images_are_never_cut_in_a_composite() -> None:
    views = views_of(3)
    views = Views(views.bounds, views.region, np.array([[True, False], [False, False], [True, True]]))
    codes = np.array([TOP_BOTTOM, TOP_BOTTOM, PLAIN], dtype=np.uint8)
    tiles = uncut(tiles_of("centre-halves", codes, views), views, codes)
    np.testing.assert_array_equal(tiles.window[0, 0], views.bounds[0, 0])
    np.testing.assert_allclose(tiles.window[0, 1], [0, 0.25, 1, 0.75])
    np.testing.assert_allclose(tiles.window[2, 0], [0, 0, 1, 1])


def test_codes_have_names() -> None:
    assert [shape.name for shape in SHAPES] == [
        *("plain", "left-right", "top-bottom", "strong", "box", "overlay", "first-image"),
    ]
    for layout in LAYOUTS.values():
        assert layout.all_shapes == SHAPES
        assert [SHAPES[code] for code in layout.codes] == list(layout.shapes)


def test_shapes_of_ones_own_have_the_codes_that_follow() -> None:
    layout = Layout((Shape("a"), Shape("box"), Shape("b")), LAYOUTS["blend"].arrange)
    assert layout.codes == (7, 4, 8)
    assert [shape.name for shape in layout.all_shapes[7:]] == ["a", "b"]


@pytest.mark.parametrize("language", ["english", "japanese"])
def test_templates_of_a_common_shape_cannot_be_replaced(language: str) -> None:
    own = Shape("box", **{language: ("{a} around {b}", "{a}; {b}")})
    with pytest.raises(UserError, match="box is a shape of clipc, whose templates cannot be changed"):
        Layout((own,), LAYOUTS["blend"].arrange)
    assert Layout((SHAPES[BOX],), LAYOUTS["blend"].arrange).codes == (BOX,)


@pytest.mark.parametrize("names", [[], ["a", "a"], ["plain"], ["a", "strong"]])
def test_shapes_that_cannot_be_told_apart_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match="distinct names"):
        Layout(tuple(map(Shape, names)), LAYOUTS["blend"].arrange)


def _tiles(window: object = None, place: object = None, opacity: object = None) -> Tiles:
    whole = LAYOUTS["blend"].tiles(np.full(3, 5, np.uint8), np.zeros((3, 4), np.float32), Views.plain(3))
    given = (whole.window, window), (whole.place, place), (whole.opacity, opacity)
    return Tiles(*(usual if other is None else np.asarray(other, np.float32) for usual, other in given))


HALF = [[[0, 0, 0.5, 1], [0, 0, 0, 0]]] * 3
REVERSED = [[[0, 0, 1, 1], [1, 1, 0, 0]]] * 3  # on both axes, so that its area is positive


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (None, "must return clipc.Tiles"),
        (_tiles(window=np.ones((3, 4))), "window is finite numbers of shape"),
        (_tiles(opacity=np.full((3, 2), np.nan)), "opacity is finite"),
        (_tiles(place=np.full((3, 2, 4), 1.5)), "outside the image"),
        (_tiles(window=np.zeros((3, 2, 4))), "window without area"),
        (_tiles(window=REVERSED), "window without area"),
        (_tiles(place=REVERSED), "whose edges are not in order"),
        (_tiles(place=[[[1, 1, 0, 0], [0, 0, 1, 1]]] * 3, opacity=[[1, 1]] * 3), "whose edges are not in order"),
        (_tiles(place=HALF), "do not fill the image"),
        (_tiles(opacity=[[1, 5]] * 3), r"opacity outside \[0, 1\]"),
        (_tiles(opacity=[[1, -0.5]] * 3), r"opacity outside \[0, 1\]"),
        (_tiles(opacity=np.full((3, 2), 0.5)), "do not fill the image, or whose first source is not opaque"),
    ],
)
def test_tiles_that_cannot_be_shown_are_refused(made: object, match: str) -> None:
    layout = Layout((Shape("own"),), lambda shape, draws, views: made)  # type: ignore
    with pytest.raises(UserError, match=match):
        layout.tiles(np.array([7, 0, 7, 7], np.uint8), np.zeros((4, 4), np.float32), Views.plain(4))


def test_boxes_in_pixels_fractions_lists_and_text_are_the_same() -> None:
    sizes = np.array([[200, 100]] * 5)
    values = ["20, 10, 100, 50", [0.1, 0.1, 0.5, 0.5], "[20,10,100,50]", "20 10 100 50", None]
    boxes = read_boxes(values, sizes, column="box", keys=list("abcde"))
    np.testing.assert_allclose(boxes[:4], [[0.1, 0.1, 0.5, 0.5]] * 4)
    assert np.isnan(boxes[4]).all()


@pytest.mark.parametrize("value", ["left", "1,2,3", "[1,2", [5, 5, 5, 9], "10,10,300,50", {"x": 1}, "nan,0,1,1"])
def test_what_is_no_box_is_told_with_its_pair(value: object) -> None:
    with pytest.raises(UserError, match=r"column 'box' of pair 'k7'"):
        read_boxes([value], np.array([[200, 100]]), column="box", keys=["k7"])
