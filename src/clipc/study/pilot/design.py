"""The study that a pilot runs: read before the data are, then bound to the data's size, language and labels."""

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError, unknown_name
from clipc.evaluate.prompts import prompt_language
from clipc.prepare.plans import group_of
from clipc.recipe.recipe import Recipe, read_recipe
from clipc.recipe.suited import suited_recipe
from clipc.study.arms import flatten
from clipc.study.design import Study, read_study
from clipc.study.pilot.options import LEAST_SEEDS, PilotOptions
from clipc.study.recipes import arm_recipe

FIXED_KEYS: Final = ("data", "seed", "threads")
"""Recipe keys that a pilot sets itself."""

COMPOSITION: Final = {"policy.rho": 0.5, "policy.until": 0.7}
"""The composition under test where the recipe itself composes nothing."""


class PilotDesign(NamedTuple):
    """A pilot's study on some number of training pairs.

    Attributes:
        study: The study.
        recipes: The recipe of each arm with the first seed, by the arm's name.
        reason: Why this recipe was taken; empty where the user named it.
    """

    study: Study
    recipes: Mapping[str, Recipe]
    reason: str

    @property
    def baseline(self) -> Recipe:
        """The baseline's recipe."""
        return self.recipes[self.study.baseline_name]


def pilot_study(options: PilotOptions) -> Study:
    """The study of a pilot before its data are read.

    Raises:
        UserError: There are fewer than :data:`~clipc.study.pilot.options.LEAST_SEEDS` seeds, an override changes one of
            :data:`FIXED_KEYS`, or the study has sizes, folds or ranges.
    """
    if options.seeds is not None and options.seeds < LEAST_SEEDS:
        raise UserError(
            f"a pilot needs at least {LEAST_SEEDS} seeds to estimate the variation between seeds, not {options.seeds}."
        )
    if options.tune == 1:
        raise UserError("one setting of an arm is no choice: tune with two at least, or leave tuning out.")
    fixed = [change for change in options.overrides if change.partition("=")[0].split(".")[0] in FIXED_KEYS]
    if fixed:
        raise UserError(f"{fixed[0]!r} cannot be set for a pilot: it sets {', '.join(FIXED_KEYS)} itself.")
    study = read_study(options.study, [f"set.{change}" for change in options.overrides])
    if study.has_ranges or study.sizes != ("all",) or study.folds:
        raise UserError(
            f"the study {options.study} has sizes, folds or ranges, which a pilot does not run; use clipc study."
        )
    recipe = {} if options.recipe is None else {"recipe": options.recipe}
    seeds = _first_seeds(study.seeds, options.seed_range[1])
    shared = {"data": options.data, "templates": options.templates, "seeds": seeds}
    study = study.model_copy(update=shared | recipe)
    return with_arms(study, options.arms) if options.arms else study


def with_arms(study: Study, names: Collection[str]) -> Study:
    """The study with some of its arms alone.

    Raises:
        UserError: The study has no such arm.
    """
    for name in names:
        if name not in study.arms:
            raise unknown_name("arm", name, study.arms)
    kept = {name: changes for name, changes in study.arms.items() if name in names}
    contrasts = tuple(c for c in study.contrasts if {*c.gain, *c.than} <= kept.keys())
    controls = tuple(name for name in study.controls if name in kept)
    return study.model_copy(update={"arms": kept, "controls": controls, "contrasts": contrasts})


def bind(study: Study, catalog: Catalog) -> PilotDesign:
    """The study on a catalog: the recipe that suits its training pairs, and partners that its labels allow.

    Args:
        study: As :func:`pilot_study` gives it; where it names a recipe, that one is taken.
        catalog: The data, with the training pairs that all trials train on.

    Raises:
        UserError: There are too few pairs, or a treatment has the same recipe as the baseline.
    """
    pairs = catalog.splits.get("train", 0)
    if pairs < 8:
        raise UserError(f"{catalog.about.name} has {pairs} training pairs; a pilot needs at least 8, better 1,000.")
    study = study.model_copy(update={"lang": prompt_language(catalog)})
    given, defaults, reason = flatten(study.set), dict[str, Any](), ""
    if "recipe" not in study.model_fields_set:
        suited = suited_recipe(catalog)
        study, defaults, reason = study.model_copy(update={"recipe": suited.name}), suited.changes, suited.reason
    base = read_recipe(study.recipe, defaults | given)
    if not base.policy.rho and "policy.rho" not in given:
        defaults = COMPOSITION | defaults
    batch = {"batch_size": min(base.batch_size, max(2, pairs // 4))}
    study = study.model_copy(update={"set": {**defaults, **given, **batch}})
    arms = {name: _guarded(study, name, changes, catalog) for name, changes in study.arms.items()}
    study = study.model_copy(update={"arms": arms})
    recipes = {arm.name: arm_recipe(study, arm, study.seeds[0], "all") for arm in study.expanded_arms}
    for name in study.treatments:
        if recipes[name] == recipes[study.baseline_name]:
            raise UserError(
                f"the pilot's arm {name!r} is the same as {study.baseline_name!r}, so there is nothing to compare; "
                "set a share of composites (policy.rho) above 0."
            )
    return PilotDesign(study, recipes, reason)


def _guarded(study: Study, name: str, changes: dict[str, Any], catalog: Catalog) -> dict[str, Any]:
    """An arm's changes: where it asks for partners of the same class and there are no classes, for near ones."""
    if flatten(changes).get("policy.group") != "auto":
        return changes
    (arm,) = (arm for arm in study.expanded_arms if arm.name == name)
    policy = arm_recipe(study, arm, study.seeds[0], "all").policy
    if policy.partner != "random" or group_of(policy, catalog) is not None:
        return changes
    return {**changes, "policy.partner": "nearest"}


def _first_seeds(seeds: tuple[int, ...], count: int) -> tuple[int, ...]:
    """So many seeds: those given, then the numbers above the largest."""
    return (*seeds, *range(max(seeds) + 1, max(seeds) + 1 + count))[:count]
