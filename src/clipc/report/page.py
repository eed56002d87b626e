"""Parts that all pages share: the template engine, pages made of sections, checked images, and dates."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from clipc.errors import UserError
from clipc.extension import load_function
from clipc.report import marks, readable
from clipc.report.words import Words

Section = Callable[[Mapping[str, Any], Words], Markup]
"""A function from tables and words to a piece of HTML, which is empty where there is nothing to show."""

_IMAGE_URI = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}")

_ICONS = {role: Markup(marks.icon(mark)) for role, mark in marks.ROLE_MARKS.items()}  # our own marks

_SIDES = {
    "left-right": ("left", "right"),
    "top-bottom": ("top", "bottom"),
    "box": ("outer", "inset"),
    "first-image": ("shown", "unshown"),
}


def page(template: str, say: Words, content: Mapping[str, Any]) -> str:
    """A self-contained HTML page; values in ``content`` that are not :class:`Markup` are escaped.

    Args:
        template: The name of a file in ``report/pages``.
        say: The words of the page's language.
        content: The variables of the template.
    """
    styles = Markup(
        "".join(_read(f"{name}.css") for name in ("style", "experiment", "doctor", "worth"))
    )  # our own files, not the user's text
    return _engine().get_template(template).render(say=say, style=styles, num=readable, icons=_ICONS, **content)


def experiment_page(
    sections: Sequence[Section], data: Mapping[str, Any], say: Words, title: str, *, headline: str = ""
) -> str:
    """The page of an experiment: title, date, and its sections in order.

    Args:
        sections: What the page shows.
        data: The tables of the sections.
        say: The words of the page's language.
        title: What the page is about, in its first line.
        headline: What was found, in one sentence, for pages whose first section does not begin with it.
    """
    pieces = [section(data, say) for section in sections]
    content = {
        "title": title,
        "headline": headline,
        "created": format_date(data["created"], say),
        "sections": pieces,
        "version": data["clipc"],
    }
    return page("experiment.html", say, content)


def load_section(name: str) -> Section:
    """The user's section with the name ``module:object``; text that is not :class:`Markup` is escaped.

    Raises:
        UserError: The section cannot be loaded (see :func:`clipc.extension.load_function`), or does not return text.
    """
    section = load_function(name, "data", "words", result="a piece of the page")

    def escape_piece(data: Mapping[str, Any], say: Words) -> Markup:
        piece: Any = section(data, say)
        if not isinstance(piece, str):
            raise UserError(f"{name} returned {type(piece).__name__}; return text, or markupsafe.Markup for HTML.")
        return escape(piece)

    return escape_piece


def fragment(template: str, say: Words, **content: Any) -> Markup:
    """A piece of a page; values in ``content`` that are not :class:`Markup` are escaped.

    Args:
        template: The name of a file in ``report/pages``.
        say: The words of the page's language.
        content: The variables of the template.
    """
    return Markup(
        _engine().get_template(template).render(say=say, num=readable, icons=_ICONS, **content)
    )  # escaped by the engine


def missing_check(data: Mapping[str, Any], check: str, title: str, say: Words) -> Markup | None:
    """What a page of an experiment says in place of a check of the data that failed or was not made.

    Args:
        data: The page's tables. Under the check's name they hold its own tables, ``{"failed": sentence}`` where it
            failed, or None where it was not made; without the name the page says nothing of it.
        check: The name of the check, ``doctor`` or ``bias``, also that of its words.
        title: The heading of its section.
        say: The words of the page's language.

    Returns:
        The section, empty without the name; None where the check was made.
    """
    if check not in data:
        return Markup()
    tables: Mapping[str, Any] | None = data[check]
    if tables is not None and "failed" not in tables:
        return None
    words = f"{check}.short"
    sentence = say(f"{words}.missing") if tables is None else say(f"{words}.failed", reason=tables["failed"])
    return fragment("missing_check.html", say, title=title, sentence=sentence)


def sample_content(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sample composite for the templates: its images are checked, and ``sides`` names its two parts by keys of words.

    Raises:
        ValueError: An image is not a ``data:`` URI, but for example an address that a browser would load.
    """
    for uri in (row["picture"], row["left_image"], row["right_image"]):
        checked_image(uri)
    return {**row, "sides": layout_sides(row["layout"])}


def layout_sides(layout: str) -> tuple[str, str]:
    """The names, under ``samples`` in the words, of the parts of a composite that its two sources fill."""
    return _SIDES.get(layout, ("first", "second"))


def checked_image(uri: str) -> str:
    """The same address of an image, for templates.

    Raises:
        ValueError: It is not a ``data:`` URI, but for example an address that a browser would load.
    """
    if not _IMAGE_URI.fullmatch(uri):
        raise ValueError(f"an image must be a base64 data URI of a PNG, JPEG or WebP, not {uri[:40]!r}")
    return uri


def format_date(iso: str, say: Words) -> str:
    """A date and time in ISO 8601 as text in the language of the page; a time zone is converted to UTC."""
    moment = datetime.fromisoformat(iso)
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    month = say("page.months").split()[moment.month - 1]
    return say("page.date", day=moment.day, month=month, year=moment.year, time=f"{moment:%H:%M}")


@cache
def _engine() -> Environment:
    engine = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.filters["whole"] = _no_break
    engine.filters["css"] = _css_string
    return engine


def _no_break(text: str) -> Markup:
    """Escapes a sentence, and keeps the name CLIP-C on one line."""
    return escape(text).replace("CLIP-C", Markup('<span class="whole">CLIP-C</span>'))


def _css_string(text: str) -> Markup:
    """Text inside the quotes of a CSS string: every character except ASCII letters and digits as its code point."""
    letters = (c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in text)
    return Markup("".join(letters))  # neither quotes, brackets nor backslashes of the text are left


def _read(name: str) -> str:
    return files("clipc.report").joinpath("pages", name).read_text(encoding="utf-8")
