"""Training one model: from a recipe and a folder to a finished run."""

import logging
from functools import partial
from pathlib import Path

import torch

from clipc.catalog import Catalog
from clipc.compose.batches import Batches
from clipc.errors import UserError
from clipc.models.device import choose_device, choose_precision
from clipc.models.tuning import prepare
from clipc.prepare.new_model import new_model, tokenizer_for
from clipc.prepare.plans import make_plans
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run, environment
from clipc.render.choose import choose_renderer, make_renderer
from clipc.train.distributed import World, joined, share
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
    """Trains one model, or goes on where an earlier call stopped.

    On the CPU a run that was stopped, in whatever way, ends in the same weights to the last bit as one
    that never was: all chance comes from the seed and the step's number, and thread count and precision are those of
    the run's first start.

    Args:
        recipe: What to do.
        folder: The run folder; a finished run in it is returned as it is. Several processes share
            it.
        catalog: The opened data, to open them once for many runs; otherwise the recipe's source is opened.
        world: The processes that train together; by default those that torchrun or srun started.
        renderer: One that was chosen for a run and those beside it; by default the choice is made here.
        progress: Told the pairs shown so far.

    Raises:
        UserError: The folder holds another run, too few pairs for a batch, a loss that is no number, a full disk.
        ProcessLost: Another process of the job ended.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint has been written.
    """
    if world is None:
        with joined(recipe.device) as world:
            return train(recipe, folder, catalog=catalog, world=world, renderer=renderer, progress=progress)
    run = Run(folder, world.rank)
    with world.main_first():  # The others find in the cache what it made.
        catalog = catalog or recipe.data.open(progress)
    if world.main:
        run.check_same(recipe, catalog)
    if world.broadcast(run.finished is not None):
        return run
    before = world.broadcast(run.read_json("environment.json")) or {}
    with run.held(), threads(before.get("threads") or recipe.threads or torch.get_num_threads()):
        trainer = make_trainer(
            recipe,
            run,
            catalog,
            world,
            # What was asked for by name goes before what an earlier start chose.
            renderer=recipe.renderer if recipe.renderer != "auto" else before.get("renderer") or renderer,
            precision=recipe.precision if recipe.precision != "auto" else before.get("precision"),
            progress=progress,
        )
        began = environment(trainer.model.device.type, torch.get_num_threads(), world.size)
        run.begin(recipe, {**began, "renderer": trainer.kind, "precision": trainer.precision}, catalog)
        with stop_signals() as stop:  # Not before: until here nothing is lost, and nobody would look at the flag.
            trainer.resume()
            logger.info(trainer.described())
            trainer.fit(progress, stop)
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
    """A run at step 0, all that it needs made: tokenizer, model, plans, pictures.

    Args:
        recipe: What to do.
        run: Where to write.
        catalog: The opened data.
        world: The processes that train together; None for this one alone.
        renderer: One that was chosen before; None leaves the choice to the recipe.
        precision: The same, as :func:`~clipc.models.device.choose_precision` takes it.
        progress: Told what takes long.

    Raises:
        UserError: The recipe asks for what the data, the model or the machine cannot give.
    """
    world = world or World()
    device = choose_device(recipe.device)
    share(recipe.batch_size, world)
    with world.main_first():
        pairs = catalog.split("train")
        check_batch(recipe, catalog.about.name, len(pairs))
        tokenizer = tokenizer_for(recipe, catalog)
        model = new_model(recipe, tokenizer).to(device)
        prepare(model.clip, recipe.tune, recipe.seed)
        batches = Batches(recipe.batch_sampling, recipe.batch_size)
        cache = recipe.data.cache
        plans = make_plans(recipe.policy, pairs, recipe.seed, cache=cache, progress=progress, batches=batches)
    steps = recipe.steps(len(pairs))
    computed = choose_precision(precision or recipe.precision, device)
    if recipe.precision == "auto" and computed != choose_precision("auto", device):
        logger.warning("the run goes on in %s, as it began, though that is not the fastest on this machine.", precision)
    # Before pictures are decoded: what it refuses is told at once.
    learner = Learner.create(recipe, model, steps, computed, world)
    choose = partial(
        choose_renderer,
        plans=plans,
        augmentation=recipe.augmentation,
        image_size=model.image_size,
        device=device,
        sharing=world.local_size,
        gpus=world.local_size,
    )
    choice = choose(renderer or recipe.renderer, epochs=steps * recipe.batch_size / len(pairs))
    # What is free differs between processes, and from one moment to the next: the first process decides.
    if (kind := world.broadcast(choice.renderer)) != choice.renderer:
        choice = choose(kind, epochs=1)
    logger.info(choice.reason)
    return Trainer(
        recipe=recipe,
        run=run,
        world=world,
        renderer=make_renderer(choice, plans, recipe.augmentation, model.image_size, model.tokenizer, progress),
        validation=Validation(catalog.split("val")) if recipe.validations and "val" in catalog.splits else None,
        learner=learner,
        steps=steps,
    )


def check_batch(recipe: Recipe, name: str, pairs: int) -> None:
    """Refuses a batch that so many training pairs of a set cannot fill.

    Raises:
        UserError: There are fewer pairs than one batch has.
    """
    if pairs < recipe.batch_size:
        raise UserError(
            f"{name} has {pairs} training pairs, fewer than one batch of {recipe.batch_size}; "
            f"set batch_size={max(2, pairs // 4)} (a batch needs 2 pairs at least), or give more pairs."
        )
