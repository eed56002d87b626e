from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

import clipc.render.choose as choosing
from clipc.catalog.catalog import Catalog
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.progress import silent
from clipc.render.choose import Choice, choose_renderer, make_renderer
from clipc.render.crop import Augmentation
from clipc.render.free_memory import free_memory
from clipc.render.pixels import resident_bytes
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def choice(
    catalog: Catalog,
    wanted: str,
    free: Mapping[str, int | None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    device: torch.device = CPU,
    epochs: float = 10,
    processes: int = 1,
    gpus: int = 1,
) -> Choice:
    def told(place: torch.device) -> int | None:
        return free[place.type]

    monkeypatch.setattr(choosing, "free_memory", told)
    plans = Plans(catalog, Policy(rho=0.3), 0)
    return choose_renderer(
        wanted, plans, Augmentation(), 16, device=device, epochs=epochs, processes=processes, gpus=gpus
    )


@pytest.mark.parametrize(
    ("wanted", "ram", "gpu", "epochs", "processes", "expected"),
    [
        ("auto", 3.0, None, 10, 1, ("resident", "cpu")),
        ("auto", 2.4, None, 10, 1, ("worker", "cpu")),
        ("auto", 3.0, None, 10, 2, ("worker", "cpu")),
        ("auto", 6.0, None, 10, 2, ("resident", "cpu")),
        ("auto", 9.0, None, 1, 1, ("worker", "cpu")),
        ("auto", 9.0, None, 1.1, 1, ("resident", "cpu")),
        ("auto", 3.0, 5.0, 10, 1, ("resident", "cuda")),
        ("auto", 3.0, 3.9, 10, 1, ("resident", "cpu")),
        ("worker", 9.0, 9.0, 10, 1, ("worker", "cpu")),
        ("resident", 1.1, None, 1, 1, ("resident", "cpu")),
        ("resident", 1.1, 5.0, 1, 1, ("resident", "cuda")),
    ],
)
def test_resident_where_it_fits_and_pays(
    tiny_catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    ram: float,
    gpu: float | None,
    epochs: float,
    processes: int,
    expected: tuple[str, str],
) -> None:
    needed = resident_bytes(Plans(tiny_catalog, Policy(rho=0.3), 0), Augmentation(), 16)
    free = {"cpu": int(ram * needed), "cuda": int((gpu or 0) * needed)}
    device = CPU if gpu is None else GPU
    found = choice(tiny_catalog, wanted, free, monkeypatch, device=device, epochs=epochs, processes=processes)
    assert (found.renderer, found.device.type) == expected
    assert found.reason.endswith(".")


@pytest.mark.parametrize(
    ("ram", "gpu", "processes", "gpus", "expected"),
    [
        (1.0, 5.0, 8, 8, ("resident", "cuda")),  # The processes of a job: each has a GPU of its own.
        (1.0, 5.0, 8, 1, ("worker", "cpu")),  # Trials on one GPU.
        (1.0, 9.0, 2, 1, ("resident", "cuda")),
        (3.0, 3.9, 8, 8, ("worker", "cpu")),  # In memory all of them count.
        (21.0, 3.9, 8, 8, ("resident", "cpu")),
    ],
)
def test_a_gpu_holds_the_copies_of_its_own_processes(
    tiny_catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    ram: float,
    gpu: float,
    processes: int,
    gpus: int,
    expected: tuple[str, str],
) -> None:
    needed = resident_bytes(Plans(tiny_catalog, Policy(rho=0.3), 0), Augmentation(), 16)
    free = {"cpu": int(ram * needed), "cuda": int(gpu * needed)}
    found = choice(tiny_catalog, "auto", free, monkeypatch, device=GPU, processes=processes, gpus=gpus)
    assert (found.renderer, found.device.type) == expected


def test_says_what_was_chosen_and_why(tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = choice(tiny_catalog, "auto", {"cpu": 14_000_000_000}, monkeypatch)
    assert kept.reason == "60 images are kept decoded in memory: 0.1 MB of 14.0 GB free."
    anew = choice(tiny_catalog, "auto", {"cpu": 100_000}, monkeypatch)
    assert anew.reason == (
        "images are decoded anew whenever they are shown: kept, they would take 0.1 MB, and 0.1 MB are free."
    )
    unknown = choice(tiny_catalog, "auto", {"cpu": None}, monkeypatch)
    assert unknown.renderer == "worker"
    assert "not known" in unknown.reason


def test_resident_that_does_not_fit_is_refused_with_the_numbers(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"takes 8 x 0\.1 MB, and 0\.2 MB are free; set renderer to worker"):
        choice(tiny_catalog, "resident", {"cpu": 200_000}, monkeypatch, processes=8)


def test_an_unknown_renderer_is_named(tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="did you mean 'resident'"):
        choice(tiny_catalog, "resdent", {"cpu": 1}, monkeypatch)


def test_makes_what_was_chosen(tiny_catalog: Catalog) -> None:
    plans = Plans(tiny_catalog, Policy(rho=0), 0)
    for name, kind in (("worker", WorkerRenderer), ("resident", ResidentRenderer)):
        chosen = choose_renderer(name, plans, Augmentation(), 16, device=CPU, epochs=2)
        assert isinstance(make_renderer(chosen, plans, Augmentation(), 16, Words(), silent), kind)


class Words:
    """A tokenizer that is never asked."""

    context_length, max_text_tokens = 8, 6

    def count(self, text: str) -> int:
        raise NotImplementedError

    def __call__(self, texts: list[str]) -> torch.Tensor:
        raise NotImplementedError


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 100 kB\nMemAvailable: 50 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_free_memory_of_a_machine(tmp_path: Path) -> None:
    assert free_memory(CPU, system(tmp_path, {})) == 50 << 10
    assert free_memory(CPU, tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    ("group", "folder", "names"),
    [
        ("0::/a/b", "sys/fs/cgroup/a", ("memory.max", "memory.current", "inactive_file")),
        ("0::/", "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")),
        ("0::/of/the/host", "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")),
        (
            "4:memory:/a",
            "sys/fs/cgroup/memory/a",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_a_container_has_what_it_may_use_less_what_it_uses_but_for_cached_files(
    tmp_path: Path, group: str, folder: str, names: tuple[str, str, str]
) -> None:
    limit, usage, cached = names
    files = {
        "proc/self/cgroup": f"9:pids:/\n{group}\n",
        f"{folder}/{limit}": "30000\n",
        f"{folder}/{usage}": "25000\n",
        f"{folder}/memory.stat": f"anon 5\n{cached} 7000\n",
    }
    assert free_memory(CPU, system(tmp_path, files)) == 30000 - 25000 + 7000
    (tmp_path / folder / limit).write_text("max\n")
    assert free_memory(CPU, tmp_path) == 50 << 10


def test_free_memory_here_is_less_than_there_is() -> None:
    free = free_memory(CPU)
    assert free is None or free > 1 << 20
