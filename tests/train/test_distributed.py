"""Groups of processes on this machine, over gloo: what they compute together, and how they end."""

import inspect
import multiprocessing
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributed.run import get_args_parser
from torch.nn import functional as F

from clipc.cli import app
from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.study.pool import TASK_MODULES
from clipc.train import distributed, parallel
from clipc.train.distributed import World, local_batch_size, process_group
from clipc.train.launcher import LaunchInfo, first_host, read_launch_info
from clipc.train.loss import contrastive_loss, local_contrastive_loss, shared_sources
from clipc.train.optimizer import adamw
from clipc.train.parallel import data_parallel, gather, gather_with_gradient

BATCH = 8
CPU = torch.device("cpu")
LAUNCHERS = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "SLURM_STEP_NUM_TASKS",
)
# The server imports torch once; each process of a test is a quick copy of it. A process has one server: the pools of
# other tests' studies use it too.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([*TASK_MODULES, "clipc.train.distributed", "clipc.models.model", "hypothesis"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    place = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in place.items()}


def one(rank: int, size: int, port: int, file: Path, task: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.update(environment(rank, size, port))
    torch.set_num_threads(1)
    torch.save(task(*arguments), file)


def together(size: int, folder: Path, task: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a task gives in each process of a group."""
    port, files = free_port(), [folder / f"{size}-{rank}.pt" for rank in range(size)]
    processes = [
        CONTEXT.Process(target=one, args=(rank, size, port, file, task, arguments)) for rank, file in enumerate(files)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * size
    finally:
        for process in processes:
            process.kill()
    return [torch.load(file) for file in files]


# One process, and what the environment says


def test_one_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(distributed, "dist", None)  # Whatever is asked of it fails.
    monkeypatch.setattr(parallel, "DistributedDataParallel", None)
    model, features = nn.Linear(2, 2), torch.ones(3, 2)
    with process_group() as world:
        assert world == World()
        assert world.main
        world.barrier()
        assert (world.any(True), world.any(False), world.sum([1.5, 2]), world.broadcast("x")) == (
            True,
            False,
            [1.5, 2],
            "x",
        )
        assert gather(features, world) is features
        assert gather_with_gradient(features, world) is features
        assert data_parallel(model, world, CPU) is model
        assert local_batch_size(7, world) == 7


@given(st.integers(1, 200), st.integers(1, 16))
def test_shares_are_even_or_the_nearest_are_named(batch_size: int, size: int) -> None:
    world = World(0, size)
    if batch_size % size == 0:
        assert local_batch_size(batch_size, world) * size == batch_size
        return
    with pytest.raises(UserError) as error:
        local_batch_size(batch_size, world)
    named = [
        int(word.rstrip(".").removeprefix("batch_size=")) for word in str(error.value).split("set ")[1].split(" or ")
    ]
    assert named == [n for n in range(batch_size - size + 1, batch_size + size) if n > 0 and n % size == 0]


LOCAL = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", **LOCAL, "MASTER_ADDR": "a", "MASTER_PORT": "29500"}
TASK = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_GTIDS": "2,3"}
SRUN = {**TASK, "SLURM_STEP_NUM_TASKS": "4", "SLURM_JOB_ID": "7"}


@pytest.mark.parametrize(
    ("variables", "info"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, None),
        (TORCHRUN, LaunchInfo(5, 8, 1, 4, "env://", own_gpu=False)),
        ({**TORCHRUN, **SRUN}, LaunchInfo(5, 8, 1, 4, "env://", own_gpu=False)),  # torchrun below srun
        ({**SRUN, "SLURM_STEP_NODELIST": "gpu[3-4]"}, LaunchInfo(3, 4, 1, 2, "tcp://gpu3:20217", own_gpu=True)),
        ({**SRUN, "MASTER_ADDR": "b", "MASTER_PORT": "9"}, LaunchInfo(3, 4, 1, 2, "tcp://b:9", own_gpu=True)),
        ({**SRUN, "SLURM_STEP_NUM_TASKS": "1"}, None),
        (
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "7"},
            None,
        ),  # the batch script
    ],
)
def test_launch_info(variables: dict[str, str], info: LaunchInfo | None) -> None:
    assert read_launch_info(variables) == info


@pytest.mark.parametrize("missing", ["MASTER_ADDR", "MASTER_PORT"])
def test_an_incomplete_environment_is_told(missing: str) -> None:
    with pytest.raises(UserError, match=f"{missing} is not set"):
        read_launch_info({name: value for name, value in TORCHRUN.items() if name != missing})


def test_a_rank_that_is_no_number_is_told() -> None:
    with pytest.raises(UserError, match="RANK='x'"):
        read_launch_info({**TORCHRUN, "RANK": "x"})


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("gpu[03-05,9],cpu1", "gpu03"),
        ("gpu[7]", "gpu7"),
        ("rack[0-1]node[2,4]-ib,x", "rack0node2-ib"),
        ("a-1.example.org,b", "a-1.example.org"),
    ],
)
def test_first_host(hosts: str, first: str) -> None:
    assert first_host(hosts) == first


def test_processes_that_do_not_find_each_other_say_where_they_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(1, 2, free_port()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "TIMEOUT", timedelta(seconds=1))
    with pytest.raises(UserError, match=r"did not find each other at 127.0.0.1.*rank 1"), process_group("cpu"):
        pass


@pytest.mark.parametrize(
    ("launcher", "local_rank", "gpus", "index"),
    [("torchrun", 1, 2, 1), ("torchrun", 1, 1, None), ("srun", 1, 2, 1), ("srun", 1, 1, 0), ("srun", 2, 2, None)],
)
def test_each_process_takes_the_gpu_of_its_local_rank(
    monkeypatch: pytest.MonkeyPatch, launcher: str, local_rank: int, gpus: int, index: int | None
) -> None:
    taken: list[int] = []
    backends: list[str] = []
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    numbers = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": str(local_rank)}
    tasks = {**SRUN, "SLURM_LOCALID": str(local_rank)}
    for name, value in ({**TORCHRUN, **numbers} if launcher == "torchrun" else tasks).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(distributed, "rendezvous", lambda *_, **__: iter([(distributed.dist.HashStore(), 0, 1)]))
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda backend, *_, **__: backends.append(backend))
    monkeypatch.setattr(distributed.dist, "new_group", lambda **_: None)
    monkeypatch.setattr(World, "barrier", lambda world: None)
    if index is None:
        with pytest.raises(UserError, match=f"start {gpus} processes here"), process_group():
            pass
        return
    with process_group() as world:
        assert world == World(3, 4, local_rank, 4 if launcher == "torchrun" else 2)
    assert taken == [index]
    assert backends == ["cpu:gloo,cuda:nccl" if distributed.dist.is_nccl_available() else "gloo"]


def test_commands_of_the_guide_are_understood() -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "distributed.md"
    scripts = re.findall(r"```sh\n(.*?)```", guide.read_text("utf-8"), re.DOTALL)
    commands = [shlex.split(line) for script in scripts for line in script.replace("\\\n", " ").splitlines()]
    launched = [words for words in commands if "train" in words]
    assert len(launched) >= 4
    for words in launched:
        app.parse_args(words[words.index("train") :], exit_on_error=False, print_error=False)
        if "torchrun" in words:
            start = words.index("torchrun") + 1
            understood, _ = get_args_parser().parse_known_args(words[start:])
            assert (understood.module, understood.training_script) == (True, "clipc")


# What they tell each other, and gradients


class Towers(nn.Module):
    """Two towers in double precision."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.image, self.text = nn.Linear(12, 6, dtype=torch.float64), nn.Linear(10, 6, dtype=torch.float64)
        self.scale = nn.Parameter(torch.tensor(1.5, dtype=torch.float64))

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        image, text = self.image(images.double()), self.text(tokens.double())
        return F.normalize(image, dim=-1), F.normalize(text, dim=-1), self.scale.exp()


def batch(step: int, config: str | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(step)
    ids = [torch.randint(-1, 12, (BATCH, 2), generator=chance) for _ in range(2)]
    if config is None:
        return torch.randn(BATCH, 12, generator=chance), torch.randn(BATCH, 10, generator=chance), *ids
    tokens = torch.zeros(BATCH, 32, dtype=torch.int64)
    for i in range(BATCH):
        words = torch.randint(1, 49000, (3 + 3 * i,), generator=chance)
        tokens[i, : len(words) + 1] = torch.cat([words, torch.tensor([49407])])
    return torch.randint(0, 256, (BATCH, 16, 16, 3), generator=chance, dtype=torch.uint8), tokens, *ids


def learn(world: World, config: str | None, steps: int) -> dict[str, Any]:
    """Some steps of training: the losses, and the gradients of the first step."""
    model = Towers() if config is None else ClipModel.create(config, seed=5)
    optimizer = adamw(model, 1e-2, 0.1, (0.9, 0.98))
    parallel = data_parallel(model, world, CPU)
    rows = local_batch_size(BATCH, world)
    offset = world.rank * rows
    losses, gradients = [], {}
    for step in range(steps):
        images, tokens, sources, texts = (part[offset : offset + rows] for part in batch(step, config))
        image, text, scale = parallel(images, tokens)
        same = shared_sources(sources, texts, gather(sources, world), gather(texts, world))
        all_image, all_text = gather_with_gradient(torch.stack([image, text], dim=1), world).unbind(dim=1)
        loss = local_contrastive_loss(image, text, all_image, all_text, scale, offset, same)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        optimizer.step()
        losses.append(world.sum([float(loss.detach())])[0] / world.size)
    return {"losses": losses, "gradients": gradients}


def everything(config: str) -> dict[str, Any]:
    """What a group can do, in one start."""
    with process_group("cpu") as world:
        found: dict[str, Any] = {
            "world": [world.rank, world.size, world.local_rank, world.local_size, world.main],
            "any": [world.any(False), world.any(world.rank == world.size - 1), world.any(True)],
            "sum": world.sum([float(world.rank), 0.1]),
            "broadcast": [world.broadcast({"rank": world.rank, "字": [1, None, 0.1]}), world.broadcast([world.rank])],
            "gathered": {},
            "returned": {},
        }
        world.barrier()
        for dtype in (torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.bool):
            found["gathered"][str(dtype)] = gather(torch.tensor([[world.rank, 1]] * 3).to(dtype), world)
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            own = torch.full((2, 3), world.rank, dtype=dtype, requires_grad=True)
            everyone = gather_with_gradient(own, world)
            assert everyone.requires_grad
            (everyone * torch.arange(world.size * 2)[:, None] * (world.rank + 1)).sum().backward()
            found["returned"][str(dtype)] = own.grad
        found["double"], found["single"] = learn(world, None, 1), learn(world, config, 4)
        try:
            data_parallel(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), world, CPU)
        except UserError as error:
            found["batch norm"] = str(error)
        locked = nn.Sequential(nn.BatchNorm2d(3).requires_grad_(False), nn.Conv2d(3, 4, 1))
        found["locked"] = type(data_parallel(locked, world, CPU)).__name__
        return found


@pytest.fixture(scope="module")
def alone(tiny_model: str) -> dict[str, Any]:
    return {"double": learn(World(), None, 1), "single": learn(World(), tiny_model, 4)}


@pytest.fixture(scope="module", params=[2, 4])
def group(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> list[Any]:
    return together(request.param, tmp_path_factory.mktemp("group"), everything, tiny_model)


def test_they_know_each_other(group: list[Any]) -> None:
    size = len(group)
    for rank, found in enumerate(group):
        assert found["world"] == [rank, size, rank, size, rank == 0]
        assert found["any"] == [False, True, True]
        assert found["sum"] == pytest.approx([size * (size - 1) / 2, 0.1 * size])
        assert found["sum"] == group[0]["sum"]
        assert found["broadcast"] == [{"rank": 0, "字": [1, None, 0.1]}, [0]]


def test_rows_come_in_the_order_of_ranks(group: list[Any]) -> None:
    for found in group:
        for rows in found["gathered"].values():
            expected = torch.tensor([[rank, 1] for rank in range(len(group)) for _ in range(3)])
            assert torch.equal(rows, expected.to(rows.dtype))


def test_a_row_gets_its_gradient_from_all(group: list[Any]) -> None:
    weights = sum(range(1, len(group) + 1))
    for rank, found in enumerate(group):
        for gradient in found["returned"].values():
            expected = torch.tensor([[2 * rank], [2 * rank + 1]]).expand(2, 3) * weights
            assert torch.equal(gradient, expected.to(gradient.dtype))


@pytest.mark.parametrize(("precision", "tolerance"), [("double", 1e-12), ("single", 1e-5)])
def test_gradients_are_those_of_the_whole_batch(
    group: list[Any], alone: dict[str, Any], precision: str, tolerance: float
) -> None:
    expected = alone[precision]["gradients"]
    assert len(expected) > 4
    for found in group:
        assert found[precision]["gradients"].keys() == {*expected}
        for name, gradient in found[precision]["gradients"].items():
            torch.testing.assert_close(gradient, expected[name], atol=tolerance, rtol=tolerance)


def test_the_loss_curve_is_that_of_one_process(group: list[Any], alone: dict[str, Any]) -> None:
    expected = alone["single"]["losses"]
    assert expected[-1] != pytest.approx(expected[0], abs=0.01)
    for found in group:
        assert found["single"]["losses"] == pytest.approx(expected, abs=1e-4)
        assert found["single"]["losses"] == group[0]["single"]["losses"]


def test_one_process_agrees_with_the_plain_loss(alone: dict[str, Any]) -> None:
    model = Towers()
    images, tokens, sources, texts = batch(0, None)
    loss = contrastive_loss(*model(images, tokens), shared_sources(sources, texts))
    loss.backward()
    assert float(loss.detach()) == alone["double"]["losses"][0]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, alone["double"]["gradients"][name])


def test_batch_norm_that_learns_is_refused_on_cpus(group: list[Any]) -> None:
    for found in group:
        assert "start one process, or set model to one without" in found["batch norm"]
        assert found["locked"] == "DistributedDataParallel"


# How they end


def one_fails(how: str) -> str:
    if how in ("silent", "alone"):
        distributed.TIMEOUT = timedelta(seconds=3)  # type: ignore[misc]
    if how == "silent":
        distributed.CONTROL_TIMEOUT = timedelta(seconds=3)  # type: ignore[misc]
    try:
        with process_group("cpu") as world:
            world.barrier()
            if world.rank == 1 and how == "wrong":
                raise UserError("the disk is full.")
            if world.rank == 1:
                time.sleep(4.5)
            world.broadcast("x")
    except UserError as error:
        return f"{type(error).__name__}: {error}"
    return "ended well"


def test_an_error_in_one_ends_the_others(tmp_path: Path) -> None:
    first, second = together(2, tmp_path, one_fails, "wrong")
    assert second == "UserError: the disk is full."
    assert first.startswith("ProcessLost: another process of this job ended")
    assert "rank 0 of 2" in first


def test_nobody_waits_forever(tmp_path: Path) -> None:
    first, _ = together(2, tmp_path, one_fails, "silent")
    assert first.startswith("ProcessLost: another process of this job ended or stopped responding")
    assert "Timed out" in first


def test_who_works_alone_may_take_longer(tmp_path: Path) -> None:
    assert together(2, tmp_path, one_fails, "alone") == ["ended well", "ended well"]


def steps(killed: Path) -> str:
    """Training without an end, of which rank 1 is killed between its forward and its backward pass."""
    try:
        with process_group("cpu") as world:
            model = data_parallel(nn.Linear(50, 50), world, CPU)
            for step in range(10**9):
                features = gather_with_gradient(model(torch.ones(4, 50)), world)
                if step == 20 and world.rank == 1:
                    killed.write_text("")
                    os.kill(os.getpid(), signal.SIGKILL)
                features.sum().backward()
                world.any(False)
    except UserError as error:
        return str(error)
    return "ended well"


WHOLE = f"""
import os, signal, sys, torch
from pathlib import Path
from torch import nn
from clipc.errors import UserError
from clipc.train.distributed import process_group
from clipc.train.parallel import data_parallel, gather_with_gradient

CPU = torch.device("cpu")
torch.set_num_threads(1)

{inspect.getsource(steps)}

print(steps(Path(sys.argv[1])), file=sys.stderr)
sys.exit(2)
"""


@pytest.mark.soak
def test_a_killed_process_ends_the_others_at_once(tmp_path: Path) -> None:
    port, killed = free_port(), tmp_path / "killed"
    # Rank 0 is an interpreter of its own, so that its whole end is seen.
    whole = subprocess.Popen(
        [sys.executable, "-c", WHOLE, str(killed)],
        env={**os.environ, **environment(0, 3, port)},
        stderr=subprocess.PIPE,
        text=True,
    )
    others = [
        CONTEXT.Process(target=one, args=(rank, 3, port, tmp_path / f"{rank}.pt", steps, (killed,))) for rank in (1, 2)
    ]
    try:
        for process in others:
            process.start()
        said = whole.communicate(timeout=90)[1]
        took = time.time() - killed.stat().st_mtime
        for process in others:
            process.join(30)
    finally:
        for process in (whole, *others):
            process.kill()
    assert whole.returncode == 2
    assert [process.exitcode for process in others] == [-signal.SIGKILL, 0]
    for rank, text in ((0, said), (2, torch.load(tmp_path / "2.pt"))):
        assert text.startswith("another process of this job ended")
        assert f"rank {rank} of 3" in text
        assert text.count("\n") <= 1
    assert took < 30


HOST = """
import os, signal, sys
from pathlib import Path
from clipc.errors import UserError
from clipc.train.distributed import process_group

folder, kill = Path(sys.argv[1]), sys.argv[2] == "kill"
try:
    with process_group("cpu") as world:
        counted = f"{world.sum([1.0])[0]:.0f}"
        (folder / f"rank-{world.rank}").write_text(f"{world.size} {world.local_rank} {world.local_size} {counted}")
        if kill and world.rank == 1 and not (folder / "killed").exists():
            (folder / "killed").write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        world.barrier()
        (folder / f"done-{world.rank}").write_text("")
except UserError as error:
    print("clipc:", error, file=sys.stderr)
    sys.exit(2)
"""


def two_hosts(folder: Path, *, restarts: int) -> list[str]:
    """Two agents of torchrun, as on two machines, with one process each; what they print."""
    script, port = folder / "host.py", free_port()
    script.write_text(HOST, "utf-8")
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "test"]
    hosts = ["--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", str(restarts)]
    command = [sys.executable, "-m", "torch.distributed.run", *hosts, *meeting, str(script), str(folder)]
    environment = {name: value for name, value in os.environ.items() if name not in LAUNCHERS}
    agents = [
        subprocess.Popen(
            [*command, "kill" if restarts else "keep"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        said = [agent.communicate(timeout=120)[0] for agent in agents]
    finally:
        for agent in agents:
            agent.terminate()
    assert [agent.returncode for agent in agents] == [0, 0], "\n".join(said)
    return said


@pytest.mark.soak
def test_two_hosts_form_one_group(tmp_path: Path) -> None:
    two_hosts(tmp_path, restarts=0)
    for rank in range(2):
        assert (tmp_path / f"rank-{rank}").read_text() == "2 0 1 2"
        assert (tmp_path / f"done-{rank}").exists()


@pytest.mark.soak
def test_two_hosts_start_again_when_a_process_is_killed(tmp_path: Path) -> None:
    said = two_hosts(tmp_path, restarts=1)
    assert (tmp_path / "killed").exists()
    assert all((tmp_path / f"done-{rank}").exists() for rank in range(2))
    assert any("clipc: another process of this job ended" in text for text in said)
