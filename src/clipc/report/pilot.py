"""The pilot's report: one HTML file for the person who decides."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clipc.report.page import Section, experiment_page
from clipc.report.redact import redacted
from clipc.report.sections.bias import bias_associations, bias_findings
from clipc.report.sections.curves import curves
from clipc.report.sections.decision import decision
from clipc.report.sections.effects import effect_strips
from clipc.report.sections.gains import gain_table
from clipc.report.sections.headline import headline
from clipc.report.sections.plan import plan, untrained
from clipc.report.sections.procedure import procedure, reproduction, search
from clipc.report.sections.results import limits, power, results
from clipc.report.sections.stages import confirmation, doctor_findings, stages
from clipc.report.sections.training import composites, cost, training
from clipc.report.sections.worth import glossary, worth
from clipc.report.words import Words, words

SECTIONS: Final[tuple[Section, ...]] = (
    *(decision, headline, worth, stages, plan, effect_strips, untrained, gain_table, curves, results, confirmation),
    *(search, limits, power, composites, doctor_findings, bias_findings, bias_associations, procedure, training),
    *(cost, reproduction, glossary),
)


def render_pilot(
    data: Mapping[str, Any], *, lang: str = "en", more: Sequence[Section] = (), redact: bool = False
) -> str:
    """The report of one pilot as one self-contained HTML page.

    Images are ``data:`` URIs, figures are inline SVG, and there are no scripts; the page's content security policy
    forbids a browser to load anything. All text of the data is escaped.

    Args:
        data: The tables of ``report.json``: those of a study, with the pilot's budget, composites, cost and training,
            and ``worth`` for the manager's page.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.
        more: Your own sections, shown last; a redacted page leaves them out.
        redact: Whether pictures, captions, names and paths are left out.

    Raises:
        UserError: There are no words in this language.
        ValueError: A sample's image is not a ``data:`` URI.
    """
    say = words(lang)
    tables, title = readable_tables(data, say, redact=redact)
    return experiment_page((*SECTIONS, *(() if redact else more)), tables, say, title)


def readable_tables(data: Mapping[str, Any], say: Words, *, redact: bool) -> tuple[dict[str, Any], str]:
    """The tables with readable names of arms, redacted if wanted, and the page's title."""
    tables = with_readable_arms(redacted(data, say.lang) if redact else data, say)
    return tables, say("worth.redacted.title") if redact else say("page.pilot", name=data["source"]["name"])


def with_readable_arms(data: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """The tables with readable names and sentences for the arms for which the language has words."""

    def renamed(rows: Sequence[Any]) -> list[Any]:
        """Renames the arms in a list, which holds names or rows."""
        return [_with_names(row, say) if isinstance(row, Mapping) else say.arm(row) for row in rows]

    def named_gain(gain: Mapping[str, Any]) -> dict[str, Any]:
        return {**gain, "arm": say.arm(gain["arm"]), "over": say.arm(gain["over"])}

    verdict = data["verdict"]
    lists = ("controls", "comparisons", "diverged", "search", "composites", "training", "confirmation")
    cost = data["composing_cost"]
    return {
        **data,
        **{name: renamed(data[name]) for name in lists if name in data},
        "gain_differences": [
            {**row, "gain": named_gain(row["gain"]), "than": named_gain(row["than"])}
            for row in data.get("gain_differences", ())
        ],
        "untrained": [{**probe, "arms": renamed(probe["arms"])} for probe in data.get("untrained", ())],
        "curves": [
            {**curve, "lines": [{**line, "name": say.arm(line["name"])} for line in curve["lines"]]}
            for curve in data.get("curves", ())
        ],
        "baseline": say.arm(data["baseline"]),
        "arms": [
            {**arm, "name": say.arm(arm["name"]), "what": say.get(f"arm_what.{arm['name']}", arm["what"])}
            for arm in data["arms"]
        ],
        "verdict": {
            **verdict,
            "headline": _with_names(verdict["headline"], say),
            "arms": {say.arm(name): code for name, code in verdict["arms"].items()},
            "controls": {**verdict["controls"], **{n: renamed(verdict["controls"][n]) for n in ("names", "gains")}},
        },
        "composing_cost": None if cost is None else {**cost, "arms": renamed(cost["arms"])},
        **({"worth": _with_readable_arms_of_worth(data["worth"], say)} if data.get("worth") is not None else {}),
        "not_shown": [row if isinstance(row, str) else _with_names(row, say) for row in data["not_shown"]],
    }


def _with_readable_arms_of_worth(worth: Mapping[str, Any], say: Words) -> dict[str, Any]:
    lines = [{**line, "name": say.arm(line["name"])} for line in worth["curve"]["lines"]]
    gain = worth["gain"]
    return {
        **worth,
        **{key: say.arm(worth[key]) for key in ("baseline", "arm", "model_arm")},
        "curve": {**worth["curve"], "lines": lines},
        "gain": None if gain is None else {**gain, "name": say.arm(gain["name"])},
    }


def _with_names(row: Mapping[str, Any], say: Words) -> dict[str, Any]:
    """A row of a table with readable names in ``arm``, ``against`` and ``shown_by_controls``."""
    named = {key: say.arm(row[key]) for key in ("arm", "against") if row.get(key) is not None}
    shown = row.get("shown_by_controls", ())
    return {**row, **named, **({"shown_by_controls": [say.arm(name) for name in shown]} if shown else {})}
