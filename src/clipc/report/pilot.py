"""The pilot's report: one HTML file that a manager can decide on, print, and send on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clipc.report.page import Section, experiment_page
from clipc.report.sections.effects import effect_strips
from clipc.report.sections.headline import headline
from clipc.report.sections.procedure import procedure, reproduction
from clipc.report.sections.results import limits, power, results
from clipc.report.sections.training import composites, cost, training
from clipc.report.words import Words, words

SECTIONS: Final[tuple[Section, ...]] = (
    *(headline, composites, effect_strips, results, limits, power),
    *(procedure, training, cost, reproduction),
)


def render_pilot(data: dict[str, Any], *, lang: str = "en", more: Sequence[Section] = ()) -> str:
    """The report of one pilot as one self-contained HTML page.

    Nothing in it is asked for from elsewhere: images are ``data:`` URIs, figures inline SVG, no scripts, and the
    page's own policy forbids a browser to fetch anything. All text of the data is escaped.

    Args:
        data: The tables of ``report.json``: those of a study, with the pilot's budget, composites, cost and training.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.
        more: Sections of your own, shown last.

    Raises:
        UserError: There are no words in that language.
        ValueError: A sample's image is no ``data:`` URI.
    """
    say = words(lang)
    return experiment_page(
        (*SECTIONS, *more), with_readable_arms(data, say), say, say("page.pilot", name=data["source"]["name"])
    )


def with_readable_arms(data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """The tables with arms named and explained in the language's words, as far as it has any for them."""

    def all_named(rows: Sequence[Any]) -> list[Any]:
        """Renames arms in a list: their names, or rows that name them."""
        return [_with_names(row, say) if isinstance(row, Mapping) else say.arm(row) for row in rows]

    verdict = data["verdict"]
    lists = ("controls", "comparisons", "diverged", "search", "composites", "training")
    cost = data["composing_cost"]
    return {
        **data,
        **{name: all_named(data[name]) for name in lists if name in data},
        "baseline": say.arm(data["baseline"]),
        "arms": [
            {**arm, "name": say.arm(arm["name"]), "what": say.get(f"arm_what.{arm['name']}", arm["what"])}
            for arm in data["arms"]
        ],
        "verdict": {
            **verdict,
            "headline": _with_names(verdict["headline"], say),
            "arms": {say.arm(name): code for name, code in verdict["arms"].items()},
            "controls": {**verdict["controls"], **{n: all_named(verdict["controls"][n]) for n in ("names", "gains")}},
        },
        "composing_cost": None if cost is None else {**cost, "arms": all_named(cost["arms"])},
        "not_shown": [row if isinstance(row, str) else _with_names(row, say) for row in data["not_shown"]],
    }


def _with_names(row: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """One row of a table with the arms that it names."""
    named = {key: say.arm(row[key]) for key in ("arm", "against") if row.get(key) is not None}
    shown = row.get("shown_by_controls", ())
    return {**row, **named, **({"shown_by_controls": [say.arm(name) for name in shown]} if shown else {})}
