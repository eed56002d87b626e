"""The trials of a study: planning them, running those without a record, and reading the records."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from clipc.catalog.catalog import Catalog
from clipc.catalog.folds import with_fold
from clipc.catalog.subsample import subsample
from clipc.compose.score import Score
from clipc.errors import UserError
from clipc.extension import fingerprint
from clipc.files import cores
from clipc.models.device import choose_device
from clipc.models.model_config import model_config
from clipc.prepare.feature_renderer import keep_features, kept_key
from clipc.prepare.plans import make_plans
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.render.choose import choose_renderer
from clipc.study.board import StatusBoard
from clipc.study.design import Study
from clipc.study.pool import Pool
from clipc.study.recipes import arm_recipe, sizes_of
from clipc.study.record import read_diverged, read_record, write_diverged, write_record
from clipc.study.results import Outcome, metrics_table
from clipc.study.trials import EvaluationOptions, Trial, run_trial, trial_name
from clipc.train.diverged import Diverged

BoardCallback = Callable[[StatusBoard], None]
"""A function that is called with the state of all trials, several times a second."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial of a study, with its data and the file of its record.

    Attributes:
        trial: The trial.
        size: The number of training pairs.
        catalog: The data with this number of training pairs.
        fold: The fold that the trial is tested on, from 0; always 0 without folds.
        record: The file of the trial's record.
        missing_weights_message: A sentence about weights that the trial starts from and that are missing on this
            machine; empty if none are missing.
    """

    trial: Trial
    size: int
    catalog: Catalog
    record: Path
    fold: int = 0
    missing_weights_message: str = ""


def plan_study(study: Study, catalog: Catalog, folder: Path, records: Path) -> list[PlannedTrial]:
    """All trials of a study, ordered by seed, size, fold and arm, so that every arm has results early.

    Each seed draws its own nested subsets of the training pairs, which all arms share. Two arms with equal recipes
    share folders and records. Trials that are evaluated with other than the default options have their own records. If
    the initial weights of a trial are missing, its name cannot be computed; it is looked up among the records.

    Args:
        study: The study.
        catalog: All data, with train, val and test splits.
        folder: The study's folder; trials train in ``folder/trials``.
        records: The folder of records.

    Raises:
        UserError: A key or value of an arm is wrong, or there are too few pairs.
    """
    suffix = _suffix(evaluation_options(study))
    folds = fold_catalogs(study, catalog)
    pairs = min(fold.splits.get("train", 0) for fold in folds)
    planned: list[PlannedTrial] = []
    for seed in study.seeds:
        for size in sizes_of(study, pairs):
            for fold, whole in enumerate(folds):
                # With folds all of them train on as many pairs: as many as the smallest training split has.
                number = pairs if size == "all" else int(size)
                data = whole if number == whole.splits["train"] else subsample(whole, number, seed)
                for arm in study.expanded_arms:
                    recipe = arm_recipe(study, arm, seed, size if data is whole else number, fold=fold)
                    name, missing_weights_message = trial_name(recipe, data, records, suffix)
                    trial = Trial(arm.name, recipe, folder / "trials" / name)
                    record = records / f"{name}{suffix}.json"
                    planned.append(PlannedTrial(trial, number, data, record, fold, missing_weights_message))
    return planned


def fold_catalogs(study: Study, catalog: Catalog) -> list[Catalog]:
    """The catalog of each fold; without folds the catalog itself.

    Raises:
        UserError: There are too few groups of pairs for the folds.
    """
    if study.folds is None:
        return [catalog]
    return [with_fold(catalog, study.folds, fold, study.data.group_column) for fold in range(study.folds)]


def evaluation_options(study: Study) -> EvaluationOptions:
    """The options with which a study's trials are evaluated."""
    own = tuple((name, fingerprint(name)) for name in study.evaluators)
    return EvaluationOptions(study.template_set, study.lang, study.shots, own, study.split)


def diverged_trials(study: Study, planned: Sequence[PlannedTrial]) -> list[tuple[PlannedTrial, int]]:
    """The trials whose loss or weights became non-finite, with the step at which they did."""
    steps = [(p, read_diverged(evaluation_options(study), p.record)) for p in planned]
    return [(p, step) for p, step in steps if step is not None]


