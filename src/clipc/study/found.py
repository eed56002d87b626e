"""What a search found: each arm's best settings, and the study that is then measured with them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clipc.study.design import Study
from clipc.study.spread import Range, flat, shown


@dataclass(frozen=True)
class Found:
    """What a search found for one arm.

    Attributes:
        arm: The arm's name.
        settings: The best values of its ranges, by dotted key; None where there is no best one: all tries diverged, or
            they are unfinished.
        validation: Their mean recall on validation.
        tried: How many settings were tried.
        given_up: How many of them were given up early, or diverged.
        wanted: How many were to be tried.
    """

    arm: str
    settings: dict[str, Any] | None
    validation: float | None
    tried: int
    given_up: int
    wanted: int

    def __str__(self) -> str:
        """The outcome as a sentence."""
        if self.tried < self.wanted:
            return f"{self.arm}: {self.tried} of {self.wanted} settings are tried, so it is left out."
        if self.settings is None or self.validation is None:
            return f"{self.arm}: the loss was not a number in any of its {self.tried} tries, so it is left out."
        values = ", ".join(f"{key}={shown(value)}" for key, value in self.settings.items())
        return (
            f"{self.arm}: {values or 'its only setting'} is best on validation ({self.validation:.1%} mean recall) "
            f"of {self.tried} tried, {self.given_up} of them given up early."
        )


def with_settings(study: Study, found: Sequence[Found]) -> Study:
    """The study with every arm's best settings in place of its ranges: what is then measured on the test split.

    An arm that has none is left out; the baseline stays the one that the study names.
    """
    settings = {best.arm: best.settings for best in found}
    shared = {key: value for key, value in flat(study.set).items() if not isinstance(value, Range)}
    arms = {
        arm.name: {
            **{key: value for key, value in arm.changes.items() if not isinstance(value, Range)},
            **chosen,
            "what": arm.what,
        }
        for arm in study.expanded
        if (chosen := settings[arm.name]) is not None
    }
    return study.model_copy(update={"set": shared, "arms": arms, "baseline": study.compared_with})


def search_table(found: Sequence[Found]) -> list[dict[str, Any]]:
    """One row an arm, ready for JSON, with the fields of :class:`Found`."""
    return [asdict(best) for best in found]
