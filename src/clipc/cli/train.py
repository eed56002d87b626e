"""``clipc train``."""

import logging
import re
from collections import Counter
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from clipc.catalog.options import SourceOptions
from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    Overrides,
    SourceParameters,
    print_catalog,
    print_note,
    print_result,
    warn_of_small_split,
)
from clipc.errors import UserError, unknown_name
from clipc.progress import silent, terminal

if TYPE_CHECKING:
    from clipc.catalog.catalog import Catalog
    from clipc.recipe.recipe import Recipe
    from clipc.recipe.run import Run

_CHANGE = re.compile(r"[a-z_]+(\.[a-z_]+)*=")
_MANY_REPEATED = 0.2
"""The share of captions that repeat from which on it is said that recall has a ceiling."""


def train(
    *words: str,
    start: Annotated[Path | None, Parameter(name="--from")] = None,
    options: SourceParameters = DEFAULT_OPTIONS,
    set_overrides: Overrides = (),
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Trains one model; the same command resumes an interrupted run.

    clipc train SOURCE takes the built-in recipe that suits the number of pairs; clipc train RECIPE SOURCE takes yours.
    docs/training.md lists the recipes and all keys.
    On many GPUs or machines: torchrun --standalone --nproc-per-node 4 -m clipc train RECIPE SOURCE.

    With --from RUN a run goes on from an earlier one, under its recipe, on a source that has grown.

    Args:
        words: [RECIPE] [SOURCE] and changes as key=value, such as policy.rho=0.15 seed=1. The recipe is a YAML file or
            the name of a built-in one; the source is given as for pilot, or by the recipe.
        start: The run (or pilot: its best arm) whose model and recipe the new run starts from, at a tenth of its
            learning rate. Without SOURCE its own source is read again.
        options: How the source is read.
        set_overrides: More changes.
        out: The run folder; by default runs/NAME-HASH, from the name of the data and a hash of recipe and data.
        as_json: Print the run's summary as one JSON object.
    """
    from clipc.prepare.check_start import check_start
    from clipc.recipe.recipe import read_recipe
    from clipc.recipe.suited import suited_recipe
    from clipc.train.distributed import process_group
    from clipc.train.train import train as run_training

    recipe, source, changes = _split_words(words, needs_name=start is None)
    changes += set_overrides
    given = {f.name: getattr(options, f.name) for f in fields(SourceOptions)}
    given = {name: value for name, value in given.items() if value != getattr(DEFAULT_OPTIONS, name)}
    data = {**given, **({} if source is None else {"source": source})}

    def with_data(resolved: "Recipe") -> "Recipe":
        return resolved.model_copy(update={"data": resolved.data.model_copy(update=data)})

    # Opening the data can take minutes: mistakes are reported before.
    if start is not None:
        if recipe is not None:
            raise UserError(
                "--from takes the recipe of the earlier run; leave the recipe out, and change keys as key=value."
            )
        recipe, first_values = _of_run(start)
        resolved = with_data(read_recipe(recipe, changes, first_values))
    else:
        resolved = with_data(read_recipe(recipe or "nano", changes))
    if recipe is not None:
        check_start(resolved)
    with process_group(resolved.device) as world, terminal() if world.main else nullcontext(silent) as progress:
        with world.main_first():
            catalog = resolved.data.open(progress)
        if recipe is None:
            suited = suited_recipe(catalog)
            resolved = with_data(read_recipe(suited.name, changes, suited.changes))
            check_start(resolved)
            if world.main:
                print_note(suited.reason)
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


def _of_run(folder: Path) -> tuple[str, dict[str, Any]]:
    """The recipe file of an earlier run, and the keys that differ for a run that goes on from it.

    Raises:
        UserError: The folder holds neither a finished run nor a finished pilot.
    """
    from clipc.recipe.recipe import recipe_of_run
    from clipc.recipe.run import Run

    if (folder / "stages").is_dir():
        from clipc.inference.used_model import best_trial

        folder, arm = best_trial(folder)
        print_note(f"of the pilot, the arm {arm}: {folder}")
    if not (folder / "recipe.yaml").is_file() or Run(folder).finished is None:
        raise UserError(f"{folder} holds no finished run; name the folder of one after --from.")
    earlier = recipe_of_run(folder)
    subset = {"data.pairs": None, "data.subset": 0, "data.folds": None, "data.fold": 0}
    start = {"model": str(folder), "pretrained": None, "vocabulary": None, "learning_rate": earlier.learning_rate / 10}
    return str(folder / "recipe.yaml"), subset | start


def _split_words(words: tuple[str, ...], *, needs_name: bool = True) -> tuple[str | None, str | None, tuple[str, ...]]:
    """The recipe and the source, where they are named, and the changes.

    Args:
        words: The words of the command.
        needs_name: Whether a recipe or a source must be named.

    Raises:
        UserError: There is neither a recipe nor a source, or there are more words than these two.
    """
    from clipc.recipe.yaml_table import built_in

    changes = tuple(word for word in words if _CHANGE.match(word))
    names = [word for word in words if not _CHANGE.match(word)]
    # Of two words the first is the recipe: if it is none, reading it says so.
    is_recipe = names[:1] and (
        len(names) == 2 or names[0] in built_in("recipe") or names[0].endswith((".yaml", ".yml"))
    )
    recipe = names.pop(0) if is_recipe else None
    has_source = names or any(change.startswith("data.source=") for change in changes)
    if len(names) > 1 or (needs_name and not (recipe or has_source)):
        raise UserError(
            "name a source, or a recipe and a source: clipc train pairs.csv, or clipc train small pairs.csv; "
            "changes are written key=value."
        )
    source = names[0] if names else None
    is_word = source is not None and source != "demo" and re.fullmatch(r"\w[\w-]*", source) is not None
    if recipe is None and source is not None and is_word and not Path(source).exists():
        raise unknown_name("recipe or source", source, [*built_in("recipe"), "demo"])
    return recipe, source, changes


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
        pairs = catalog.split("val")
        captions = Counter(caption for row in range(len(pairs)) for caption in pairs.captions(row))
        if (repeated := captions.total() - list(captions.values()).count(1)) > _MANY_REPEATED * captions.total():
            lines.append(
                f"{repeated:,} of its {captions.total():,} captions stand there more than once, and no model can tell "
                "equal ones apart, so this recall has a ceiling; clipc eval tells it."
            )
    if wise_ft and wise_ft.get("taken", True):
        lines.append(
            f"WiSE-FT: {wise_ft['alpha']:.0%} tuned weights and the rest initial weights did best on validation."
        )
    elif wise_ft:
        lines.append("WiSE-FT: an earlier step did better on validation than any interpolation, so it stays the model.")
    lines.append(f"Evaluate it on the test split: clipc eval {run.folder} SOURCE")
    print_result({"run": str(run.folder), **summary}, as_json, lines)
