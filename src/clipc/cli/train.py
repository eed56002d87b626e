"""``clipc train``."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from clipc.cli.screen import note, tell
from clipc.cli.source import Json, Out, show
from clipc.progress import silent, terminal

if TYPE_CHECKING:
    from clipc.catalog.catalog import Catalog
    from clipc.recipe.run import Run


def train(recipe: str, /, *overrides: str, out: Out = None, as_json: Json = False) -> None:
    """Trains one model; the same command goes on with a run that was stopped.

    Recipes that ship: nano (a minute on one core), small, and others for millions of pairs. docs/training.md lists
    them, and every key.
    On many GPUs or machines: torchrun --standalone --nproc-per-node 4 -m clipc train RECIPE.

    Args:
        recipe: A YAML file, or a recipe that ships.
        overrides: Changes as key=value, such as data.source=pairs.csv policy.rho=0.15 seed=1.
        out: The run folder; runs/NAME-HASH by default, named by what is trained on what.
        as_json: Print the run's summary as one JSON object.
    """
    from clipc.prepare.check_start import check_start
    from clipc.recipe.recipe import read_recipe
    from clipc.train.distributed import joined
    from clipc.train.train import train as run_training

    resolved = read_recipe(recipe, overrides)
    check_start(resolved)  # A set of millions takes minutes to open; a wrong name is told before.
    with joined(resolved.device) as world, terminal() if world.main else nullcontext(silent) as progress:
        with world.main_first():
            catalog = resolved.data.open(progress)
        folder = out or Path("runs") / f"{catalog.about.name}-{resolved.identity(catalog.fingerprint)}"
        if not world.main:
            run_training(resolved, folder, catalog=catalog, world=world)
            return
        tell(catalog)
        if (folder / "finished.json").is_file():
            note(f"{folder} has finished already.")
        run = run_training(resolved, folder, catalog=catalog, world=world, progress=progress, tell=note)
    _show_run(run, catalog, as_json)


def _show_run(run: "Run", catalog: "Catalog", as_json: bool) -> None:
    summary = run.finished or {}
    best, mixed, forgot = (summary.get(name) for name in ("best", "wise_ft", "forgetting"))
    lines = [f"{summary['samples']:,} pairs shown; the model is in {run.model}."]
    if best:
        chance, n = 1 / max(1, catalog.splits.get("val", 1)), catalog.splits.get("val", 0)
        lines.append(
            f"Best on validation at step {best['step']}: mean recall {best['mean_recall']:.1%} "
            f"(recall@1 {best['text_to_image/recall@1']:.1%}, chance {chance:.1%}, n = {n})."
        )
    if mixed and mixed.get("taken", True):
        lines.append(f"Mixed with the start's weights: {mixed['alpha']:.0%} of what was tuned did best on validation.")
    elif mixed:
        lines.append("No mixture with the start's weights did as well on validation, so none was taken.")
    if forgot:
        low, high = forgot["low"], forgot["high"]
        span = f", 95% interval {low:+.1f} to {high:+.1f}" if low is not None and high is not None else ""
        lines.append(
            f"On {forgot['set']} ({forgot['metric']}, n = {forgot['n']}) the start had {forgot['start']:.1%} and the "
            f"model has {forgot['tuned']:.1%}: {forgot['lost_points']:+.1f} points lost{span}."
        )
    lines.append(f"Measure it on the test split: clipc eval {run.folder} SOURCE")
    show({"run": str(run.folder), **summary}, as_json, lines)
