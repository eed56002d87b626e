"""The words of the reports, one YAML file a language, and the readable names built from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, cast

from ruamel.yaml import YAML

from clipc.errors import unknown_name

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

    def either(self, key: str, otherwise: str) -> str:
        """One phrase without parameters, or ``otherwise`` where the language has none for it."""
        return self.table.get(key, otherwise)

    def metric(self, key: str) -> str:
        """A readable name for a metric's key; a key of an unknown shape is its own name.

        >>> words("en").metric("retrieval/text_to_image/recall@10")
        'Text → image, recall@10'
        """
        plain = key.replace("/text_equal/", "/", 1)
        name = self._metric(plain, "metric")
        return name if plain == key else self("metric.text_equal", name=name)

    def gloss(self, key: str) -> str:
        """What a metric measures, for a reader who does not know it; empty for an unknown one."""
        plain = key.replace("/text_equal/", "/", 1)
        gloss = self._metric(plain, "gloss") if self._shape(plain) else ""
        return gloss if plain == key else self("gloss.text_equal", gloss=gloss)

    def arm(self, name: str) -> str:
        """A readable name for an arm; an unknown arm keeps its own."""
        return self.either(f"arm.{name}", name)

    def limit(self, code: str, params: Mapping[str, object]) -> str:
        """The sentence for one code of ``not_shown``.

        A code without a sentence, or without the parameters that its sentence needs, is shown as it is: a
        report at the end of a long run is worth more than its last phrase.
        """
        named = dict(params)
        if "metric" in named:
            named["metric"] = self.metric(str(named["metric"]))
        if isinstance(several := named.get("metrics"), list):
            named["metrics"] = self("page.list").join(self.metric(str(one)) for one in cast("list[object]", several))
        try:
            return self(f"not_shown.{code}", **named)
        except KeyError:
            return code

    def _metric(self, key: str, kind: str) -> str:
        shape = self._shape(key)
        if shape is None:
            return key
        name, params = shape
        return self(f"{kind}.{name}", **params)

    def _shape(self, key: str) -> tuple[str, dict[str, str]] | None:
        """The word key of a metric and its parameters: ``<family>[.<direction>].<measure>``."""
        match key.split("/"):
            case ["retrieval", ("image_to_text" | "text_to_image") as way, measure] if measure.startswith("recall@"):
                return f"retrieval.{way}.recall", {"k": measure.removeprefix("recall@")}
            case ["retrieval", ("image_to_text" | "text_to_image") as way, "median_rank"]:
                return f"retrieval.{way}.median_rank", {}
            case ["retrieval", "mean_recall"]:
                return "retrieval.mean_recall", {}
            case ["swaps", "top1"]:
                return "swaps", {}
            case ["sugarcrepe", split, "top1"]:
                return "sugarcrepe", {"split": split}
            case ["winoground", group, ("text" | "image" | "group") as score]:
                return f"winoground.{score}", {"group": group}
            case ["zero_shot", *column, ("top1" | "top5" | "mean_per_class") as measure] if column:
                return f"zero_shot.{measure}", {"column": "/".join(column)}
            case ["probe", *column, "all", "top1"] if column:
                return "probe.all", {"column": "/".join(column)}
            case ["probe", *column, shots, "top1"] if column and shots.endswith("-shot"):
                return "probe.shots", {"column": "/".join(column), "k": shots.removesuffix("-shot")}
            case _:
                return None


@cache
def words(lang: str) -> Words:
    """The words of one language.

    Raises:
        UserError: There are no words in that language.
    """
    if lang not in LANGUAGES:
        raise unknown_name("language", lang, LANGUAGES)
    text = files("clipc.report").joinpath("words", f"{lang}.yaml").read_text(encoding="utf-8")
    return Words(lang, MappingProxyType(_flat(YAML(typ="safe").load(text))))


def not_shown_codes() -> tuple[str, ...]:
    """Every code that ``not_shown`` may hold, in the order of the words file."""
    prefix = "not_shown."
    return tuple(key.removeprefix(prefix) for key in words("en").table if key.startswith(prefix))


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = str(value)
    return flat
