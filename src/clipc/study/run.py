"""The trials of a study: planning them, running those without a record, and reading the records."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from clipc.catalog import Catalog, subsample
from clipc.errors import UserError
from clipc.extension import fingerprint
from clipc.files import cores
from clipc.models.device import choose_device
from clipc.models.model_config import model_config
from clipc.prepare.plans import make_plans
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.render.choose import choose_renderer
from clipc.study.board import Board
from clipc.study.design import Study, arm_recipe, sizes_of
from clipc.study.names import trial_name
from clipc.study.pool import Pool
from clipc.study.record import read_diverged, read_record, write_diverged, write_record
from clipc.study.results import Outcome, metrics_table
from clipc.study.trials import Measuring, Trial, run_trial
from clipc.train.loop import Diverged

Watch = Callable[[Board], None]


@dataclass(frozen=True)
class Planned:
    """One trial of a study.

    Attributes:
        trial: What is run; its ``arm`` is the arm's name.
        size: Training pairs.
        catalog: The data of that size.
        record: The file of its metrics.
        lacks: Which weights are not here that it would start from, as a sentence; empty where it can be run.
    """

    trial: Trial
    size: int
    catalog: Catalog
    record: Path
    lacks: str = ""


def plan_study(study: Study, catalog: Catalog, folder: Path, records: Path) -> list[Planned]:
    """All trials of a study: seed by seed, so that every arm is seen early.

    Two arms that come to the same recipe share their trials' folders and records. What is measured in another way than
    by default has records of its own. A trial whose start is not here is found by its record.

    Args:
        study: The study.
        catalog: All data, with train, val and test splits.
        folder: Where trials train.
        records: The folder of records.

    Raises:
        UserError: A key or value of an arm is wrong, or there are too few pairs.
    """
    suffix = _suffix(measuring_of(study))
    pairs = catalog.splits.get("train", 0)
    sizes = sizes_of(study, pairs)
    sets = {size: catalog if size == "all" else subsample(catalog, int(size)) for size in sizes}
    planned: list[Planned] = []
    for seed in study.seeds:
        for size, data in sets.items():
            for arm in study.expanded:
                recipe = arm_recipe(study, arm, seed, size)
                name, problem = trial_name(recipe, data, records, suffix)
                trial = Trial(arm.name, recipe, folder / "trials" / name)
                planned.append(Planned(trial, data.splits["train"], data, records / f"{name}{suffix}.json", problem))
    return planned


def measuring_of(study: Study) -> Measuring:
    """How a study's trials are evaluated."""
    own = tuple((name, fingerprint(name)) for name in study.evaluators)
    return Measuring(study.templates, study.lang, study.shots, own)


def diverged_of(study: Study, planned: Sequence[Planned]) -> list[tuple[Planned, int]]:
    """The trials whose loss stopped being a number, with the step at which it did."""
    steps = [(p, read_diverged(measuring_of(study), p.record)) for p in planned]
    return [(p, step) for p, step in steps if step is not None]


def missing_of(study: Study, planned: Sequence[Planned]) -> list[Planned]:
    """The trials that have no record, neither of metrics nor of divergence."""
    records = {p.record for p, _ in [*finished_of(study, planned), *diverged_of(study, planned)]}
    return [p for p in planned if p.record not in records]


def check_weights(study: Study, missing: Sequence[Planned]) -> None:
    """Refuses to go on where what is missing starts from weights that are not here.

    Raises:
        UserError: They are not; the sentence says which, and what the study's note says.
    """
    for blocked in (p for p in missing if p.lacks):
        arm = blocked.trial.arm
        count = sum(p.trial.arm == arm for p in missing)
        raise UserError(
            f"the study {study.name}, arm {arm!r}: {blocked.lacks} Trials of it that have no record yet: {count}; "
            f"--report tells the others.{f' Its note: {study.note}' if study.note else ''}"
        )


def finished_of(study: Study, planned: Sequence[Planned]) -> list[tuple[Planned, Outcome]]:
    """The trials that have a record, with its content."""
    outcomes = [(p, read_record(p.trial, measuring_of(study), p.record)) for p in planned]
    return [(p, outcome) for p, outcome in outcomes if outcome is not None]


