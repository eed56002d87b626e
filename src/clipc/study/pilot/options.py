"""The options of a pilot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clipc.audit.decisions import Decision
from clipc.recipe.data import Data
from clipc.study.worth.figures import RoiFigures

LEAST_SEEDS: Final = 3
"""The smallest number of seeds: the variation between seeds cannot be estimated from fewer."""

MOST_SEEDS: Final = 12
"""The largest number of seeds that a pilot takes by itself."""


@dataclass(frozen=True)
class PilotOptions:
    """The options of a pilot.

    Attributes:
        data: Where the pairs come from. ``data.pairs`` and ``data.subset`` say which of them the pilot is about.
        minutes: The time for the whole pilot, in minutes.
        seeds: The number of seeds, at least :data:`LEAST_SEEDS`; if None, as many as fit, at most :data:`MOST_SEEDS`.
        jobs: Parallel trials; if None, one per core on a CPU, one at a time on a GPU.
        study: The study's name or file. The options given here replace its data, recipe, seeds, templates and language.
        overrides: ``key=value`` changes to the recipe of all arms.
        recipe: The recipe's name or file; if None, the one that suits the pairs.
        templates: The prompt templates for zero-shot classification (see :class:`clipc.study.design.Study`).
        pictures: Whether the report shows images.
        stages: The names of the stages to run.
        arms: The names of the arms to run; all if empty.
        tune: How many settings are tried for each arm on the validation split before the experiment; 0 for none.
        settings: For each arm, by name, values of its recipe by dotted key, such as an earlier pilot tuned them.
        go_on: Whether to go on where a stage says that this makes no sense.
        figures: The user's figures, for the return on investment. They change no trial and no stage.
        decisions: Experts' decisions on composites, for the gate of meaning. They change no trial and no stage either.
        attributes: What the bias audit looks for, as :class:`~clipc.audit.bias.audit.BiasOptions` names it; empty for
            all word lists that the captions name. Other attributes run that stage alone again.
        public: A public model (as :meth:`clipc.models.model.ClipModel.load` takes it) that the trained models are
            compared with, untouched; it changes no trial and no stage.
        command: The command line, for the report.
    """

    data: Data = field(default_factory=Data)
    minutes: float = 20.0
    seeds: int | None = None
    jobs: int | None = None
    study: str = "pilot"
    overrides: Sequence[str] = ()
    recipe: str | None = None
    templates: str = "auto"
    pictures: bool = True
    figures: RoiFigures | None = None
    decisions: Sequence[Decision] = ()
    attributes: tuple[str, ...] = ()
    public: str | None = None
    command: str = "clipc pilot"
    stages: tuple[str, ...] = ("doctor", "preview", "bias", "experiment", "curve", "confirm")
    arms: tuple[str, ...] = ()
    tune: int = 0
    settings: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict[str, Mapping[str, Any] | None])
    go_on: bool = False

    @property
    def seed_range(self) -> tuple[int, int]:
        """The smallest and the largest number of seeds."""
        return (LEAST_SEEDS, MOST_SEEDS) if self.seeds is None else (self.seeds, self.seeds)

    @property
    def continues(self) -> bool:
        """Whether stages follow the experiment."""
        return "curve" in self.stages or "confirm" in self.stages
