"""The page of a bias audit."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clipc.report.page import Section, experiment_page
from clipc.report.sections.bias import (
    bias_associations,
    bias_correction,
    bias_findings,
    bias_headline,
    bias_model,
)
from clipc.report.words import words

SECTIONS: Final[tuple[Section, ...]] = (bias_findings, bias_correction, bias_model, bias_associations)


def render_audit(tables: Mapping[str, Any], *, lang: str = "en", more: Sequence[Section] = ()) -> str:
    """A bias audit as one self-contained HTML page; all text of the data is escaped.

    Args:
        tables: The result of :func:`clipc.audit.bias.audit.audit_bias`.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.
        more: Your own sections, shown last.

    Raises:
        UserError: There are no words in this language.
    """
    say = words(lang)
    data = {"bias": tables, "created": tables["created"], "clipc": tables["clipc"]}
    title, headline = say("page.audit", name=tables["source"]["name"]), bias_headline(tables, say)
    return experiment_page((*SECTIONS, *more), data, say, title, headline=headline)