def run_missing(
    study: Study,
    planned: Sequence[Planned],
    *,
    jobs: int | None = None,
    shard: tuple[int, int] = (1, 1),
    progress: Progress = silent,
    watch: Watch = lambda _: None,
) -> None:
    """Runs those trials of a study that have no record yet; one that diverges is noted, and the rest go on.

    Args:
        study: The study.
        planned: Its trials, as :func:`plan_study` gives them.
        jobs: Trials at a time; on a CPU one a core by default, on a GPU one.
        shard: Part i of n, from 1: this process runs every nth trial, for several machines on one folder.
        progress: Shows what takes long before the trials begin.
        watch: Shown the state of all trials, several times a second.

    Raises:
        UserError: A trial failed.
        Interrupted: Ctrl-C or SIGTERM; running trials have saved themselves.
    """
    measuring = measuring_of(study)
    positions = {p.record: i for i, p in enumerate(planned)}
    records = {p.record for p in missing_of(study, planned)}
    missing = [p for p in shard_of(planned, shard) if p.record in records]
    if not missing:
        return
    jobs, threads = jobs_for(missing[0].trial.recipe, len(missing), jobs)
    largest = max(missing, key=lambda p: p.size)
    renderer = renderer_for(largest.trial.recipe, largest.catalog, jobs, progress)  # One for all trials.
    board = Board([(p.trial.arm, p.size, p.record) for p in planned])

    def report(index: str, done: int, total: int) -> None:
        board.update(positions[missing[int(index)].record], done, total)
        watch(board)

    with closing(Pool(jobs, threads)) as pool:
        board.begin()
        pool.map(run_and_record, [(p, study, measuring, renderer, threads) for p in missing], report)
    board.read_records()
    watch(board)


def shard_of(planned: Sequence[Planned], shard: tuple[int, int]) -> list[Planned]:
    """The ith of n parts of the trials; what several arms share is one trial, and one part's.

    With each seed and size the parts take turns anew from the next one on, so that no arm is one machine's: were the
    machines unlike, their difference would otherwise look like one between arms.
    """
    part, parts = shard
    blocks: dict[tuple[int, int], list[Planned]] = {}
    for p in {p.record: p for p in planned}.values():
        blocks.setdefault((p.trial.recipe.seed, p.size), []).append(p)
    return [p for turn, block in enumerate(blocks.values()) for p in block[(part - 1 + turn) % parts :: parts]]


def run_and_record(
    planned: Planned, study: Study, measuring: Measuring, renderer: str, threads: int, progress: Progress = silent
) -> None:
    """Runs one trial, writes its record, and removes the models unless they are to stay.

    Where its loss stops being a number, the record says that instead of metrics.

    Args:
        planned: What to run.
        study: Says whether models stay, and which metrics are the main ones: the first trial raises an error for one
            that does not exist.
        measuring: How it is evaluated.
        renderer: As for :func:`clipc.train.train.train`.
        threads: CPU threads, where the recipe does not set them.
        progress: Receives the number of pairs shown so far.

    Raises:
        UserError: The trial failed, and the sentence says which; or it has no metric of a name in ``main``.
    """
    trial, record = planned.trial.with_threads(threads), planned.record
    if read_record(trial, measuring, record) is not None or read_diverged(measuring, record) is not None:
        return  # Another process was quicker.
    run = Run(trial.folder)
    if run.finished is not None and not (run.model.is_dir() and run.last_model.is_dir()):
        shutil.rmtree(trial.folder)  # Its models went with an earlier record; they come out the same again.
    try:
        run_trial(trial, planned.catalog, measuring, renderer, progress)
    except Diverged as error:
        write_diverged(trial, measuring, record, error)
        shutil.rmtree(run.checkpoints, ignore_errors=True)  # They only lead to the same end again.
    except UserError as error:
        raise UserError(f"arm {trial.arm!r}, {planned.size:,} pairs, seed {trial.recipe.seed}: {error}") from error
    else:
        write_record(trial, measuring, record)
    if not study.keep_models:
        for model in (run.model, run.last_model):
            shutil.rmtree(model, ignore_errors=True)
    if study.main and (outcome := read_record(trial, measuring, record)) is not None:
        metrics_table([outcome], study.main)


def jobs_for(recipe: Recipe, trials: int, jobs: int | None) -> tuple[int, int]:
    """How many trials run at a time, and with how many CPU threads each."""
    on_cpu = choose_device(recipe.device).type == "cpu"
    count = jobs or (min(cores(), trials) if on_cpu else 1)
    return count, max(1, cores() // count)


def _suffix(measuring: Measuring) -> str:
    """What records measured in another way than by default have at the end of their names."""
    if measuring == Measuring(shots=()):
        return ""
    text = json.dumps(measuring.as_json(), sort_keys=True)
    return f"-{blake2b(text.encode(), digest_size=4).hexdigest()}"


def renderer_for(recipe: Recipe, catalog: Catalog, jobs: int, progress: Progress = silent) -> str:
    """The renderer for trials on these data: resident where the data fit as often as trials run at a time."""
    plans = make_plans(recipe.policy, catalog.split("train"), 0, cache=recipe.data.cache, progress=progress)
    size = model_config(recipe.model, recipe.image_size)["vision_cfg"].get("image_size", 224)
    device = choose_device(recipe.device)
    return choose_renderer(
        recipe.renderer, plans, recipe.augmentation, size, device=device, epochs=math.inf, processes=jobs
    ).renderer
