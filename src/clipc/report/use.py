"""The pages of a model in use: the result of a search, a classification, and a comparison of two models."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clipc.report.page import Section, experiment_page
from clipc.report.sections.use import (
    classified_images,
    classifier_findings,
    comparison_classes,
    comparison_examples,
    comparison_findings,
    comparison_thresholds,
    search_hits,
)
from clipc.report.words import words

SECTIONS: Final[Mapping[str, tuple[Section, ...]]] = {
    "search": (search_hits,),
    "classify": (classifier_findings, classified_images),
    "compare": (comparison_findings, comparison_classes, comparison_examples, comparison_thresholds),
}
"""The sections of each kind of page."""


def render_use(tables: Mapping[str, Any], *, lang: str = "en", more: Sequence[Section] = ()) -> str:
    """A search, a classification or a comparison as one self-contained HTML page; all text of the data is escaped.

    Args:
        tables: The tables, whose ``kind`` is one of :data:`SECTIONS`.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.
        more: Your own sections, shown last.

    Raises:
        UserError: There are no words in this language.
        ValueError: An image is not a ``data:`` URI.
    """
    say, kind = words(lang), str(tables["kind"])
    title = say(f"use.{kind}_page", name=tables["source"]["name"])
    return experiment_page((*SECTIONS[kind], *more), tables, say, title)