def pending_trials(study: Study, planned: Sequence[PlannedTrial]) -> list[PlannedTrial]:
    """The trials that have no record, neither of metrics nor of divergence."""
    records = {p.record for p, _ in [*finished_trials(study, planned), *diverged_trials(study, planned)]}
    return [p for p in planned if p.record not in records]


def check_weights(study: Study, pending: Sequence[PlannedTrial]) -> None:
    """Raises an error if a pending trial starts from weights that are not on this machine.

    Raises:
        UserError: Weights are missing; the message names them and holds the study's note.
    """
    for blocked in (p for p in pending if p.missing_weights_message):
        arm = blocked.trial.arm
        count = sum(p.trial.arm == arm for p in pending)
        note = f" Note of the study: {study.note}" if study.note else ""
        raise UserError(
            f"the study {study.name}, arm {arm!r}: {blocked.missing_weights_message} Trials of this arm that are still "
            f"to run: {count}; --report shows the finished ones.{note}"
        )


def finished_trials(study: Study, planned: Sequence[PlannedTrial]) -> list[tuple[PlannedTrial, Outcome]]:
    """The trials that have a record with metrics, and its content."""
    outcomes = [(p, read_record(p.trial, evaluation_options(study), p.record)) for p in planned]
    return [(p, outcome) for p, outcome in outcomes if outcome is not None]


def run_pending(
    study: Study,
    planned: Sequence[PlannedTrial],
    *,
    jobs: int | None = None,
    shard: tuple[int, int] = (1, 1),
    progress: Progress = silent,
    on_update: BoardCallback = lambda _: None,
) -> None:
    """Runs the trials of a study that have no record yet; a trial that diverges does not stop the others.

    Args:
        study: The study.
        planned: The study's trials, as :func:`plan_study` gives them.
        jobs: Parallel trials; by default one per core on a CPU, one at a time on a GPU.
        shard: (i, n): this process runs part i of n, from 1, as :func:`shard_of` deals them. Several machines can so
            share one folder.
        progress: Receives the progress of long steps before the trials begin.
        on_update: Called with the state of all trials, several times a second.

    Raises:
        UserError: A trial failed.
        Interrupted: On Ctrl-C or SIGTERM; running trials have saved a checkpoint.
    """
    evaluation = evaluation_options(study)
    positions = {p.record: i for i, p in enumerate(planned)}
    records = {p.record for p in pending_trials(study, planned)}
    pending = [p for p in shard_of(planned, shard) if p.record in records]
    if not pending:
        return
    jobs, threads = jobs_for(pending[0].trial.recipe, len(pending), jobs)
    largest = max(pending, key=lambda p: p.size)
    renderer = renderer_for(largest.trial.recipe, largest.catalog, jobs, progress)  # One for all trials.
    _keep_features(pending, progress)
    board = StatusBoard([(p.trial.arm, p.size, p.record) for p in planned])

    def report(index: str, done: int, total: int) -> None:  # Pool passes the task's number as text.
        board.update(positions[pending[int(index)].record], done, total)
        on_update(board)

    with closing(Pool(jobs, threads)) as pool:
        board.begin()
        pool.map(run_and_record, [(p, study, evaluation, renderer, threads) for p in pending], report)
    board.read_records()
    on_update(board)


def _keep_features(planned: Sequence[PlannedTrial], progress: Progress) -> None:
    """Computes the features that trials on kept features read, once and with all cores."""
    groups: dict[str, list[PlannedTrial]] = {}
    for p in sorted(planned, key=lambda p: -p.size):
        if p.trial.recipe.renderer == "features":
            groups.setdefault(kept_key(p.trial.recipe), []).append(p)
    for trials in groups.values():
        catalogs = {p.catalog.fingerprint: p.catalog for p in trials}
        keep_features([p.trial.recipe for p in trials], list(catalogs.values()), progress)


