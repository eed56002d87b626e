import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from clipc.train.wise_ft import choose_alpha, interpolate


def states(dtype: torch.dtype = torch.float32) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    def state(seed: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {
            "weight": torch.randn(3, 4, generator=generator).to(dtype),
            "scale": torch.randn((), generator=generator).to(dtype),
            "norm.running_var": torch.rand(3, generator=generator).to(dtype),
            "norm.num_batches_tracked": torch.tensor(10 + seed),
        }

    return state(0), state(1)


@given(alpha=st.floats(0, 1))
def test_every_number_is_that_of_a_slow_reference(alpha: float) -> None:
    start, tuned = states()
    found = interpolate(start, tuned, alpha)
    assert list(found) == list(tuned)
    for name, tensor in found.items():
        pairs = zip(start[name].flatten().tolist(), tuned[name].flatten().tolist(), strict=True)
        expected = [b if name.endswith("tracked") else (1 - alpha) * a + alpha * b for a, b in pairs]
        np.testing.assert_allclose(tensor.flatten().tolist(), expected, atol=1e-6)
        assert tensor.dtype == tuned[name].dtype
        assert tensor.shape == tuned[name].shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_both_ends_are_exact_and_copies(dtype: torch.dtype) -> None:
    start, tuned = states(dtype)
    for alpha, end in ((0, start), (1, tuned)):
        found = interpolate(start, tuned, alpha)
        assert all(torch.equal(found[name], end[name]) for name in ("weight", "scale", "norm.running_var"))
        found["weight"].zero_()
        assert end["weight"].any()


@pytest.mark.parametrize("change", [{"other": torch.zeros(1)}, {"weight": torch.zeros(4, 3)}])
def test_weights_of_another_model_are_refused(change: dict[str, Tensor]) -> None:
    start, tuned = states()
    with pytest.raises(ValueError, match="different names or shapes"):
        interpolate(start, tuned | change, 0.5)
    with pytest.raises(ValueError, match="alpha"):
        interpolate(start, tuned, 1.5)


def on_a_line() -> tuple[nn.Linear, dict[str, Tensor], dict[str, Tensor]]:
    """A model whose only weight is alpha itself."""
    return nn.Linear(1, 1, bias=False), {"weight": torch.zeros(1, 1)}, {"weight": torch.ones(1, 1)}


def test_the_best_alpha_is_chosen_and_stays_in_the_model() -> None:
    model, start, tuned = on_a_line()
    alpha, curve = choose_alpha(model, start, tuned, lambda m: 1 - (m.weight.item() - 0.62) ** 2)
    assert alpha == 0.6
    assert model.weight.item() == pytest.approx(0.6)
    assert list(curve) == [i / 10 for i in range(11)]
    assert curve[1.0] == pytest.approx(1 - 0.38**2)


def test_of_equal_metrics_the_one_nearest_to_the_start_is_taken() -> None:
    model, start, tuned = on_a_line()
    alpha, curve = choose_alpha(model, start, tuned, lambda m: min(m.weight.item(), 0.35), alphas=(1.0, 0.5, 0.4, 0.0))
    assert alpha == 0.4
    assert list(curve) == [0.0, 0.4, 0.5, 1.0]
    assert curve[0.4] == curve[1.0] == 0.35
    assert choose_alpha(model, start, tuned, lambda _: 0.5)[0] == 0.0
    assert model.weight.item() == 0
