"""``clipc train``."""

from pathlib import Path

from clipc.cli.screen import tell
from clipc.cli.source import Json, Out, show
from clipc.progress import terminal


def train(recipe: str, /, *overrides: str, out: Out = None, as_json: Json = False) -> None:
    """Trains one model; the same command goes on with a run that was stopped.

    Args:
        recipe: A YAML file, or a recipe that ships.
        overrides: Changes as key=value, such as data.source=pairs.csv policy.rho=0.15 seed=1.
        out: The run folder; runs/NAME-HASH by default, named by what is trained on what.
        as_json: Print the run's summary as one JSON object.
    """
    from clipc.train.loop import train as run_training
    from clipc.train.recipe import read_recipe

    resolved = read_recipe(recipe, overrides)
    with terminal() as progress:
        catalog = resolved.data.open(progress)
        tell(catalog)
        folder = out or Path("runs") / f"{catalog.about.name}-{resolved.identity(catalog.fingerprint)}"
        run = run_training(resolved, folder, catalog=catalog, progress=progress)
    summary = run.finished or {}
    best = summary.get("best")
    chosen = f", the best of validation at step {best['step']}" if best else ""
    show({"run": str(folder), **summary}, as_json, [f"{summary['samples']:,} pairs shown; {run.model}{chosen}."])
