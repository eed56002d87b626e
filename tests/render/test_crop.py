import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop

from clipc.compose.arrays import Float64s
from clipc.render.crop import TRIES, view_boxes

RATIO = (3 / 4, 4 / 3)


def boxes(n: int, width: int, height: int, scale: tuple[float, float], seed: int = 0) -> Float64s:
    generator = np.random.Generator(np.random.Philox(seed))
    shapes, corners = generator.random((n, TRIES, 2)), generator.random((n, 2))
    return view_boxes(shapes, corners, np.tile([width, height], (n, 1)), np.tile(scale, (n, 1)), RATIO)


@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
    st.integers(0, 1000),
)
def test_boxes_lie_inside_whatever_the_shape(width: int, height: int, a: float, b: float, seed: int) -> None:
    views = boxes(50, width, height, (min(a, b), max(a, b)), seed)
    assert (views[:, :2] >= 0).all()
    assert (views[:, 2] <= width + 1e-6).all()
    assert (views[:, 3] <= height + 1e-6).all()
    assert (views[:, 2:] > views[:, :2]).all()
    ratio = np.divide(*(views[:, 2:] - views[:, :2]).T)
    assert (ratio >= RATIO[0] - 1e-9).all()
    assert (ratio <= RATIO[1] + 1e-9).all()


@pytest.mark.parametrize(("width", "height"), [(400, 400), (500, 375), (640, 300), (300, 900), (375, 500)])
@pytest.mark.parametrize("scale", [(0.5, 1.0), (0.25, 0.5), (0.8, 1.0)])
def test_areas_shapes_and_places_are_distributed_as_torchvisions(
    width: int, height: int, scale: tuple[float, float]
) -> None:
    views = boxes(3000, width, height, scale)
    size, corner = np.rint(views[:, 2:] - views[:, :2]), np.rint(views[:, :2])
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = np.array([RandomResizedCrop.get_params(image, list(scale), list(RATIO)) for _ in range(3000)])
    ours = (size.prod(axis=1), size[:, 0], size[:, 1], corner[:, 0], corner[:, 1])
    others = (theirs[:, 2] * theirs[:, 3], theirs[:, 3], theirs[:, 2], theirs[:, 1], theirs[:, 0])
    for number, (one, other) in enumerate(zip(ours, others, strict=True)):
        # Our corners lie between pixels, so 0 is rounded to half as often.
        assert ks_2samp(one, other).statistic < (0.05 if number < 3 else 0.09)


def test_the_mean_area_is_torchvisions() -> None:
    """Large shares fit less often, so the mean is below the middle of the range (0.75)."""
    views = boxes(40_000, 400, 400, (0.5, 1.0))
    area = (views[:, 2:] - views[:, :2]).prod(axis=1) / 400**2
    torch.manual_seed(1)
    image = torch.empty(3, 400, 400)
    theirs = [RandomResizedCrop.get_params(image, [0.5, 1.0], list(RATIO))[2:] for _ in range(8000)]
    assert area.mean() == pytest.approx(np.prod(theirs, axis=1).mean() / 400**2, abs=0.004)
    assert area.mean() < 0.72
