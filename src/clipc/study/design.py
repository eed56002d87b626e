"""The definition of a study: arms, sizes and seeds, read from one YAML file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from clipc.compose.policy import Name
from clipc.errors import UserError, invalid_fields, shortened, unknown_name
from clipc.extension import is_object_reference
from clipc.limits import TRIALS
from clipc.recipe.data import Data
from clipc.recipe.key_types import KeyType
from clipc.recipe.recipe import Recipe
from clipc.recipe.yaml_table import override, parse_yaml, read_named, read_value, read_yaml
from clipc.study.arms import Arm, Range, expand_arm, flatten, is_arm_list, is_range


class Search(BaseModel):
    """The options of a search.

    Attributes:
        trials: How many settings are tried for each arm with ranges. An arm without ranges is tried once; the page
            says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(default=20, ge=2, le=TRIALS)


class Contrast(BaseModel):
    """Two gains to compare, each as the names of an arm and of the arm that it gains over.

    Attributes:
        gain: The gain of interest.
        than: The gain that it is compared with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gain: tuple[str, str]
    than: tuple[str, str]


class Study(BaseModel):
    """A study; the attributes are the keys of its file.

    Attributes:
        name: A short name, for folders and pages.
        note: A remark for the readers of the page.
        data: Where the pairs come from: keys of a recipe's ``data``.
        recipe: The recipe that all arms share: a file, or the name of a built-in recipe.
        set: Changes to the recipe for all arms, with dotted or nested keys.
        arms: The changes of each arm, by its name. A value ``{each: [...]}`` makes one arm of every entry;
            ``{from:, to:, log:}`` and ``{one_of: [...]}`` are ranges that are searched on the validation split. The key
            ``what`` holds a sentence about the arm.
        baseline: The arm that all others are compared with; the first if null.
        controls: Arms that show other possible causes of a gain over the baseline.
        folds: The number of folds of a cross-validation: every seed trains once for each fold and is tested on it, so
            that every pair is a test pair once. None for one split.
        contrasts: Gains to compare with each other, besides those with controls and over sizes:
            ``{gain: [A, B], than: [C, D]}`` stands for (A - B) - (C - D).
        sizes: Numbers of training pairs; ``all`` stands for all of them. Every seed draws its own sets; a smaller one
            is a subset of the larger ones of its seed, and keeps the shares of the labels.
        seeds: The seeds; a single number n stands for 0 to n - 1.
        templates: The prompt templates for zero-shot classification, the same for all trials: the name of a built-in
            set. ``auto`` is the general set: a choice made on results could favour the arm that it was made on.
        lang: The language of the templates.
        split: The split to measure on: ``val`` for choices that a study on ``test`` is to confirm.
        shots: Numbers of labels per class for few-shot probes, besides the probe on all labels.
        main: The names of the main metrics, in place of the default ones.
        evaluators: Your own evaluators, as ``module:object``; they run besides the built-in ones.
        sections: Your own sections of the page, as ``module:object``; they follow the built-in ones.
        search: The options of the search; needed where there are ranges.
        keep_models: Which trained models are kept: none, those of the first seed (``first``), or all with both weights.
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
    contrasts: tuple[Contrast, ...] = ()
    folds: int | None = Field(default=None, ge=2, le=20)
    sizes: tuple[Annotated[int, Field(ge=1)] | Literal["all"], ...] = Field(default=("all",), min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2), min_length=1)
    templates: str = "auto"
    lang: Literal["en", "ja"] = "en"
    split: Literal["test", "val"] = "test"
    shots: tuple[Annotated[int, Field(ge=1)], ...] = ()
    main: tuple[str, ...] = ()
    evaluators: tuple[Name, ...] = ()
    sections: tuple[Name, ...] = ()
    search: Search | None = None
    keep_models: bool | Literal["first"] = False
    _settings_by_arm: Mapping[str, dict[str, Any]] | None = PrivateAttr(default=None)

    @field_validator("controls", "sizes", "shots", "main", "evaluators", "sections", mode="before")
    @classmethod
    def _wrap_single_value(cls, value: Any) -> Any:
        """Makes a tuple of a single value, so that it may be written without a list."""
        return (value,) if isinstance(value, int | str) and not isinstance(value, bool) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _expand_seed_count(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if value > TRIALS:
                raise ValueError(f"{shortened(format(value, ','))} seeds are more than {TRIALS:,}")
            return tuple(range(value))
        return value

    @field_validator("arms", mode="before")
    @classmethod
    def _fill_empty_arms(cls, value: Any) -> Any:
        """Gives an empty mapping to an arm without changes, so that it may be written as a name alone."""
        return {k: {} if v is None else v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _check_consistency(self) -> "Study":
        if self.data.folds is not None:
            raise ValueError("folds stand at the top of a study; leave data.folds and data.fold out")
        if self.folds is not None and self.split != "test":
            raise ValueError("folds are tested on all pairs; leave split out")
        if self.folds is not None and self.search is not None:
            raise ValueError("a search would choose settings on pairs that folds test on; leave folds or search out")
        if self.data.pairs is not None or self.data.subset:
            raise ValueError("the training pairs are set by sizes and seeds; leave data.pairs out, and data.subset")
        for name in (*self.evaluators, *self.sections):
            if not is_object_reference(name):
                raise ValueError(f"{name!r} is no reference to code; write module:object, such as mine:alignment")
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.sizes)) < len(self.sizes):
            raise ValueError("a seed or a size is given twice")
        if lists := [key for key, value in flatten(self.set).items() if is_arm_list(value)]:
            raise ValueError(f"set.{lists[0]}: lists (each) make arms, so they belong to an arm's changes, not to set")
        for arm, changes in self.arms.items():
            if not list(expand_arm(arm, changes)):
                raise ValueError(f"the arm {arm!r} has an empty list, so it has no trials")
        names = [arm.name for arm in self.expanded_arms]
        if (count := len(names) * len(self.sizes) * len(self.seeds) * (self.folds or 1)) > TRIALS:
            raise ValueError(f"arms, sizes, seeds and folds make {count:,} trials, more than {TRIALS:,}")
        if twice := sorted(name for name, times in Counter(names).items() if times > 1):
            raise ValueError(f"the arm {twice[0]!r} is defined twice")
        if self.baseline in self.controls or (self.baseline is None and names and names[0] in self.controls):
            raise ValueError("the baseline cannot be a control; leave it out of controls")
        in_contrasts = [name for gains in self.named_contrasts for gain in gains for name in gain]
        for name in [self.baseline, *self.controls, *in_contrasts]:
            if name is not None and name not in names:
                raise ValueError(str(unknown_name("arm", name, names)))
        if self.has_ranges and self.search is None:
            raise ValueError(
                "ranges are searched; say how many settings to try for each arm, such as search: {trials: 20}"
            )
        if self.search is not None and not self.has_ranges:
            raise ValueError("search needs a range, such as learning_rate: {from: 0.0005, to: 0.005, log: true}")
        return self

    @property
    def expanded_arms(self) -> list[Arm]:
        """All arms: a list makes one arm of each of its values; :meth:`with_settings` replaces ranges by values."""
        arms = [arm for name, changes in self.arms.items() for arm in expand_arm(name, changes)]
        if self._settings_by_arm is None:
            return arms
        return [
            replace(arm, changes={k: v for k, v in arm.changes.items() if not isinstance(v, Range)} | settings)
            for arm in arms
            if (settings := self._settings_by_arm.get(arm.name)) is not None
        ]

    def with_settings(self, settings: Mapping[str, dict[str, Any] | None]) -> "Study":
        """The study with values in place of all ranges; :attr:`Arm.line` of every arm is kept.

        Args:
            settings: For each arm, by its name in :attr:`expanded_arms`, its values by dotted key. None removes the
                arm. The baseline's name does not change.
        """
        shared = {key: value for key, value in flatten(self.set).items() if not isinstance(value, Range)}
        study = self.model_copy(update={"set": shared, "baseline": self.baseline_name})
        study._settings_by_arm = {name: dict(values) for name, values in settings.items() if values is not None}
        return study

    @property
    def baseline_name(self) -> str:
        """The baseline's name."""
        return self.baseline or self.expanded_arms[0].name

    @property
    def named_contrasts(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        """The contrasts as pairs of gains."""
        return [(contrast.gain, contrast.than) for contrast in self.contrasts]

    @property
    def template_set(self) -> str:
        """The name of the template set that all trials are evaluated with; it depends on no result."""
        return "general" if self.templates == "auto" else self.templates

    @property
    def treatments(self) -> list[str]:
        """The names of the arms under test: those that are neither the baseline nor a control."""
        return [arm.name for arm in self.expanded_arms if arm.name not in (self.baseline_name, *self.controls)]

    def without_controls(self) -> "Study":
        """The study with only its baseline and treatments."""
        study = self.with_settings({arm.name: None if arm.name in self.controls else {} for arm in self.expanded_arms})
        return study.model_copy(update={"controls": ()})

    @property
    def has_ranges(self) -> bool:
        """Whether any arm has a range."""
        return any(
            isinstance(v, Range) for arm in self.expanded_arms for v in {**flatten(self.set), **arm.changes}.values()
        )


def read_study(name: str | Path, overrides: Sequence[str] = ()) -> Study:
    """A study from a YAML file, or a built-in one, changed by ``key=value`` overrides.

    Args:
        name: A file, or a name from ``built_in("study")``.
        overrides: Changes such as ``data.source=pairs.csv`` or ``set.samples=50000``, read as those of a recipe are; a
            recipe's key may have a range, such as ``set.model={one_of: [nano, small]}``.

    Raises:
        UserError: There is no such study, the file is not YAML, a key is unknown, or keys contradict each other.
    """
    fields = read_named(name, "study", _types())
    for change in overrides:
        override(fields, change, _read_value)
    try:
        return Study.model_validate(fields)
    except ValidationError as error:
        advice = read_yaml(Path(__file__).with_name("advice.yaml"), "table of remedies")
        raise invalid_fields(error, f"the study {name}", Study, advice) from error


def _types() -> KeyType:
    """The types of a study's keys, with those of the recipe below ``set`` and ``arms``."""
    types = {name: field.annotation for name, field in Study.model_fields.items()}
    return KeyType({**types, "set": Recipe, "arms": dict[str, Recipe]})


def _read_value(key: str, text: str) -> Any:
    """The value of an override; unlike a recipe's, it may be a range or a list of arms."""
    types = _types()
    if key.startswith(("set.", "arms.")) and text.lstrip().startswith("{"):
        with suppress(UserError):
            value = parse_yaml(text, key, types.at(key))
            if is_range(value) or is_arm_list(value):
                return value
    return read_value(key, text, types)
