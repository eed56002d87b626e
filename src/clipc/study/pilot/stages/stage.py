"""What a stage is, and how stages are run: one after the other, each result saved, none run again without need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.recipe.run import Run
from clipc.study.design import Study
from clipc.study.pilot.design import PilotDesign
from clipc.study.pilot.options import PilotOptions
from clipc.study.run import BoardCallback
from clipc.train.timing import Timer


@dataclass(frozen=True)
class StageResult:
    """The result of a stage, ready for JSON.

    Attributes:
        go_on: Whether the next stage makes sense.
        code: What came out; the pages have a sentence for it, below ``pilot.stage.NAME``.
        values: Numbers and names for the sentence.
        tables: The tables of the stage.
        minutes: How long it took.
    """

    go_on: bool
    code: str
    values: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    minutes: float = 0.0


Results = Mapping[str, StageResult]
"""The results of the stages so far, by name."""

Announce = Callable[[str, Mapping[str, Any]], None]
"""A function that is told what happens: a stage's name with its result as a mapping (without tables), or ``plan`` with
what the experiment will run."""


def unheard(name: str, facts: Mapping[str, Any]) -> None:
    """An :data:`Announce` that tells nobody."""


@dataclass(frozen=True)
class Context:
    """What all stages share.

    Attributes:
        options: The pilot's options.
        folder: The pilot's folder.
        catalog: The data, with the training pairs that the pilot is about.
        study: The study before it was bound to data.
        design: The study on the catalog.
        asked: All that results follow from, ready for JSON; a saved result with other inputs does not count.
        asked_alone: What one stage's result follows from besides, by the stage's name.
        timer: Measures the time since the pilot began.
        announce: Told what happens.
        progress: Receives the progress of long steps.
        watch: Called with the state of all trials while they run.
    """

    options: PilotOptions
    folder: Path
    catalog: Catalog
    study: Study
    design: PilotDesign
    asked: dict[str, Any]
    asked_alone: Mapping[str, dict[str, Any]]
    timer: Timer
    announce: Announce = unheard
    progress: Progress = silent
    watch: BoardCallback = lambda _: None

    @property
    def seconds_left(self) -> float:
        """The rest of the time, in seconds; may be negative."""
        return self.options.minutes * 60 - self.timer.seconds

    def asked_of(self, stage: str) -> dict[str, Any]:
        """All that a stage's result follows from."""
        return self.asked | self.asked_alone.get(stage, {})

    def settled(self, name: str, settle: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was decided once from measured times; it is kept, so that what was stopped resumes with the same.

        Args:
            name: The name of the file, without its suffix.
            settle: Decides it, if it was not decided for the same inputs before.
        """
        if (kept := self.kept(name)) is not None:
            return kept
        return self.settle_anew(name, settle())

    def settle_anew(self, name: str, decided: dict[str, Any]) -> dict[str, Any]:
        """Keeps another decision than before."""
        Run(self.folder).write_json(f"{name}.json", {"asked": self.asked, "settled": decided})
        return decided

    def kept(self, name: str) -> dict[str, Any] | None:
        """What was settled for the same inputs; None where nothing was."""
        saved = Run(self.folder).read_json(f"{name}.json")
        return saved["settled"] if saved is not None and saved["asked"] == self.asked else None


Stage = Callable[[Context, Results], StageResult]
"""A stage."""


def run_stages(context: Context, stages: Mapping[str, Stage], again: str | None = None) -> dict[str, StageResult]:
    """Runs stages in order, or reads their saved results.

    Args:
        context: What the stages share.
        stages: The stages by name.
        again: The stage that is run again although it has a result. The stages after it are not run, but keep theirs.

    Returns:
        The results by name.

    Raises:
        UserError: A stage says that going on makes no sense, and the options do not ask for it; or a stage failed.
        Interrupted: On Ctrl-C or SIGTERM; the same call resumes.
    """
    results: dict[str, StageResult] = {}
    is_after = False
    for name, stage in stages.items():
        saved = _read(context, name)
        if is_after and saved is None:
            continue
        if saved is not None and name == again:
            # What was settled for it from the time that was left goes too; once it is gone, what is stopped resumes.
            for file in (f"{name}.json", f"stages/{name}.json"):
                (context.folder / file).unlink(missing_ok=True)
            saved = None
        if saved is None:
            begin = context.timer.seconds
            result = stage(context, results)
            saved = replace(result, minutes=(context.timer.seconds - begin) / 60)
            _write(context, name, saved)
        results[name] = saved
        context.announce(name, summary(saved))
        if not saved.go_on and not context.options.go_on:
            reason = saved.values.get("reason", saved.code)
            raise UserError(
                f"the pilot stops after the stage {name}: {reason}. Put it right, or go on all the same with --go-on."
            )
        is_after = is_after or name == again
    return results


def summary(result: StageResult) -> dict[str, Any]:
    """A result without its tables."""
    return {"go_on": result.go_on, "code": result.code, "values": result.values, "minutes": result.minutes}


def stage_rows(results: Results) -> list[dict[str, Any]]:
    """A row for each stage, for the page."""
    return [{"name": name, **summary(result)} for name, result in results.items()]


def read_results(folder: Path, names: Sequence[str]) -> dict[str, StageResult]:
    """The saved results of a pilot, whatever they were asked with."""
    found = {name: Run(folder).read_json(f"stages/{name}.json") for name in names}
    return {name: StageResult(**saved["result"]) for name, saved in found.items() if saved is not None}


def _read(context: Context, name: str) -> StageResult | None:
    saved = Run(context.folder).read_json(f"stages/{name}.json")
    return None if saved is None or saved["asked"] != context.asked_of(name) else StageResult(**saved["result"])


def _write(context: Context, name: str, result: StageResult) -> None:
    Run(context.folder).write_json(f"stages/{name}.json", {"asked": context.asked_of(name), "result": asdict(result)})
