"""The pages of a model in use: the result of a search, a classification, and a comparison of two models."""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from clipc.report import readable
from clipc.report.page import Section, experiment_page, page
from clipc.report.sections.use import (
    calibration_sentences,
    classified_images,
    classifier_findings,
    classify_headline,
    compare_headline,
    comparison_classes,
    comparison_examples,
    comparison_findings,
    comparison_thresholds,
    model_sentence,
    search_headline,
    search_hits,
)
from clipc.report.words import Words, words

SECTIONS: Final[Mapping[str, tuple[Section, ...]]] = {
    "search": (search_hits,),
    "classify": (classifier_findings, classified_images),
    "compare": (comparison_findings, comparison_classes, comparison_examples, comparison_thresholds),
}
"""The sections of each kind of page."""

HEADLINES: Final[Mapping[str, Callable[[Mapping[str, Any], Words], str]]] = {
    "search": search_headline,
    "classify": classify_headline,
    "compare": compare_headline,
}
"""What was found, in one sentence, for each kind of page."""


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
    headline = HEADLINES[kind](tables, say)
    return experiment_page((*SECTIONS[kind], *more), tables, say, title, headline=headline)


SERVE_ASSETS: Final[Mapping[str, str]] = {"page.css": "text/css", "page.js": "text/javascript"}
"""The files of the local page besides the page itself, with their media types."""

_SERVE_WORDS: Final = ("page.list", "use.search.score", "use.search.typical", "use.search.weak", "use.search.all_weak")


def render_serve(facts: Mapping[str, Any], *, lang: str = "en") -> str:
    """The local page of a served model, which loads :data:`SERVE_ASSETS` and asks the JSON API.

    Args:
        facts: What ``api/about`` answers.
        lang: The language of the page.
    """
    say = words(lang)
    names = [*(name for name in say.table if name.startswith("use.serve.")), *_SERVE_WORDS]
    own_words = {name.rpartition(".")[2]: say.table[name] for name in names}
    classifier = facts["classifier"]
    known = [] if classifier is None else calibration_sentences(classifier, say)
    content = {"facts": facts, "words": json.dumps(own_words), "known": known, "n": readable.count(facts["images"])}
    return page("serve.html", say, {**content, "model": model_sentence(facts["model"], say)})


def serve_asset(name: str) -> str:
    """The content of one of :data:`SERVE_ASSETS`."""
    parts = {"page.css": ("style.css", "serve.css"), "page.js": ("serve.js",)}[name]
    return "\n".join(files("clipc.report").joinpath("pages", part).read_text("utf-8") for part in parts)
