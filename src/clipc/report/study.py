"""A study's report: one HTML file for a critical reviewer, from the verdict to the name of every trial."""

from collections.abc import Sequence
from typing import Any, Final

from clipc.report.page import Section, experiment_page
from clipc.report.sections.curves import curves
from clipc.report.sections.differences import size_differences
from clipc.report.sections.effects import effect_strips
from clipc.report.sections.findings import findings
from clipc.report.sections.gains import gain_table
from clipc.report.sections.headline import headline
from clipc.report.sections.procedure import procedure, question, reproduction, search
from clipc.report.sections.results import limits, power, results
from clipc.report.words import words

SECTIONS: Final[tuple[Section, ...]] = (
    *(question, headline, findings, effect_strips, size_differences, gain_table, curves),
    *(results, search, power, limits, procedure, reproduction),
)


def render_study(data: dict[str, Any], *, lang: str = "en", more: Sequence[Section] = ()) -> str:
    """The report of one study as one self-contained HTML page.

    Figures are inline SVG, and there are no scripts; the page's content security policy forbids a browser to load
    anything. All text of the data is escaped.

    Args:
        data: The tables of ``study.json``: arms, the metrics of each trial, comparisons, verdict, curves, power.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.
        more: Your own sections, shown last.

    Raises:
        UserError: There are no words in this language.
    """
    say = words(lang)
    return experiment_page((*SECTIONS, *more), data, say, say("study.title", name=data["name"]))
