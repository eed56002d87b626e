"""The recipes of a study's trials: what all arms share, with the changes, the seed and the size of one trial."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from clipc.errors import UserError
from clipc.evaluate.subject import own_evaluator
from clipc.recipe.recipe import Recipe, read_recipe
from clipc.study.arms import Arm, Range, flatten
from clipc.study.design import Study

SHARED_KEYS: Final = ("data", "seed")
"""Recipe keys that no arm may change: arms are compared on the same pairs with the same seeds."""


@contextmanager
def error_prefix(where: str) -> Generator[None]:
    """Puts ``where`` and a colon before the messages of user errors that the block raises."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def arm_recipe(
    study: Study, arm: Arm, seed: int, size: int | str, settings: Mapping[str, Any] | None = None, fold: int = 0
) -> Recipe:
    """The recipe of one trial.

    A trial validates only where something is chosen by it, or where the study sets ``validations`` itself.

    Args:
        study: The study.
        arm: One of its arms.
        seed: The seed.
        size: The number of training pairs, or ``all``.
        settings: Values for the ranges, by dotted key; ranges without a value are left out.
        fold: The fold that the trial is tested on, where the study has folds.

    Raises:
        UserError: A key or value is wrong, or an arm changes one of :data:`SHARED_KEYS`.
    """
    changes = {**flatten(study.set), **arm.changes, **(settings or {})}
    for key in changes:
        if key.split(".")[0] in SHARED_KEYS:
            who = f"the arm {arm.name!r}" if key in arm.changes else "set"
            raise UserError(
                f"the study {study.name}: {who} changes {key}, which all arms share; "
                f"set data and seeds at the top of the file."
            )
    fixed = {key: value for key, value in changes.items() if not isinstance(value, Range)}
    with error_prefix(f"the study {study.name}, arm {arm.name!r}"):
        recipe = read_recipe(study.recipe, fixed)
    subset = {} if size == "all" else {"pairs": size, "subset": seed}
    folds = {} if study.folds is None else {"folds": study.folds, "fold": fold}
    data = study.data.model_copy(update=subset | folds)
    validates = "validations" in changes or study.search or recipe.selection == "best" or recipe.wise_ft
    return recipe.model_copy(update={"seed": seed, "data": data} | ({} if validates else {"validations": 0}))


def sizes_of(study: Study, pairs: int) -> list[int | str]:
    """The sizes in ascending order; a number equal to ``pairs`` becomes ``all``.

    Args:
        study: The study.
        pairs: The number of training pairs.

    Raises:
        UserError: There are fewer training pairs than a size asks for.
    """
    numbers = sorted({pairs if size == "all" else int(size) for size in study.sizes})
    if numbers[-1] > pairs:
        raise UserError(f"the study {study.name} asks for {numbers[-1]:,} training pairs; there are {pairs:,}.")
    return ["all" if number == pairs else number for number in numbers]


def ranges_of(study: Study, arm: Arm) -> dict[str, Range]:
    """The ranges of an arm, by dotted key: its own, and those in ``set`` that the arm does not replace."""
    changes = {**flatten(study.set), **arm.changes}
    return {key: value for key, value in changes.items() if isinstance(value, Range)}


def first_values(ranges: Mapping[str, Range]) -> dict[str, Any]:
    """The first value of each range, by dotted key."""
    return {key: search_range.ends[0] for key, search_range in ranges.items()}


def check_recipes(study: Study) -> dict[str, list[Recipe]]:
    """Builds recipes for all arms, so that an error in the last arm is reported before the first one trains.

    The study's own evaluators are imported, so that errors in them are reported as well.

    Returns:
        For each arm, by name, its recipes with the first seed and size. The first recipe has the first value of each
        range; each other one has another end or choice of one range.

    Raises:
        UserError: As for :func:`arm_recipe`; an evaluator cannot be loaded.
    """
    for name in study.evaluators:
        own_evaluator(name)
    recipes: dict[str, list[Recipe]] = {}
    for arm in study.expanded_arms:
        ranges = ranges_of(study, arm)
        first = first_values(ranges)
        others = [{**first, key: end} for key, search_range in ranges.items() for end in search_range.ends[1:]]
        settings = [first, *others]
        recipes[arm.name] = [arm_recipe(study, arm, study.seeds[0], study.sizes[0], values) for values in settings]
    return recipes
