"""How many seeds a difference needs, in sentences: guessed before the first run, told again once two seeds are in."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from clipc.errors import UserError
from clipc.evaluate.measurement import SHARE
from clipc.evaluate.statistics import seeds_needed
from clipc.study.board import Board
from clipc.study.compare import LEVEL
from clipc.study.design import Study
from clipc.study.noise import POWER, noise
from clipc.study.results import Outcome, metrics_table
from clipc.study.run import Planned, finished_of

DISAGREEMENT: Final = 0.2
"""The share of test images on which two models are taken to disagree before any have been compared.

Differences then vary by the root of this share over the number of images; in the studies of ``docs/results.md`` they
varied by half to twice as much.
"""

GUESSED: Final = (0.02, 0.05, 0.1)
"""The differences that seeds are guessed for."""


def guessed_lines(images: int, metrics: int, seeds: int) -> list[str]:
    """What can be said before any two arms have been compared.

    Args:
        images: Test images.
        metrics: How many main metrics there will be.
        seeds: How many seeds are planned.
    """
    sd = math.sqrt(DISAGREEMENT / images)
    needed = ", ".join(_takes(d, seeds_needed(sd, d, power=POWER, level=LEVEL / metrics)) for d in GUESSED)
    return [
        f"Nothing is known yet of how differences vary here. Taken to vary by {100 * sd:.1f} points (s.d.), as between "
        f"models that disagree on one of five of the {images:,} test images (half to twice as much was usual in our "
        f"studies): {needed}.",
        f"{_found(seeds)} This is told again once an arm and the baseline have two seeds in common.",
    ]


def power_lines(rows: Sequence[Mapping[str, Any]], seeds: int) -> list[str]:
    """The seeds that each main metric would take, given the noise seen; nothing where none has been seen.

    Args:
        rows: As :func:`clipc.study.noise.noise` gives them.
        seeds: How many seeds are planned.
    """
    lines: list[str] = []
    for row in rows:
        unit = row["unit"]
        needed = [_takes(r["difference"], r["seeds"], unit) for r in row["rows"] if r["seeds"] is not None]
        if row["floor"] is not None and (row["floor"] >= 0.0005 or unit != SHARE):
            needed.append(f"below {_amount(row['floor'], unit)} no number of seeds would do on this test set")
        lines.append(f"{row['metric']}: differences vary by {_amount(row['sd'], unit)} (s.d.); {', '.join(needed)}.")
    return [*lines, _found(seeds)] if lines else []


def noise_seen(study: Study, known: Sequence[tuple[Planned, Outcome]]) -> list[dict[str, Any]]:
    """:func:`clipc.study.noise.noise` of the finished trials of a study, as far as it can be told."""
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for plan, outcome in known:
        groups.setdefault((plan.trial.arm, plan.size), []).append(outcome)
    return noise(groups, metrics_table([o for _, o in known], study.main), study.compared_with) if known else []


def told_once(
    study: Study, planned: Sequence[Planned], tell: Callable[[str], None], *, already: bool = False
) -> Callable[[Board], None]:
    """Watches a board, and tells :func:`power_lines` once, when the baseline and an arm have two seeds in common.

    Args:
        study: The study.
        planned: Its trials.
        tell: Told the sentences.
        already: Whether they have been told before.
    """
    looked = -1
    done = already

    def watch(board: Board) -> None:
        nonlocal looked, done
        if done or board.finished == looked:
            return
        looked = board.finished
        two = {(row.arm, row.size) for row in board.rows() if row.finished > 1}
        if not any(arm != study.compared_with and (study.compared_with, size) in two for arm, size in two):
            return
        try:
            seen = noise_seen(study, finished_of(study, planned))
        except (UserError, OSError):
            return  # Another process may be at a record.
        done = True
        for line in power_lines(seen, len(study.seeds)):
            tell(line)

    return watch


def _amount(value: float, unit: str) -> str:
    """A difference, or its spread, with its unit."""
    return f"{100 * value:.1f} points" if unit == SHARE else f"{value:.3g} {unit}"


def _takes(difference: float, seeds: int, unit: str = SHARE) -> str:
    if unit != SHARE:
        return f"{_amount(difference, unit)} take {seeds:,} seeds"
    return f"{100 * difference:g} {'point takes' if difference == 0.01 else 'points take'} {seeds:,} seeds"


def _found(seeds: int) -> str:
    return f"So many seeds find such a difference four times in five; {seeds} {'is' if seeds == 1 else 'are'} planned."
