"""The page of a quality audit."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clipc.report.page import Section, experiment_page
from clipc.report.sections.quality import quality_findings, quality_headline, quality_samples
from clipc.report.words import words

SECTIONS: Final[tuple[Section, ...]] = (quality_findings, quality_samples)


def render_quality(tables: Mapping[str, Any], *, lang: str = "en", more: Sequence[Section] = ()) -> str:
    """A quality audit as one self-contained HTML page; all text of the data is escaped.

    Args:
        tables: The result of :func:`clipc.audit.quality.audit_quality`.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.
        more: Your own sections, shown last.

    Raises:
        UserError: There are no words in this language.
        ValueError: A sample's image is not a ``data:`` URI.
    """
    say = words(lang)
    data = {"quality": tables, "created": tables["created"], "clipc": tables["clipc"]}
    title, headline = say("page.quality", name=tables["source"]["name"]), quality_headline(tables, say)
    return experiment_page((*SECTIONS, *more), data, say, title, headline=headline)
