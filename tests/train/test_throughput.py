import json
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from clipc.models.model import ClipModel
from clipc.models.tuning import Tuning, apply_tuning
from clipc.train import throughput
from clipc.train.throughput import Meter, StepFlops, data_sheet, peak_flops, peak_memory

CPU = torch.device("cpu")


def closed_form(width: int, layers: int, tokens: int) -> float:
    """Forward and backward of a transformer: products with weights, and attention's two products."""
    return 3.0 * layers * (24 * tokens * width**2 + 4 * tokens**2 * width)


@pytest.fixture(scope="module")
def small_vit() -> ClipModel:
    return ClipModel.create("ViT-S-16")


@pytest.fixture(scope="module")
def counted(small_vit: ClipModel) -> StepFlops:
    flops = StepFlops.count(small_vit)
    assert flops is not None
    return flops


def test_the_count_agrees_with_the_closed_form_for_vit_s_16(counted: StepFlops) -> None:
    patches = 2 * 2 * 196 * 3 * 16**2 * 384  # pictures need no gradient
    assert counted.image == pytest.approx(closed_form(384, 12, 197) + patches, rel=0.01)
    assert counted.of_pair(77) - counted.image == pytest.approx(closed_form(384, 12, 77), rel=0.01)
    assert counted.of_pair(77) - counted.image == pytest.approx(0.27 * counted.of_pair(77), rel=0.02)


@pytest.mark.parametrize("tokens", [8, 24, 40, 56])
def test_between_two_lengths_a_straight_line_is_near_enough(
    small_vit: ClipModel, counted: StepFlops, tokens: int
) -> None:
    exact = throughput._count(small_vit, "encode_tokens", throughput._captions(tokens, 77))
    assert counted.of_pair(tokens) == pytest.approx(counted.image + exact, rel=0.003)


def test_counting_leaves_the_model_as_it_was_and_agrees_with_a_real_step(tiny_model: str) -> None:
    model = ClipModel.create(tiny_model).train()
    for p in model.parameters():
        p.grad = torch.full_like(p, 7.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    flops = StepFlops.count(model)
    assert flops is not None
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.grad is not None and p.grad.eq(7).all() for p in model.parameters())
    # PyTorch 2.11 does not count the CPU's fused attention; as plain products it is counted by all.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        images = model.encode_image(torch.zeros(4, 16, 16, 3, dtype=torch.uint8))
        text = model.encode_tokens(throughput._captions(32, 32).repeat(2, 1))
        (images.sum() + text.sum()).backward()
    assert 4 * flops.of_pair(32) == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_running_statistics_of_convolutional_towers_stay(tiny_model: str, tmp_path: Path) -> None:
    config = json.loads(Path(tiny_model).read_text())
    config["vision_cfg"] = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16, "patch_size": None}
    (tmp_path / "convolutions.json").write_text(json.dumps(config))
    model = ClipModel.create(str(tmp_path / "convolutions.json")).train()
    assert any("running_mean" in name for name, _ in model.named_buffers())
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    assert StepFlops.count(model) is not None
    assert all(torch.equal(before[name], tensor) for name, tensor in model.named_buffers())


