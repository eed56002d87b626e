"""The run folder: what a run was, what it measured, and where it got to."""

import json
import platform
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks.
    fcntl = None

from clipc.catalog import Catalog
from clipc.catalog.cores import cores
from clipc.errors import UserError
from clipc.recipe.recipe import Recipe, write_recipe


@dataclass(frozen=True)
class Run:
    """A folder with everything about one run.

    ``recipe.yaml``, ``data.json``, ``environment.json``, ``metrics.jsonl``, ``checkpoints/step-N/``, ``model/``
    (exported), ``eval/*.json``, ``plan-statistics.json``; ``finished.json`` is written last.

    Attributes:
        folder: Where it lies.
        rank: The process that writes. The first one's are the run's files; others only add to a log of their own.
    """

    folder: Path
    rank: int = 0

    @property
    def checkpoints(self) -> Path:
        """Where the run can go on from."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """The model of the best validation, as open_clip's ``local-dir:`` takes it."""
        return self.folder / "model"

    @property
    def last_model(self) -> Path:
        """The model of the last step, in the same form."""
        return self.folder / "model-last"

    @property
    def finished(self) -> dict[str, Any] | None:
        """The run's summary once it has ended, or None."""
        return self.read_json("finished.json")

    def check_same(self, recipe: Recipe, catalog: Catalog) -> None:
        """Refuses to go on with the run of another recipe, or of other data.

        Raises:
            UserError: Another one was begun in this folder.
        """
        known = (self.read_json("environment.json") or {}).get("run")
        if known is not None and known != recipe.same_run(catalog.fingerprint):
            raise UserError(
                f"{self.folder} holds a run of another recipe or of other data, which recipe.yaml and data.json in it "
                "describe; name another folder, or take the same recipe and data."
            )

    def begin(self, recipe: Recipe, environment: dict[str, Any], catalog: Catalog) -> None:
        """Writes the recipe and what the data are; and the environment, where there is none yet."""
        if self.rank:
            return
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_recipe(recipe, self.folder / "recipe.yaml")
        about = {"name": catalog.about.name, "generated": catalog.about.generated}
        self.write_json("data.json", {**about, "fingerprint": catalog.fingerprint, "pairs": catalog.splits})
        if self.read_json("environment.json") is None:
            self.write_json("environment.json", {**environment, "run": recipe.same_run(catalog.fingerprint)})

    @contextmanager
    def held(self) -> Generator[None]:
        """Keeps other processes that would write here out, as long as the block runs.

        Raises:
            UserError: Another one is at work in this folder.
        """
        if self.rank or fcntl is None:
            yield
            return
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another process is training in {self.folder}; wait for it, or name another folder."
                ) from None
            except OSError:
                pass  # Some network disks know no locks.
            yield

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Writes a JSON file whole: under a temporary name, then renamed."""
        if self.rank:
            return
        file = self.folder / name
        temporary = file.with_name(f".{file.name}.partial")
        with self._writing():
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
            temporary.replace(file)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the run, or None where there is none."""
        file = self.folder / name
        try:
            return json.loads(file.read_text("utf-8")) if file.is_file() else None
        except (OSError, ValueError) as error:
            raise UserError(f"{file} cannot be read ({error}); put it back, or name another folder.") from error

    def log(self, record: dict[str, Any]) -> None:
        """Adds one line to ``metrics.jsonl``, or to ``metrics-R.jsonl`` of another rank R."""
        with self._writing(), self._metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; a last line cut by a crash is passed over."""
        if not self._metrics.is_file():
            return
        for line in self._metrics.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def forget_after(self, step: int) -> None:
        """Drops the metrics of steps that a resumed run is going to repeat."""
        kept = [record for record in self.metrics() if record["step"] <= step]
        if self.rank and not kept:
            return
        temporary = self._metrics.with_name(f".{self._metrics.name}.partial")
        with self._writing():
            temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), "utf-8")
            temporary.replace(self._metrics)

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"the run folder {self.folder} cannot be written ({error}); make room, or name another folder."
            ) from error

    @property
    def _metrics(self) -> Path:
        return self.folder / (f"metrics-{self.rank}.jsonl" if self.rank else "metrics.jsonl")


def environment(device: str, threads: int, processes: int = 1) -> dict[str, Any]:
    """What a run began in: machine, versions, threads, processes."""
    from importlib.metadata import version

    import torch

    return {
        "clipc": version("clipc"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "open_clip": version("open_clip_torch"),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": cores(),
        "device": device,
        "gpu": torch.cuda.get_device_name() if device.startswith("cuda") else None,
        "threads": threads,
        "processes": processes,
    }


def cpu_name() -> str:
    """The processor's name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
