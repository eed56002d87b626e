"""Captions of a scene: a language's words put into its sentence patterns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from clipc.demo.image import Scene

LANGUAGES = ("en", "ja")
"""The languages of captions; each has its words in a YAML file of its name."""
Words = dict[str, Sequence[str]]
"""For each label the words for it, the usual one first."""


@dataclass(frozen=True)
class Language:
    """The sentence patterns and words of captions in one language.

    Attributes:
        patterns: Sentences with the places ``{part}``, ``{state}``, ``{flaw}``, ``{verdict}``, ``{colour}``,
            ``{place}`` and ``{where}``; each names the part and its state. ``a(n)`` becomes "a" or "an".
        parts: Names of the shapes; the first is the class's readable name.
        states: States as they stand before a noun.
        state_name: How the first of a state's words makes the class's readable name.
        flaws: States as they follow the part's name.
        verdicts: States as an inspector notes them.
        colours: Colours and materials as they stand before a noun.
        places: Backgrounds with their article, as they follow ``on``.
        rows: The words for a place in the upper, middle and lower third of the image.
        columns: The words for a place in the left, middle and right third.
        middle: The words for the image's middle.
        position: The pattern that joins a row and a column.
    """

    patterns: Sequence[str]
    parts: Words
    states: Words
    state_name: str
    flaws: Words
    verdicts: Words
    colours: Words
    places: Words
    rows: Sequence[str]
    columns: Sequence[str]
    middle: str
    position: str


@cache
def language(name: str) -> Language:
    """The patterns and words of a language of :data:`LANGUAGES`."""
    table: dict[str, Any] = YAML(typ="safe").load((resources.files("clipc.demo") / f"{name}.yaml").read_text("utf-8"))
    return Language(**table)


def captions(scene: Scene, language: Language, rng: np.random.Generator) -> list[str]:
    """Two or three captions of a scene, each with a different pattern.

    Args:
        scene: The content of the image.
        language: The patterns and words.
        rng: Chooses patterns and words.
    """
    patterns = rng.permutation(len(language.patterns))[: rng.integers(2, 4)]
    return [_caption(language.patterns[int(pattern)], scene, language, rng) for pattern in patterns]


def class_names(language: Language) -> dict[str, dict[str, str]]:
    """The readable names of the labels of ``shape`` and of ``state``."""
    return {
        "shape": {label: words[0] for label, words in language.parts.items()},
        "state": {label: language.state_name.format(words[0]) for label, words in language.states.items()},
    }


def _caption(pattern: str, scene: Scene, language: Language, rng: np.random.Generator) -> str:
    text = pattern.format(
        part=_usually_first(language.parts[scene.shape], rng),
        state=_usually_first(language.states[scene.state], rng),
        flaw=_usually_first(language.flaws[scene.state], rng),
        verdict=_usually_first(language.verdicts[scene.state], rng),
        colour=_usually_first(language.colours[scene.colour], rng),
        place=_usually_first(language.places[scene.background], rng),
        where=_where(scene, language),
    )
    # "an elbow", "an L-bracket", but "a bolt"
    return re.sub(r"\b([Aa])\(n\) ", r"\1 ", re.sub(r"\b([Aa])\(n\) (?=[aeiou]|L-)", r"\1n ", text))


def _usually_first(words: Sequence[str], rng: np.random.Generator) -> str:
    """The usual word with probability 1/2, otherwise any of them."""
    return words[0] if rng.random() < 0.5 else words[int(rng.integers(len(words)))]


def _where(scene: Scene, language: Language) -> str:
    column, row = (int(np.digitize(place, (-0.08, 0.08))) for place in scene.centre)
    if row == 1 and column == 1:
        return language.middle
    words = language.position.format(row=language.rows[row], column=language.columns[column])
    return " ".join(words.split())