def shard_of(planned: Sequence[PlannedTrial], shard: tuple[int, int]) -> list[PlannedTrial]:
    """The trials of part i of n; arms that share a record count as one trial.

    Trials are dealt to the parts in turn, and each seed and size begins with another part. So the trials of an arm are
    spread over all machines, and a difference between machines does not look like one between arms.
    """
    part, parts = shard
    blocks: dict[tuple[int, int], list[PlannedTrial]] = {}
    for p in {p.record: p for p in planned}.values():
        blocks.setdefault((p.trial.recipe.seed, p.size), []).append(p)
    return [p for turn, block in enumerate(blocks.values()) for p in block[(part - 1 + turn) % parts :: parts]]


def run_and_record(
    planned: PlannedTrial,
    study: Study,
    evaluation: EvaluationOptions,
    renderer: str,
    threads: int,
    progress: Progress = silent,
) -> None:
    """Runs one trial, writes its record, and removes the models that the study does not keep.

    If the loss or a weight became non-finite, the record holds the step at which it did instead of metrics.

    Args:
        planned: The trial.
        study: The study. Its main metrics are checked here, so that a wrong name is reported after the first trial.
        evaluation: The options of the evaluation.
        renderer: The renderer, as for :func:`clipc.train.train.train`.
        threads: CPU threads, unless the recipe sets their number.
        progress: Receives the number of pairs shown so far.

    Raises:
        UserError: The trial failed (the message names it), or it lacks one of the main metrics.
    """
    trial, record = planned.trial.with_threads(threads), planned.record
    if read_record(trial, evaluation, record) is not None or read_diverged(evaluation, record) is not None:
        return  # Another process has run the trial.
    run = Run(trial.folder)
    if run.finished is not None and not (run.model.is_dir() and run.last_model.is_dir()):
        # An earlier evaluation with other options removed the models; train again to get the same ones.
        shutil.rmtree(trial.folder)
    try:
        run_trial(trial, planned.catalog, evaluation, renderer, progress)
    except Diverged as error:
        write_diverged(trial, evaluation, record, error)
        shutil.rmtree(run.checkpoints, ignore_errors=True)  # Training from them would diverge again.
    except UserError as error:
        raise UserError(f"arm {trial.arm!r}, {planned.size:,} pairs, seed {trial.recipe.seed}: {error}") from error
    else:
        write_record(trial, evaluation, record)
    if study.keep_models is not True:
        is_kept = study.keep_models == "first" and trial.recipe.seed == study.seeds[0]
        for model in (run.last_model, *(() if is_kept else (run.model,))):
            shutil.rmtree(model, ignore_errors=True)
    if study.main and (outcome := read_record(trial, evaluation, record)) is not None:
        metrics_table([outcome], study.main)


def jobs_for(recipe: Recipe, trials: int, jobs: int | None) -> tuple[int, int]:
    """The number of parallel trials, and the number of CPU threads of each.

    Args:
        recipe: The recipe of a trial.
        trials: How many trials there are.
        jobs: The requested number of parallel trials; the default for the device if None.
    """
    on_cpu = choose_device(recipe.device).type == "cpu"
    count = jobs or (min(cores(), trials) if on_cpu else 1)
    return count, max(1, cores() // count)


def _suffix(evaluation: EvaluationOptions) -> str:
    """The end of the names of records: empty for a study's default options, otherwise a hash of the options.

    The default options have no few-shot probes.
    """
    if evaluation == EvaluationOptions(shots=()):
        return ""
    text = json.dumps(evaluation.as_json(), sort_keys=True)
    return f"-{blake2b(text.encode(), digest_size=4).hexdigest()}"


def renderer_for(recipe: Recipe, catalog: Catalog, jobs: int, progress: Progress = silent) -> str:
    """The renderer for trials: ``resident`` where the images of ``jobs`` trials fit into memory at once."""
    if recipe.renderer == "features":
        return recipe.renderer
    unscored = recipe.policy.model_copy(update={"score": Score()})  # Which partners are drawn does not matter here.
    plans = make_plans(unscored, catalog.split("train"), 0, cache=recipe.data.cache, progress=progress)
    size = model_config(recipe.model, recipe.image_size)["vision_cfg"].get("image_size", 224)
    device = choose_device(recipe.device)
    return choose_renderer(
        recipe.renderer, plans, recipe.augmentation, size, device=device, epochs=math.inf, processes=jobs
    ).renderer
