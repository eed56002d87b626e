"""The definition of a study: arms, sizes and seeds, read from one YAML file and expanded into recipes."""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from clipc.compose.policy import Name
from clipc.errors import UserError, invalid_fields, unknown_name
from clipc.evaluate.subject import own_evaluator
from clipc.extension import is_object_reference
from clipc.recipe.recipe import Data, Recipe, read_recipe
from clipc.recipe.yaml_table import override, read_named, read_yaml
from clipc.study.arms import Arm, Range, expand_arm, flatten, is_list

SHARED: Final = ("data", "seed")
"""Recipe keys that no arm may change: arms are compared on the same pairs with the same seeds."""


class Search(BaseModel):
    """How ranges are searched.

    Attributes:
        trials: Settings that are tried for each arm with ranges; one without is tried once, and the page says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(default=20, ge=2)


class Study(BaseModel):
    """A study as its file says it.

    Attributes:
        name: A short name, for folders and pages.
        note: What the reader should know of it.
        data: Where the pairs come from: keys of a recipe's ``data``.
        recipe: The recipe that all arms share: a file, or one that ships.
        set: Changes to it for all arms; dotted keys or nested ones.
        arms: For each arm its changes. A value ``{each: [...]}`` makes an arm of every entry; ``{from:, to:, log:}``
            and ``{one_of: [...]}`` are ranges that are searched on validation. ``what`` is a sentence about the arm.
        baseline: The arm that all others are compared with; the first if null.
        controls: Arms that show what a gain over the baseline may be due to instead.
        sizes: Numbers of training pairs (nested subsets, of each label its share); ``all`` is all of them.
        seeds: How many, counted from 0, or which.
        templates: The prompt templates for zero-shot classification.
        lang: Their language.
        shots: Few-shot probes beside the one on all labels.
        main: The names of the metrics that are tested, in place of those that are so by default.
        evaluators: What measures the models beside the evaluators that ship, as ``module:object``.
        sections: What the page shows beside the sections that ship, as ``module:object``.
        search: How ranges are searched.
        keep_models: Whether trained models stay; otherwise only metrics do (a recipe makes the same model again).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[\w.-]+$")
    note: str = ""
    data: Data = Data()
    recipe: str = "small"
    set: dict[str, Any] = {}
    arms: dict[str, dict[str, Any]] = Field(min_length=1)
    baseline: str | None = None
    controls: tuple[str, ...] = ()
    sizes: tuple[Annotated[int, Field(ge=1)] | Literal["all"], ...] = Field(default=("all",), min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2), min_length=1)
    templates: str = "auto"
    lang: Literal["en", "ja"] = "en"
    shots: tuple[Annotated[int, Field(ge=1)], ...] = ()
    main: tuple[str, ...] = ()
    evaluators: tuple[Name, ...] = ()
    sections: tuple[Name, ...] = ()
    search: Search | None = None
    keep_models: bool = False
    _settled: Mapping[str, dict[str, Any]] | None = PrivateAttr(default=None)

    @field_validator("controls", "sizes", "shots", "main", "evaluators", "sections", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """One value may be written without a list."""
        return (value,) if isinstance(value, int | str) and not isinstance(value, bool) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, value: Any) -> Any:
        return tuple(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("arms", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """An arm without changes may be written as a name alone."""
        return {k: {} if v is None else v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _makes_sense(self) -> "Study":
        if self.data.pairs is not None:
            raise ValueError("sizes says on how many pairs to train; leave data.pairs out")
        for name in (*self.evaluators, *self.sections):
            if not is_object_reference(name):
                raise ValueError(f"{name!r} names no code; write module:object, such as mine:alignment")
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.sizes)) < len(self.sizes):
            raise ValueError("a seed or a size is named twice")
        if lists := [key for key, value in flatten(self.set).items() if is_list(value)]:
            raise ValueError(f"set.{lists[0]}: lists (each) make arms, so they belong to an arm's changes, not to set")
        for arm, changes in self.arms.items():
            if not list(expand_arm(arm, changes)):
                raise ValueError(f"the arm {arm!r} has an empty list, so nothing would be run of it")
        names = [arm.name for arm in self.expanded]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the arm {twice[0]!r} stands there twice")
        if self.baseline in self.controls or (self.baseline is None and names and names[0] in self.controls):
            raise ValueError("the baseline is no control of itself; leave it out of controls")
        for name in [self.baseline, *self.controls]:
            if name is not None and name not in names:
                raise ValueError(str(unknown_name("arm", name, names)))
        if self.ranges and self.search is None:
            raise ValueError(
                "ranges are searched; say how many settings to try for each arm, such as search: {trials: 20}"
            )
        if self.search is not None and not self.ranges:
            raise ValueError("search needs a range, such as learning_rate: {from: 0.0005, to: 0.005, log: true}")
        return self

    @property
    def expanded(self) -> list[Arm]:
        """The arms, lists written out; after a search with the settings it found."""
        arms = [arm for name, changes in self.arms.items() for arm in expand_arm(name, changes)]
        if self._settled is None:
            return arms
        return [
            replace(arm, changes={k: v for k, v in arm.changes.items() if not isinstance(v, Range)} | settings)
            for arm in arms
            if (settings := self._settled.get(arm.name)) is not None
        ]

    def settled(self, settings: Mapping[str, dict[str, Any] | None]) -> "Study":
        """The study with values in place of all ranges; arms that come of one list of numbers stay its line.

        Args:
            settings: For every arm, by its name in :attr:`expanded`, the values by dotted key; None leaves it out, and
                the baseline stays the one that the study names.
        """
        shared = {key: value for key, value in flatten(self.set).items() if not isinstance(value, Range)}
        study = self.model_copy(update={"set": shared, "baseline": self.compared_with})
        study._settled = {name: dict(values) for name, values in settings.items() if values is not None}
        return study

    @property
    def compared_with(self) -> str:
        """The baseline's name."""
        return self.baseline or self.expanded[0].name

    @property
    def treatments(self) -> list[str]:
        """The names of the arms under test: those that are neither the baseline nor a control."""
        return [arm.name for arm in self.expanded if arm.name not in (self.compared_with, *self.controls)]

    def without_controls(self) -> "Study":
        """The study with its baseline and treatments alone."""
        study = self.settled({arm.name: None if arm.name in self.controls else {} for arm in self.expanded})
        return study.model_copy(update={"controls": ()})

    @property
    def ranges(self) -> bool:
        """Whether anything is to be searched."""
        return any(isinstance(v, Range) for arm in self.expanded for v in {**flatten(self.set), **arm.changes}.values())


def read_study(name: str | Path, overrides: Sequence[str] = ()) -> Study:
    """A study from a YAML file or by the name of one that ships, changed by ``key=value`` words.

    Args:
        name: A file, or a name from ``built_in("study")``.
        overrides: Such as ``data.source=pairs.csv`` or ``set.samples=50000``; values are read as YAML.

    Raises:
        UserError: There is no such study, it is no YAML, a key is unknown, or what it asks for does not go together.
    """
    fields = read_named(name, "study")
    for word in overrides:
        override(fields, word)
    try:
        return Study.model_validate(fields)
    except ValidationError as error:
        advice = read_yaml(Path(__file__).with_name("advice.yaml"), "table of remedies")
        raise invalid_fields(error, f"the study {name}", Study, advice) from error


@contextmanager
def error_prefix(where: str) -> Generator[None]:
    """Prefixes the messages of user errors in the block with where they occurred."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def arm_recipe(study: Study, arm: Arm, seed: int, size: int | str, settings: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of one trial.

    Args:
        study: The study.
        arm: One of its arms.
        seed: The seed.
        size: The number of training pairs, or ``all``.
        settings: Values for the ranges.

    Raises:
        UserError: A key or value is wrong, or an arm changes what all must share.
    """
    changes = {**flatten(study.set), **arm.changes, **(settings or {})}
    for key in changes:
        if key.split(".")[0] in SHARED:
            who = f"the arm {arm.name!r}" if key in arm.changes else "set"
            raise UserError(
                f"the study {study.name}: {who} changes {key}, which all arms share; "
                f"set data and seeds at the top of the file."
            )
    fixed = {key: value for key, value in changes.items() if not isinstance(value, Range)}
    words = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in fixed.items()]
    with error_prefix(f"the study {study.name}, arm {arm.name!r}"):
        recipe = read_recipe(study.recipe, words)
    data = study.data.model_copy(update={"pairs": None if size == "all" else size})
    return recipe.model_copy(update={"seed": seed, "data": data})


