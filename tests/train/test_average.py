"""The running average of weights, against the plainest way to write it."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from clipc.train.average import WeightAverage


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    net[2].weight.requires_grad_(False)
    net.register_buffer("mask", torch.full((2,), -torch.inf))
    return net


def train_step(net: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    net.zero_grad()
    net(torch.randn(8, 3, generator=generator)).square().mean().backward()
    torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.5).step()


def state(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


@given(st.integers(1, 12), st.floats(0.1, 9))
@settings(deadline=None, max_examples=25)
def test_it_is_the_sum_that_the_formula_gives(steps: int, horizon: float) -> None:
    net = network()
    average = WeightAverage(net, horizon)
    seen = [state(net)]
    for step in range(steps):
        train_step(net, step)
        average.update(net)
        seen.append(state(net))
    decay = max(0.0, 1 - 1 / max(1, horizon))
    names = {"0.weight", "0.bias", "1.weight", "1.bias", "2.bias", "1.running_mean", "1.running_var"}
    assert average.tensors.keys() == names
    for name in names:
        expected = decay**steps * seen[0][name].double()
        for i, weights in enumerate(seen[1:], start=1):
            expected += (1 - decay) * decay ** (steps - i) * weights[name].double()
        torch.testing.assert_close(average.tensors[name].double(), expected, rtol=1e-4, atol=1e-6)


def test_the_weights_come_back_and_what_is_frozen_never_moves() -> None:
    net = network()
    average = WeightAverage(net, 4)
    for step in range(5):
        train_step(net, step)
        average.update(net)
    before = state(net)
    with average.applied(net):
        inside = state(net)
    after = state(net)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(inside[name], tensor) for name, tensor in average.tensors.items())
    assert not torch.equal(inside["0.weight"], before["0.weight"])
    for name in ("2.weight", "mask", "1.num_batches_tracked"):
        assert torch.equal(inside[name], before[name])


def test_a_loaded_average_goes_on_bit_by_bit() -> None:
    nets = network(), network()
    one, other = (WeightAverage(net, 3) for net in nets)
    for step in range(6):
        for net in nets:
            train_step(net, step)
        one.update(nets[0])
        if step >= 3:
            other.update(nets[1])
        if step == 2:
            other.load({name: tensor.clone() for name, tensor in one.tensors.items()})
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())


def test_tied_weights_stay_tied() -> None:
    net = network()
    net.register_module("again", net[0])
    average = WeightAverage(net, 2)
    train_step(net[:3], 0)  # type: ignore[index]
    average.update(net)
    with average.applied(net):
        assert net.again.weight is net[0].weight  # type: ignore[index]
        assert torch.equal(net[0].weight, average.tensors["0.weight"])  # type: ignore[index]
