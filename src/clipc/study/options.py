"""What a pilot is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from clipc.errors import unknown_name
from clipc.evaluate.probe import SHOTS
from clipc.recipe.recipe import Data
from clipc.study.budget import BUDGETS

ARMS: Final = ("clip", "augment", "clip-c")
"""Plain CLIP; CLIP with equally much more plain augmentation; CLIP with composition."""

QUICK_ARMS: Final = ("clip", "clip-c")
"""Without the control each trial learns half as long again, and the report says what it cannot tell."""


@dataclass(frozen=True)
class PilotOptions:
    """What a pilot is asked to do.

    Attributes:
        data: Where the pairs come from.
        budget: A name from :data:`clipc.study.budget.BUDGETS`.
        minutes: The time for everything, in minutes; the budget's if None.
        seeds: How many seeds, at least 3.
        jobs: Trials at a time; on a CPU one a core if None, on a GPU one after the other.
        overrides: ``key=value`` changes to the recipe, for all arms alike.
        recipe: The recipe's name or file.
        templates: The prompt templates for zero-shot classification (see :func:`clipc.evaluate.evaluate`).
        pictures: Whether the report shows pictures.
        command: The command line, for the report.
    """

    data: Data = field(default_factory=Data)
    budget: str = "standard"
    minutes: float | None = None
    seeds: int = 3
    jobs: int | None = None
    overrides: Sequence[str] = ()
    recipe: str = "small"
    templates: str = "auto"
    pictures: bool = True
    command: str = "clipc pilot"

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that are compared."""
        return QUICK_ARMS if self.budget == "quick" else ARMS

    @property
    def shots(self) -> tuple[int, ...]:
        """The few-shot probes; they would take as long as a quick trial's training."""
        return () if self.budget == "quick" else SHOTS

    @property
    def allowed_minutes(self) -> float:
        """The time for everything, in minutes."""
        if self.budget not in BUDGETS:
            raise unknown_name("budget", self.budget, BUDGETS)
        return BUDGETS[self.budget] if self.minutes is None else self.minutes