def test_convolutions_in_groups_cost_twice_as_much_backward(tiny_model: str, tmp_path: Path) -> None:
    config = json.loads(Path(tiny_model).read_text())
    names = {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "timm_proj": "linear", "image_size": 64}
    (tmp_path / "groups.json").write_text(json.dumps({**config, "vision_cfg": names}))
    model = ClipModel.create(str(tmp_path / "groups.json"))
    flops = StepFlops.count(model)
    assert flops is not None
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.encode_image(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert 2.5 < flops.image / counter.get_total_flops() <= 3  # The first layer needs no gradient of the images.


def test_a_locked_tower_costs_no_backward(tiny_model: str) -> None:
    model = ClipModel.create(tiny_model)
    whole = StepFlops.count(model)
    model.clip.visual.requires_grad_(False)  # type: ignore[union-attr]
    locked = StepFlops.count(model)
    assert whole is not None
    assert locked is not None
    assert locked.long == whole.long
    assert locked.image < 0.4 * whole.image


def test_adapters_are_counted(tiny_model: str) -> None:
    pytest.importorskip("peft")
    model = ClipModel.create(tiny_model)
    whole = StepFlops.count(model)
    apply_tuning(model.clip, Tuning(lora=2))
    adapted = StepFlops.count(model)
    assert whole is not None
    assert adapted is not None
    assert 0.3 * whole.image < adapted.image < whole.image * 1.5


def test_a_compiled_model_is_counted_without_compiling(tiny_model: str) -> None:
    model = ClipModel.create(tiny_model)
    expected = StepFlops.count(model)
    model.clip.visual.compile()  # type: ignore[union-attr]
    throughput._COUNTED.clear()
    assert StepFlops.count(model) == expected


def test_what_is_computed_twice_counts_once(tiny_model: str) -> None:
    model = ClipModel.create(tiny_model)
    expected = StepFlops.count(model)
    model.clip.set_grad_checkpointing(True)  # type: ignore[operator]
    throughput._COUNTED.clear()
    assert StepFlops.count(model) == expected
    assert model.clip.transformer.grad_checkpointing  # type: ignore[union-attr]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_tells_of_the_steps_since_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "peak_flops", lambda *_: (1000.0, "a test"))
    clock = Clock()
    flops = StepFlops(10.0, (8, 1.0), (16, 3.0))
    meter = Meter(CPU, torch.float32, flops, ranks=2, clock=clock)
    clock.now = 100.0
    meter.restart()
    for _ in range(4):
        clock.now += 0.5
        meter.tick(8, 0.1, 12.0)
    line = meter.metrics()
    assert line["pairs_per_second"] == pytest.approx(2 * 32 / 2)
    assert line["loader_wait"] == pytest.approx(0.2)
    assert line["mfu"] == pytest.approx(32 * 12.0 / 2 / 1000)
    assert line["peak_memory"] > 1e7
    clock.now += 1
    assert meter.metrics()["pairs_per_second"] == 0


@given(steps=st.lists(st.tuples(st.integers(0, 10**5), st.floats(0, 10), st.floats(0, 10)), max_size=5))
def test_shares_are_shares(steps: list[tuple[int, float, float]]) -> None:
    clock = Clock()
    meter = Meter(CPU, torch.float32, None, clock=clock)
    for pairs, waited, took in steps:
        clock.now += took
        meter.tick(pairs, waited, 8.0)
    line = meter.metrics()
    assert 0 <= line["loader_wait"] <= 1
    assert "mfu" not in line


def test_memory_is_in_bytes() -> None:
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("needs Linux's figure to compare with")
    highest = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert highest is not None
    assert peak_memory(CPU) == pytest.approx(int(highest[1]) * 1024, rel=0.05)


@pytest.mark.parametrize(
    ("name", "kind", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.5),
        ("NVIDIA H100 PCIe", "bfloat16", 756.5),
        ("NVIDIA H200", "tf32", 494.7),
        ("NVIDIA GH200 480GB", "float16", 989.5),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312),
        ("NVIDIA A100 80GB PCIe", "float32", 19.5),
        ("NVIDIA A100-PCIE-40GB", "tf32", 156),
        ("Tesla V100-SXM2-16GB", "float16", 125),
        ("Tesla V100-SXM2-16GB", "bfloat16", None),
        ("Tesla T4", "tf32", 8.1),
        ("NVIDIA L4", "bfloat16", 121),
        ("NVIDIA L40S", "bfloat16", 362),
        ("NVIDIA GeForce RTX 4090", "bfloat16", 165.2),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bfloat16", None),
        ("NVIDIA GeForce RTX 4090 D", "bfloat16", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bfloat16", None),
        ("NVIDIA GeForce GTX 1080", "float32", None),
        ("AMD Instinct MI300X", "bfloat16", 1307.4),
        ("A new one", "bfloat16", None),
        ("", "bfloat16", None),
    ],
)
def test_a_gpus_peak_is_looked_up_and_never_guessed(name: str, kind: str, teraflops: float | None) -> None:
    assert data_sheet(name, kind) == (None if teraflops is None else teraflops * 1e12)


def test_data_sheets_are_in_order() -> None:
    for half, tf32, single in throughput._teraflops().values():
        assert half > single
        assert tf32 is None or half / tf32 == pytest.approx(2, rel=0.03)
        assert tf32 is None or tf32 >= single


def test_float32_on_a_gpu_is_tf32_where_pytorch_may_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H100 80GB HBM3")
    device = torch.device("cuda")
    assert peak_flops(device, torch.float32) == (67e12, "data sheet of NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert peak_flops(device, torch.float32)[0] == 494.7e12
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Something")
    assert peak_flops(device, torch.bfloat16) == (None, "no data sheet known for Something")


def test_a_cpus_peak_is_measured_and_no_product_beats_it_by_much() -> None:
    peak, where = peak_flops(CPU, torch.float32)
    assert where == "measured matrix product"
    assert peak is not None
    assert peak == peak_flops(CPU, torch.float32)[0]
    assert 1e9 < peak < 1e14


def test_the_table_names_its_sources() -> None:
    lines = Path(throughput.__file__).with_name("gpus.yaml").read_text("utf-8").splitlines()[2:]
    assert lines[0].startswith("#")
    assert all(re.match(r"# .*(data sheets?|papers)|[a-z]", line) for line in lines)
