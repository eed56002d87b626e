"""Captions of scenes: sentence patterns of a language, filled with its words."""

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
"""The languages of captions; each has a YAML file of that name with its patterns and words."""
Words = dict[str, Sequence[str]]
"""For each label the words or phrases for it; the usual one is first."""

_CENTRE_HALF_WIDTH = 0.08
"""A part is at the centre if its coordinate, in [-1, 1], is at most about this far from 0."""


@dataclass(frozen=True)
class Language:
    """The sentence patterns and words of captions in one language.

    Attributes:
        patterns: Sentences with the fields ``{part}``, ``{state}``, ``{flaw}``, ``{verdict}``, ``{colour}``,
            ``{background}`` and ``{position}``. Every sentence names the part and its state. ``a(n)`` becomes "a"
            or "an".
        parts: Names of the shapes; the first name of a shape is its readable class name.
        states: For each state, words that go before a noun.
        state_name: The pattern that makes a readable class name from a state's first word.
        flaws: For each state, words that go after the part's name.
        verdicts: The states in the words of an inspector's notes.
        colours: For each colour or material, words that go before a noun.
        backgrounds: For each background, names that go after ``on``, with their article.
        rows: The words for a position above, at and below the image's centre.
        columns: The words for a position to the left of, at and to the right of the centre.
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
    backgrounds: Words
    rows: Sequence[str]
    columns: Sequence[str]
    middle: str
    position: str


@cache
def load_language(name: str) -> Language:
    """The patterns and words of one of the :data:`LANGUAGES`."""
    table: dict[str, Any] = YAML(typ="safe").load((resources.files("clipc.demo") / f"{name}.yaml").read_text("utf-8"))
    return Language(**table)


def captions(scene: Scene, language: Language, rng: np.random.Generator) -> list[str]:
    """Two or three captions of a scene, each with a different pattern.

    Args:
        scene: The content of the image.
        language: The patterns and words.
        rng: The generator that chooses patterns and words.
    """
    patterns = rng.permutation(len(language.patterns))[: rng.integers(2, 4)]
    return [_caption(language.patterns[int(pattern)], scene, language, rng) for pattern in patterns]


def class_names(language: Language) -> dict[str, dict[str, str]]:
    """The readable class names: for each of the columns ``shape`` and ``state``, by label."""
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
        background=_usually_first(language.backgrounds[scene.background], rng),
        position=_position(scene, language),
    )
    # "an elbow", "an L-bracket", but "a bolt"
    return re.sub(r"\b([Aa])\(n\) ", r"\1 ", re.sub(r"\b([Aa])\(n\) (?=[aeiou]|L-)", r"\1n ", text))


def _usually_first(words: Sequence[str], rng: np.random.Generator) -> str:
    """With probability 1/2 the first word, otherwise one of all the words at random."""
    return words[0] if rng.random() < 0.5 else words[int(rng.integers(len(words)))]


def _position(scene: Scene, language: Language) -> str:
    column, row = (
        int(np.digitize(coordinate, (-_CENTRE_HALF_WIDTH, _CENTRE_HALF_WIDTH))) for coordinate in scene.centre
    )
    if row == 1 and column == 1:
        return language.middle
    words = language.position.format(row=language.rows[row], column=language.columns[column])
    return " ".join(words.split())