def sizes_of(study: Study, pairs: int) -> list[int | str]:
    """The sizes in ascending order; a number that is all the pairs counts as ``all``.

    Raises:
        UserError: There are fewer training pairs than a size asks for.
    """
    numbers = sorted({pairs if size == "all" else int(size) for size in study.sizes})
    if numbers[-1] > pairs:
        raise UserError(f"the study {study.name} asks for {numbers[-1]:,} training pairs; there are {pairs:,}.")
    return ["all" if number == pairs else number for number in numbers]


def ranges_of(study: Study, arm: Arm) -> dict[str, Range]:
    """What is searched for an arm, by dotted key: its own ranges, and those of all arms that it does not fix."""
    changes = {**flatten(study.set), **arm.changes}
    return {key: value for key, value in changes.items() if isinstance(value, Range)}


def first_values(ranges: Mapping[str, Range]) -> dict[str, Any]:
    """The first value of each range."""
    return {key: search_range.ends[0] for key, search_range in ranges.items()}


def check_recipes(study: Study) -> dict[str, list[Recipe]]:
    """The recipes of all arms with one seed, so that an error in the last arm is reported before the first one trains.

    The study's own evaluators are imported, so that errors in them are reported as well.

    Returns:
        By arm its recipe, with the first value of each range; then the recipes with every other end or choice of one.

    Raises:
        UserError: As for :func:`arm_recipe`; an evaluator cannot be loaded.
    """
    for name in study.evaluators:
        own_evaluator(name)
    recipes: dict[str, list[Recipe]] = {}
    for arm in study.expanded:
        ranges = ranges_of(study, arm)
        first = first_values(ranges)
        others = [{**first, key: end} for key, search_range in ranges.items() for end in search_range.ends[1:]]
        settings = [first, *others]
        recipes[arm.name] = [arm_recipe(study, arm, study.seeds[0], study.sizes[0], values) for values in settings]
    return recipes
