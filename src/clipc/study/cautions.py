"""What limits a study beside its figures: trials that diverged, how arms were tuned, which pairs were drawn."""

from collections.abc import Sequence
from typing import Any

from clipc.catalog import Catalog
from clipc.study.found import Found
from clipc.study.run import Planned

Codes = list[str | dict[str, Any]]
"""Entries of ``not_shown``: the page's words hold a sentence for each code."""


def diverged_table(diverged: Sequence[tuple[Planned, int]]) -> list[dict[str, Any]]:
    """One row for each trial whose loss stopped being a number: arm, size, seed, run, step."""
    return [
        {"arm": p.trial.arm, "size": p.size, "seed": p.trial.recipe.seed, "run": p.trial.folder.name, "step": step}
        for p, step in diverged
    ]


def diverged_limits(diverged: Sequence[tuple[Planned, int]]) -> Codes:
    """A code for each arm that has trials without figures, with their number."""
    arms = [p.trial.arm for p, _ in diverged]
    return [{"code": "diverged", "arm": arm, "n": arms.count(arm)} for arm in dict.fromkeys(arms)]


def search_limits(found: Sequence[Found]) -> Codes:
    """Codes for arms that had unequal numbers of tries, and for those that the search left without settings."""
    codes: Codes = []
    tries = [best.wanted for best in found]
    if len(set(tries)) > 1:
        fewest = [best.arm for best in found if best.wanted == min(tries)]
        codes.append({"code": "unequal-tries", "fewest": min(tries), "most": max(tries), "arms": ", ".join(fewest)})
    if lost := [best.arm for best in found if best.settings is None]:
        codes.append({"code": "search-left-out", "arms": ", ".join(lost)})
    return codes


def subset_limits(sizes: Sequence[int], catalog: Catalog) -> Codes:
    """A code where some size is a part of the training pairs: it was drawn once, for all seeds."""
    parts = [size for size in sizes if size < catalog.splits["train"]]
    return [{"code": "one-subset", "sizes": ", ".join(f"{size:,}" for size in parts)}] if parts else []


def diverged_lines(diverged: Sequence[tuple[Planned, int]], seeds: int) -> list[str]:
    """For each arm and size a sentence: which seeds diverged, at which steps, and where that is noted."""
    groups: dict[tuple[str, int], list[tuple[Planned, int]]] = {}
    for p, step in diverged:
        groups.setdefault((p.trial.arm, p.size), []).append((p, step))
    lines: list[str] = []
    for (arm, size), found in groups.items():
        where = ", ".join(f"seed {p.trial.recipe.seed} at step {step}" for p, step in found)
        lines.append(
            f"arm {arm!r}, {size:,} pairs: the loss was not a number with {len(found)} of {seeds} seeds ({where}); "
            "they are left out of all comparisons. A lower learning_rate or precision=fp32 may help; to run them "
            f"as they are again, remove {', '.join(str(p.record) for p, _ in found)}."
        )
    return lines
