"""``clipc train``."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from clipc.cli.common import Json, OutFolder, Overrides, print_catalog, print_note, print_result, warn_of_small_split
from clipc.progress import silent, terminal

if TYPE_CHECKING:
    from clipc.catalog.catalog import Catalog
    from clipc.recipe.run import Run


def train(
    recipe: str, /, *overrides: str, set_overrides: Overrides = (), out: OutFolder = None, as_json: Json = False
) -> None:
    """Trains one model; the same command resumes an interrupted run.

    Built-in recipes are nano (a minute on one core), small, and others for millions of pairs. docs/training.md lists
    the recipes and all keys.
    On many GPUs or machines: torchrun --standalone --nproc-per-node 4 -m clipc train RECIPE.

    Args:
        recipe: A YAML file, or the name of a built-in recipe.
        overrides: Changes as key=value, such as data.source=pairs.csv policy.rho=0.15 seed=1.
        set_overrides: More overrides.
        out: The run folder; by default runs/NAME-HASH, from the name of the data and a hash of recipe and data.
        as_json: Print the run's summary as one JSON object.
    """
    from clipc.prepare.check_start import check_start
    from clipc.recipe.recipe import read_recipe
    from clipc.train.distributed import process_group
    from clipc.train.train import train as run_training

    resolved = read_recipe(recipe, (*overrides, *set_overrides))
    check_start(resolved)  # Opening the data can take minutes: report mistakes before.
    with process_group(resolved.device) as world, terminal() if world.main else nullcontext(silent) as progress:
        with world.main_first():
            catalog = resolved.data.open(progress)
        folder = out or Path("runs") / f"{catalog.about.name}-{resolved.identity(catalog.fingerprint)}"
        if not world.main:
            logging.getLogger("clipc").setLevel(logging.ERROR)  # Rank 0 prints the same messages.
            run_training(resolved, folder, catalog=catalog, world=world)
            return
        print_catalog(catalog)
        if resolved.validations:
            warn_of_small_split(catalog, "val")
        if (folder / "finished.json").is_file():
            print_note(f"{folder} has already finished.")
        run = run_training(resolved, folder, catalog=catalog, world=world, progress=progress)
    _show_run(run, catalog, as_json)


def _show_run(run: "Run", catalog: "Catalog", as_json: bool) -> None:
    summary = run.finished or {}
    best, wise_ft = summary.get("best"), summary.get("wise_ft")
    lines = [f"{summary['samples']:,} pairs shown; the model is in {run.model}."]
    if best:
        chance, n = 1 / max(1, catalog.splits.get("val", 1)), catalog.splits.get("val", 0)
        lines.append(
            f"On validation, of step {best['step']}: mean recall {best['mean_recall']:.1%} "
            f"(recall@1 {best['text_to_image/recall@1']:.1%}, chance {chance:.1%}, n = {n})."
        )
    if wise_ft and wise_ft.get("taken", True):
        lines.append(
            f"WiSE-FT: {wise_ft['alpha']:.0%} tuned weights and the rest initial weights did best on validation."
        )
    elif wise_ft:
        lines.append("WiSE-FT: an earlier step did better on validation than any interpolation, so it stays the model.")
    lines.append(f"Evaluate it on the test split: clipc eval {run.folder} SOURCE")
    print_result({"run": str(run.folder), **summary}, as_json, lines)
