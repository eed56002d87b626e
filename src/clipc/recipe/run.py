"""The run folder: recipe, environment, metrics, checkpoints and models of a training run."""

import json
import logging
import platform
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no fcntl.
    fcntl = None

from pydantic import BaseModel, ValidationError

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.files import cores, report_disk_errors, write_json, write_text
from clipc.json_files import parse_json, read_object
from clipc.recipe.recipe import Recipe, write_recipe
from clipc.recipe.run_files import SCHEMAS, Measured, MetricsLine, RunFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """The folder of one run.

    The folder holds ``recipe.yaml``, ``data.json``, ``environment.json``, ``metrics.jsonl``, ``checkpoints/step-N/``,
    ``model/``, ``model-last/``, ``eval/*.json`` and ``plan-statistics.json``; ``finished.json`` is written at the end.

    Attributes:
        folder: The path.
        rank: The rank of this process. Rank 0 writes all files, other ranks only a log of their own.
    """

    folder: Path
    rank: int = 0

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """The folder of the run's result, the weights of the recipe's ``selection``, as open_clip's ``local-dir:``."""
        return self.folder / "model"

    @property
    def last_model(self) -> Path:
        """The folder of the model after the last step, in the same format."""
        return self.folder / "model-last"

    @property
    def finished(self) -> dict[str, Any] | None:
        """The run's summary, or None if it has not ended."""
        return self.read_json("finished.json")

    def check_identity(self, recipe: Recipe, catalog: Catalog) -> None:
        """Checks that the folder is empty or holds a run of the same recipe and data.

        Raises:
            UserError: The folder holds another run.
        """
        identity = (self.read_json("environment.json") or {}).get("run")
        if identity is not None and identity != recipe.same_run(catalog.fingerprint):
            raise UserError(
                f"{self.folder} holds a run of another recipe or of other data (see recipe.yaml and data.json in it); "
                "name another folder, or use the same recipe and data."
            )

    def begin(self, recipe: Recipe, environment: dict[str, Any], catalog: Catalog) -> None:
        """Writes the recipe and a description of the data; at the first start also the environment."""
        if self.rank:
            return
        write_recipe(recipe, self.folder / "recipe.yaml")
        counts, split_names = catalog.caption_counts, catalog.split_names
        captions = {name: int(counts[split_names == name].sum()) for name in catalog.splits}
        data = {"name": catalog.about.name, "generated": catalog.about.generated, "fingerprint": catalog.fingerprint}
        self.write_json("data.json", {**data, "pairs": catalog.splits, "captions": captions})
        if self.read_json("environment.json") is None:
            self.write_json("environment.json", {**environment, "run": recipe.same_run(catalog.fingerprint)})

    @contextmanager
    def lock(self) -> Generator[None]:
        """Locks the folder against other runs during the block.

        Raises:
            UserError: Another process trains in this folder.
        """
        if self.rank or fcntl is None:
            yield
            return
        with report_disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / ".lock").open("w")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another process is training in {self.folder}; wait for it, or name another folder."
                ) from None
            except OSError:
                pass  # Some network file systems have no locks.
            yield

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Writes a JSON file of the run, on rank 0 only."""
        if not self.rank:
            write_json(self.folder / name, value)

    def read_json(self, name: str, schema: type[BaseModel] | None = None) -> dict[str, Any] | None:
        """A JSON file of the run, or None if it does not exist.

        Args:
            name: Its path in the folder.
            schema: What it must hold; by default what :mod:`clipc.recipe.run_files` says of a file of that name.

        Raises:
            UserError: The file is damaged, or holds something else.
        """
        file = self.folder / name
        if not file.is_file():
            return None
        schema = schema or (Measured if name.startswith("eval/") else SCHEMAS.get(name, RunFile))
        return read_object(file, schema, "restore the file, or name another folder")

    def log(self, record: dict[str, Any]) -> None:
        """Adds one line to ``metrics.jsonl``, or to ``metrics-R.jsonl`` on rank R > 0."""
        with report_disk_errors(self._metrics), self._metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def metrics(self) -> Iterator[dict[str, Any]]:
        """The records in this rank's metrics file; damaged lines are left out, and all but the last are told of."""
        if not self._metrics.is_file():
            return
        number, damaged = 0, list[int]()
        with self._metrics.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = parse_json(line)
                    MetricsLine.model_validate(record, strict=True)
                except (ValueError, ValidationError):
                    damaged.append(number)
                    continue
                yield record
        if damaged and damaged != [number]:  # A crash leaves the last one unfinished.
            logger.warning(
                "%s: %s of %s lines are damaged and left out, first line %s.",
                *(self._metrics, len(damaged), number, damaged[0]),
            )

    def drop_metrics_after(self, step: int) -> None:
        """Removes the metrics of steps after ``step``, because a resumed run repeats those steps."""
        records = [record for record in self.metrics() if record["step"] <= step]
        if records or not self.rank:
            write_text(self._metrics, "".join(json.dumps(record) + "\n" for record in records))

    @property
    def _metrics(self) -> Path:
        return self.folder / (f"metrics-{self.rank}.jsonl" if self.rank else "metrics.jsonl")


def environment(device: str, threads: int, processes: int = 1) -> dict[str, Any]:
    """The machine, the versions of packages, and the numbers of threads and processes of a run, ready for JSON."""
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
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
