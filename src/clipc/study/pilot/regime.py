"""What of a pilot fits its time: seeds first, then controls, then pairs; how often a pair is seen is never cut."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PLANNED_SHARE: Final = 0.9
"""The share of the time that is planned; the rest allows for a machine that becomes slower."""

LEAST_PAIRS: Final = 100
"""A pilot does not take a subset of fewer training pairs by itself."""


@dataclass(frozen=True)
class Cost:
    """The time of trials on so many training pairs.

    Attributes:
        pairs: The number of training pairs.
        once: Seconds of what is done once before the trials: features that are kept.
        trial: Seconds of one trial.
    """

    pairs: int
    once: float
    trial: float

    def seconds(self, trials: int, jobs: int) -> float:
        """The time of so many trials, of which ``jobs`` run at a time."""
        return self.once + math.ceil(trials / jobs) * self.trial


@dataclass(frozen=True)
class Scope:
    """What a pilot runs.

    Attributes:
        pairs: The number of training pairs.
        arms: The names of the arms.
        seeds: The number of seeds.
        seconds: The time that this will take.
    """

    pairs: int
    arms: tuple[str, ...]
    seeds: int
    seconds: float


def settle(
    seconds: float,
    costs: Sequence[Cost],
    arms: Sequence[Sequence[str]],
    seeds: tuple[int, int],
    jobs: int,
    tries: int = 0,
) -> Scope | None:
    """The largest scope that fits the time.

    Fewer seeds come first, then fewer arms, then fewer pairs; each time with as many seeds as fit.

    Args:
        seconds: The time for all trials and what is done once before them.
        costs: The cost at each number of pairs, largest number first.
        arms: The sets of arms to choose from, largest first.
        seeds: The smallest and the largest number of seeds.
        jobs: How many trials run at a time.
        tries: How many settings are tried for each arm before; a try costs as much as a trial.

    Returns:
        The scope; None if not even the smallest fits.
    """
    least, most = seeds
    for cost in costs:
        for names in arms:
            for number in range(most, least - 1, -1):
                needed = cost.seconds(len(names) * (number + tries), jobs)
                if needed <= seconds * PLANNED_SHARE:
                    return Scope(cost.pairs, tuple(names), number, needed)
    return None


def seconds_needed(cost: Cost, arms: Sequence[str], seeds: int, jobs: int) -> float:
    """The time to ask for, so that :func:`settle` finds this scope."""
    return cost.seconds(len(arms) * seeds, jobs) / PLANNED_SHARE


def smaller_arm_sets(arms: Sequence[str], controls: Sequence[str]) -> list[tuple[str, ...]]:
    """All arms, then without one control after the other, the last one first.

    Args:
        arms: The names of all arms.
        controls: Those that may be left out.
    """
    left_out = [set(controls[len(controls) - number :]) for number in range(len(controls) + 1)]
    return [tuple(name for name in arms if name not in names) for names in left_out]


def subset_sizes(pairs: int) -> list[int]:
    """The numbers of training pairs to choose from: all, a half, a quarter and so on down to :data:`LEAST_PAIRS`."""
    sizes = [pairs]
    while (half := sizes[-1] // 2) >= LEAST_PAIRS:
        sizes.append(half)
    return sizes
