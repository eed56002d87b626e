"""``clipc train``."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from clipc.cli.screen import note, tell
from clipc.cli.source import Json, Out, show
from clipc.progress import silent, terminal

if TYPE_CHECKING:
    from clipc.train.run import Run


def train(recipe: str, /, *overrides: str, out: Out = None, as_json: Json = False) -> None:
    """Trains one model; the same command goes on with a run that was stopped.

    On many GPUs or machines: torchrun --standalone --nproc-per-node 4 -m clipc train RECIPE.

    Args:
        recipe: A YAML file, or a recipe that ships.
        overrides: Changes as key=value, such as data.source=pairs.csv policy.rho=0.15 seed=1.
        out: The run folder; runs/NAME-HASH by default, named by what is trained on what.
        as_json: Print the run's summary as one JSON object.
    """
    from clipc.train.distributed import joined
    from clipc.train.loop import train as run_training
    from clipc.train.recipe import read_recipe

    resolved = read_recipe(recipe, overrides)
    with joined(resolved.device) as world, terminal() if world.main else nullcontext(silent) as progress:
        with world.main_first():
            catalog = resolved.data.open(progress)
        folder = out or Path("runs") / f"{catalog.about.name}-{resolved.identity(catalog.fingerprint)}"
        if world.main:
            tell(catalog)
            run = run_training(resolved, folder, catalog=catalog, world=world, progress=progress, tell=note)
            _show_run(run, as_json)
        else:
            run_training(resolved, folder, catalog=catalog, world=world)


def _show_run(run: "Run", as_json: bool) -> None:
    summary = run.finished or {}
    best, mixed, forgot = (summary.get(name) for name in ("best", "wise_ft", "forgetting"))
    lines = [f"{summary['samples']:,} pairs shown; {run.model}"]
    if mixed:
        lines.append(f"weights mixed with the start's: {mixed['alpha']:.0%} of what was tuned was best on validation")
    elif best:
        lines[0] += f", the best of validation at step {best['step']}"
    if forgot:
        lines.append(
            f"on {forgot['set']} ({forgot['metric']}, n = {forgot['n']}) the start had {forgot['start']:.1%}, "
            f"the model has {forgot['tuned']:.1%}"
        )
    show({"run": str(run.folder), **summary}, as_json, [*(f"{line}." for line in lines)])
