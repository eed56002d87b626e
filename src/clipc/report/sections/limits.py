"""The limitations of an experiment, and how many seeds a difference needs."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import fragment
from clipc.report.words import Words


def limits(data: Mapping[str, Any], say: Words) -> Markup:
    """What was not tested, a sentence each."""
    return fragment("limits.html", say, limits=[limit(code, say) for code in data["not_shown"]])


def power(data: Mapping[str, Any], say: Words) -> Markup:
    """The seeds that a difference would take, given the measured noise; nothing where none was measured."""
    rows = [_power(row, say) for row in data["power"]]
    return fragment("power.html", say, power=rows, data=data) if rows else Markup()


def limit(code: str | Mapping[str, Any], say: Words) -> str:
    """The sentence for one entry of ``not_shown``: a code, or a code with its parameters."""
    if isinstance(code, str):
        return say.limit(code, {})
    return say.limit(code["code"], {name: value for name, value in code.items() if name != "code"})


def _power(row: Mapping[str, Any], say: Words) -> dict[str, Any]:
    unit = row["unit"]
    return {
        "name": say.metric(row["metric"]),
        "sd": readable.plain(unit, row["sd"]),
        "pairs_of_arms": row["pairs_of_arms"],
        "unit": say.unit(unit, "difference"),
        "floor": readable.plain(unit, row["floor"]),
        "rows": [
            (
                readable.plain(unit, r["difference"]),
                say("study.power.never") if r["seeds"] is None else readable.count(r["seeds"]),
            )
            for r in row["rows"]
        ],
    }
