"""Training one model, from a recipe to a finished run."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.batches import Batches
from clipc.compose.score import BASELINE
from clipc.errors import UserError, first_names
from clipc.models.device import choose_device, choose_precision
from clipc.models.projection import add_head_dropout
from clipc.models.tokenizer import Tokenizer
from clipc.models.tuning import apply_tuning
from clipc.prepare.feature_renderer import check_features, make_feature_run
from clipc.prepare.new_model import new_model, tokenizer_for
from clipc.prepare.plans import make_plans
from clipc.prepare.scores.reference import KeptViewsOf, make_scorer
from clipc.prepare.scores.table import Scorer
from clipc.progress import Progress, silent
from clipc.recipe.ancestors import record_ancestors
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run, environment
from clipc.render.choose import choose_renderer, make_renderer
from clipc.train.average import WeightAverage
from clipc.train.baseline_scorer import BaselineScorer
from clipc.train.distributed import World, local_batch_size, process_group
from clipc.train.interrupt import stop_signals
from clipc.train.learner import Learner
from clipc.train.loop import Trainer
from clipc.train.timing import threads
from clipc.train.validation import Validation

logger = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    folder: Path,
    *,
    catalog: Catalog | None = None,
    world: World | None = None,
    renderer: str | None = None,
    progress: Progress = silent,
) -> Run:
    """Trains one model, or resumes its training.

    On the CPU a resumed run ends in the same weights, to the last bit, as a run without interruption: random streams
    depend only on the seed and the number of the step, and the thread count and precision are those of the first start.

    Args:
        recipe: The configuration of the run.
        folder: The run folder, the same for all processes. A finished run in it is returned without training.
        catalog: The data, if they are open already; by default the recipe's source is opened.
        world: The processes that train together; by default those that torchrun or srun started.
        renderer: ``worker``, ``resident`` or ``features``, as a choice made for several runs together; by default it is
            made here.
        progress: Called with the number of training examples seen.

    Raises:
        UserError: The folder holds another run, there are too few pairs for a batch, or the disk is full.
        Diverged: The loss or a weight is not finite.
        ProcessLost: Another process of the job ended.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint has been written.
    """
    if world is None:
        with process_group(recipe.device) as world:
            return train(recipe, folder, catalog=catalog, world=world, renderer=renderer, progress=progress)
    run = Run(folder, world.rank)
    with world.main_first():  # Rank 0 writes the cache that the others read.
        catalog = catalog or recipe.data.open(progress)
    if world.main:
        run.check_identity(recipe, catalog)
    if world.broadcast(run.finished is not None):
        return run
    first_start = world.broadcast(run.read_json("environment.json")) or {}
    with run.lock(), threads(first_start.get("threads") or recipe.threads or torch.get_num_threads()):
        trainer = make_trainer(
            recipe,
            run,
            catalog,
            world,
            # A choice in the recipe has priority over that of the first start.
            renderer=recipe.renderer if recipe.renderer != "auto" else first_start.get("renderer") or renderer,
            precision=recipe.precision if recipe.precision != "auto" else first_start.get("precision"),
            progress=progress,
        )
        machine = environment(trainer.model.device.type, torch.get_num_threads(), world.size)
        run.begin(recipe, {**machine, "renderer": trainer.renderer_name, "precision": trainer.precision}, catalog)
        record_ancestors(run, recipe, catalog)
        with stop_signals() as stop:  # An earlier interrupt loses nothing, and nothing would read the flag.
            trainer.resume()
            logger.info(_summary(trainer))
            _write_plan_statistics(trainer)
            trainer.fit(progress, stop)
            if trainer.step < trainer.steps:
                logger.info(f"{recipe.patience} validations brought no improvement: the run ended at {trainer.step:,}.")
    return run


def make_trainer(
    recipe: Recipe,
    run: Run,
    catalog: Catalog,
    world: World | None = None,
    *,
    renderer: str | None = None,
    precision: str | None = None,
    progress: Progress = silent,
) -> Trainer:
    """Prepares a run at step 0: its tokenizer, model, plans and decoded images.

    Args:
        recipe: The configuration of the run.
        run: The run folder.
        catalog: The data.
        world: The processes that train together; None for a single process.
        renderer: ``worker``, ``resident`` or ``features``; None for the recipe's.
        precision: As for :func:`~clipc.models.device.choose_precision`; None for the recipe's.
        progress: Called during slow preparation.

    Raises:
        UserError: The data, the model or the machine do not support the recipe.
    """
    world = world or World()
    device = choose_device(recipe.device)
    local_batch_size(recipe.batch_size, world)
    with world.main_first():
        pairs = catalog.split("train")
        check_batch(recipe, catalog.about.name, len(pairs))
        tokenizer = tokenizer_for(recipe, catalog)
        model = new_model(recipe, tokenizer).to(device)
        apply_tuning(model.clip, recipe.tune, recipe.seed)
        add_head_dropout(model.clip, recipe.head_dropout)
        if (renderer or recipe.renderer) == "features":
            check_features(recipe, model)
        batches = Batches(recipe.batch_sampling, recipe.batch_size)
        steps = recipe.steps(len(pairs))
        scorer = _scorer(recipe, run, catalog, tokenizer, renderer, progress)
        plans = make_plans(
            recipe.policy,
            pairs,
            recipe.seed,
            cache=recipe.data.cache,
            progress=progress,
            batches=batches,
            samples=steps * recipe.batch_size,
            scorer=scorer,
        )
    dtype = choose_precision(precision or recipe.precision, device)
    if recipe.precision == "auto" and dtype != choose_precision("auto", device):
        logger.warning("the run continues in %s, as it started, though another precision is faster here.", precision)
    learner = Learner.create(recipe, model, steps, dtype, world)  # Its errors come before images are decoded.
    choose = partial(
        choose_renderer,
        plans=plans,
        augmentation=recipe.augmentation,
        image_size=model.image_size,
        device=device,
        processes=world.local_size,
        gpus=world.local_size,
    )
    choice = choose(renderer or recipe.renderer, epochs=steps * recipe.batch_size / len(pairs))
    # Free memory differs between processes and over time: rank 0 decides.
    if (name := world.broadcast(choice.renderer)) != choice.renderer:
        choice = choose(name, epochs=1)
    logger.info(choice.reason)
    averaging = recipe.selection == "ema" and world.main
    average = WeightAverage(model.clip, recipe.ema_share * steps) if averaging else None
    feature_run = None
    if choice.renderer == "features":
        with world.main_first():
            feature_run = make_feature_run(recipe, model, plans, catalog, run, progress)
        batches_renderer: Any = feature_run.renderer
    else:
        size, words = model.image_size, model.tokenizer
        batches_renderer = make_renderer(choice, plans, recipe.augmentation, size, words, progress)
    encoder = None if feature_run is None else feature_run.encoder
    validating = recipe.validations and "val" in catalog.splits
    return Trainer(
        recipe=recipe,
        run=run,
        world=world,
        renderer=batches_renderer,
        validation=Validation(catalog.split("val"), encoder) if validating else None,
        learner=learner,
        steps=steps,
        average=average,
        feature_run=feature_run,
    )


def _scorer(
    recipe: Recipe, run: Run, catalog: Catalog, tokenizer: Tokenizer, renderer: str | None, progress: Progress
) -> Scorer | None:
    """The scorer that the policy names; None where nothing is scored."""
    score, cache = recipe.policy.score, recipe.data.cache
    if score.by is None or not recipe.policy.scores:
        return None
    if score.by == BASELINE:
        return BaselineScorer(recipe, catalog, run.folder / "reference", renderer, progress)
    kept = KeptViewsOf.of(recipe)
    return make_scorer(score.by, recipe.seed, tokenizer=tokenizer, kept=kept, cache=cache, progress=progress)


def check_batch(recipe: Recipe, name: str, pairs: int) -> None:
    """Checks that a data set has enough training pairs for one batch.

    Args:
        recipe: The recipe, for its batch size.
        name: The name of the data set, for the message.
        pairs: The number of training pairs.

    Raises:
        UserError: There are fewer pairs than in one batch.
    """
    if pairs < recipe.batch_size:
        raise UserError(
            f"{name} has {pairs} training pairs, fewer than one batch of {recipe.batch_size}; "
            f"set batch_size={max(2, pairs // 4)} (a batch needs 2 pairs at least), or give more pairs."
        )


def _summary(trainer: Trainer) -> str:
    """Model, device, steps and folder, in one sentence."""
    recipe, model = trainer.recipe, trainer.model
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    count = f"{trainable / 1e6:.1f} million" if trainable >= 1e5 else f"{trainable / 1e3:.1f} thousand"
    policy = recipe.policy
    until = f" until {policy.until:.0%} of the run" if policy.until < 1 else ""
    treated = "composed" if policy.composes else "treated as a control"
    composites = f"{policy.rho:.0%} of them are {treated}{until}" if policy.rho else "none composed"
    times = trainer.steps * recipe.batch_size / len(trainer.renderer.plans.catalog)
    start = f"resumes after {trainer.step:,} of " if trainer.step else ""
    return (
        f"{recipe.model}: training {count} parameters on {model.device.type} in {trainer.precision}; "
        f"{start}{trainer.steps:,} steps of {recipe.batch_size} pairs, so each pair is seen {times:,.3g} times; "
        f"{composites}; the folder is {trainer.run.folder}."
    )


def _write_plan_statistics(trainer: Trainer) -> None:
    """Writes what the plan of the first epoch holds, and names rules that can have no effect."""
    plans = trainer.renderer.plans
    statistics = {**plans.rows(0, len(plans.catalog)).statistics(), "inputs": plans.inputs.fingerprints}
    if plans.inputs.core_seconds:
        statistics["core_seconds"] = dict(plans.inputs.core_seconds)
    if trainer.feature_run is not None:
        statistics["kept"] = trainer.feature_run.facts
    if (compiled_rules := plans.inputs.compiled_rules) is not None:
        statistics["rules_without_effect"] = idle = compiled_rules.without_effect()
        if idle:
            texts = first_names([f"`{rule['text']}`" for rule in idle])
            logger.info("rules that can have no effect on these data: %s; clipc compose shows why.", texts)
    trainer.run.write_json("plan-statistics.json", statistics)
