import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import RandomResizedCrop

from clipc.render.crop import view_boxes


@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
    st.integers(0, 1000),
)
def test_boxes_lie_inside_whatever_the_shape(width: int, height: int, a: float, b: float, seed: int) -> None:
    draws = np.random.Generator(np.random.Philox(seed)).random((50, 4))
    scale = np.tile(sorted((a, b)), (50, 1))
    boxes = view_boxes(draws, np.tile([width, height], (50, 1)), scale, (3 / 4, 4 / 3))
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width + 1e-6).all()
    assert (boxes[:, 3] <= height + 1e-6).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_areas_and_shapes_agree_with_torchvision() -> None:
    n = 4000
    draws = np.random.Generator(np.random.Philox(0)).random((n, 4))
    boxes = view_boxes(draws, np.tile([500, 375], (n, 1)), np.tile([0.3, 0.7], (n, 1)), (3 / 4, 4 / 3))
    size = boxes[:, 2:] - boxes[:, :2]
    torch.manual_seed(0)
    image = torch.empty(3, 375, 500)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.3, 0.7], [3 / 4, 4 / 3]) for _ in range(n)])
    for ours, other in ((size[:, 0], theirs[:, 3]), (size[:, 1], theirs[:, 2]), (boxes[:, 0], theirs[:, 1])):
        quantiles = np.linspace(0.05, 0.95, 10)
        np.testing.assert_allclose(np.quantile(ours, quantiles), np.quantile(other, quantiles), atol=12)
