"""The words of the reports, YAML files for each language, and readable names for metrics, arms and units."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, cast

from ruamel.yaml import YAML

from clipc.errors import unknown_name
from clipc.report import readable

LANGUAGES = ("en", "ja")
"""The codes of the languages that have files of words."""

_FILES = ("{lang}.yaml", "worth.{lang}.yaml", "use.{lang}.yaml", "review.{lang}.yaml")
"""The files of words; no two have a first key in common."""


@dataclass(frozen=True)
class Words:
    """The words of one language, looked up by dotted key.

    Attributes:
        lang: The language's code, for HTML's ``lang`` attribute.
        table: Every phrase by its dotted key; ``{name}`` in a phrase is a parameter.
    """

    lang: str
    table: Mapping[str, str]

    def __call__(self, key: str, **params: object) -> str:
        """The phrase of a key, with its parameters filled in.

        Raises:
            KeyError: There is no such phrase, or a parameter of the phrase was not given.
        """
        return self.table[key].format_map(params)

    def get(self, key: str, default: str) -> str:
        """The phrase of a key, without parameters; ``default`` if there is none."""
        return self.table.get(key, default)

    def metric(self, key: str) -> str:
        """A readable name for a metric; the key itself if there is none.

        >>> words("en").metric("retrieval/text_to_image/recall@10")
        'Text → image, recall@10'
        """
        return self._metric_phrase(key, "name") or key

    def gloss(self, key: str) -> str:
        """A sentence on what a metric measures; empty if there is none."""
        return self._metric_phrase(key, "gloss")

    def unit(self, unit: str, form: str) -> str:
        """A readable unit of a metric; the unit itself if there is none.

        Args:
            unit: The unit's name.
            form: Where it stands: after a ``difference``, in a label (``of_difference``), on an ``axis``, after a
                ``level``.
        """
        return self.get(f"unit.{unit}.{form}", unit)

    def interval(self, unit: str, ends: Sequence[float | None] | None) -> str:
        """An interval of a metric's difference as text, in percentage points or the metric's unit."""
        low, high = ends or (None, None)
        if low is None or high is None:
            return readable.NONE
        return self("page.range", low=readable.signed(unit, low), high=readable.signed(unit, high))

    def arm(self, name: str) -> str:
        """A readable name for an arm; the arm's own name if there is none."""
        return self.get(f"arm.{name}", name)

    def limit(self, code: str, params: Mapping[str, object]) -> str:
        """The sentence for one code of ``not_shown``.

        A code without a sentence, or without the parameters of its sentence, is returned as it is, because a missing
        phrase must not prevent a report at the end of a long run.
        """
        values = dict(params)
        if "metric" in values:
            values["metric"] = self.metric(str(values["metric"]))
        if isinstance(keys := values.get("metrics"), list):
            values["metrics"] = self("page.list").join(self.metric(str(key)) for key in cast("list[object]", keys))
        try:
            return self(f"not_shown.{code}", **values)
        except KeyError:
            return code

    def reading(self, sentence: str) -> str:
        """What reading a source said, in this language; a sentence that is not known stays as it is.

        The catalog speaks English. Phrases under ``reading`` have the same names in every language; in the English ones
        braces match any text, which is filled into the phrase of this language.
        """
        for name, pattern in _reading_patterns():
            if match := pattern.fullmatch(sentence):
                return self(f"reading.{name}", **match.groupdict())
        return sentence

    def _metric_phrase(self, key: str, part: str) -> str:
        """A phrase of the first entry under ``metric`` whose name matches; braces in the name match any text."""
        for name, pattern in _metric_patterns():
            if match := pattern.fullmatch(key):
                return self(f"metric.{name}.{part}", **match.groupdict())
        return ""


@cache
def words(lang: str) -> Words:
    """The words of one language.

    Raises:
        UserError: There are no words in this language.
    """
    if lang not in LANGUAGES:
        raise unknown_name("language", lang, LANGUAGES)
    return Words(lang, MappingProxyType(_flatten(_tree(lang))))


@cache
def _tree(lang: str) -> Mapping[str, Any]:
    tree: dict[str, Any] = {}
    for name in _FILES:
        text = files("clipc.report").joinpath("words", name.format(lang=lang)).read_text(encoding="utf-8")
        tree |= YAML(typ="safe").load(text)
    return tree


@cache
def _metric_patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The names of the entries under ``metric``, the same in every language, with a pattern for the metrics' keys."""
    tree: Mapping[str, Any] = _tree("en")["metric"]
    return [(name, _pattern(name)) for name in tree]


@cache
def _reading_patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The names of the phrases under ``reading``, with a pattern for the catalog's sentences."""
    tree: Mapping[str, str] = _tree("en")["reading"]
    return [(name, _pattern(phrase)) for name, phrase in tree.items()]


def _pattern(phrase: str) -> re.Pattern[str]:
    """A phrase as a pattern in which braces match any text."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(phrase)), re.DOTALL)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """All phrases of nested tables, by dotted key."""
    phrases: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            phrases |= _flatten(value, f"{prefix}{name}.")
        else:
            phrases[f"{prefix}{name}"] = str(value)
    return phrases
