"""The words of the reports, one YAML file a language, and the readable names built from them."""

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
"""The languages that have a file of words."""


@dataclass(frozen=True)
class Words:
    """The words of one language, looked up by dotted key.

    Attributes:
        lang: The language's code, as HTML's ``lang`` attribute takes it.
        table: Every phrase by its dotted key; ``{name}`` in a phrase is a parameter.
    """

    lang: str
    table: Mapping[str, str]

    def __call__(self, key: str, **params: object) -> str:
        """One phrase with its parameters filled in.

        Raises:
            KeyError: There is no such phrase, or it needs a parameter that was not given.
        """
        return self.table[key].format_map(params)

    def get(self, key: str, default: str) -> str:
        """One phrase without parameters, or ``default`` where the language has none for it."""
        return self.table.get(key, default)

    def metric(self, key: str) -> str:
        """A readable name for a metric's key; one that has none here is its own name.

        >>> words("en").metric("retrieval/text_to_image/recall@10")
        'Text → image, recall@10'
        """
        return self._of_metric(key, "name") or key

    def gloss(self, key: str) -> str:
        """What a metric measures, for a reader who does not know it; empty for one that has no gloss here."""
        return self._of_metric(key, "gloss")

    def unit(self, unit: str, form: str) -> str:
        """A metric's unit as it stands after a ``difference``, in ``of_difference``, on an ``axis``, or at a ``level``.

        A unit that has no words here is its own name.
        """
        return self.get(f"unit.{unit}.{form}", unit)

    def interval(self, unit: str, ends: Sequence[float | None] | None) -> str:
        """An interval of a metric's difference, in percentage points or the metric's own unit."""
        low, high = ends or (None, None)
        if low is None or high is None:
            return readable.NONE
        return self("page.range", low=readable.signed(unit, low), high=readable.signed(unit, high))

    def arm(self, name: str) -> str:
        """A readable name for an arm; an unknown arm keeps its own."""
        return self.get(f"arm.{name}", name)

    def limit(self, code: str, params: Mapping[str, object]) -> str:
        """The sentence for one code of ``not_shown``.

        A code without a sentence, or without the parameters that its sentence needs, is shown as it is: a
        report at the end of a long run is worth more than its last phrase.
        """
        values = dict(params)
        if "metric" in values:
            values["metric"] = self.metric(str(values["metric"]))
        if isinstance(keys := values.get("metrics"), list):
            values["metrics"] = self("page.list").join(self.metric(str(one)) for one in cast("list[object]", keys))
        try:
            return self(f"not_shown.{code}", **values)
        except KeyError:
            return code

    def _of_metric(self, key: str, part: str) -> str:
        """A phrase of the first entry under ``metric`` that fits; what stands in braces there fits any text."""
        for name, pattern in _metric_names():
            if match := pattern.fullmatch(key):
                return self(f"metric.{name}.{part}", **match.groupdict())
        return ""


@cache
def words(lang: str) -> Words:
    """The words of one language.

    Raises:
        UserError: There are no words in that language.
    """
    if lang not in LANGUAGES:
        raise unknown_name("language", lang, LANGUAGES)
    return Words(lang, MappingProxyType(_flatten(_tree(lang))))


@cache
def _tree(lang: str) -> Mapping[str, Any]:
    text = files("clipc.report").joinpath("words", f"{lang}.yaml").read_text(encoding="utf-8")
    return YAML(typ="safe").load(text)


@cache
def _metric_names() -> list[tuple[str, re.Pattern[str]]]:
    """The entries under ``metric``, which are the same in every language, each with what fits it."""
    tree: Mapping[str, Any] = _tree("en")["metric"]
    patterns = [(name, re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(name))) for name in tree]
    return [(name, re.compile(pattern, re.DOTALL)) for name, pattern in patterns]


def _flatten(tree: Mapping[str, Any], above: str = "") -> dict[str, str]:
    phrases: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            phrases |= _flatten(value, f"{above}{name}.")
        else:
            phrases[f"{above}{name}"] = str(value)
    return phrases
