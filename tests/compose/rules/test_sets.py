"""Rules for four real sets: no planned composite breaks one, by checks written anew in Python."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipc.catalog.open import open_catalog
from clipc.compose.layouts.tiles import TOP_BOTTOM
from clipc.compose.policy import Policy
from clipc.prepare.plans import make_plans

SETS = Path(__file__).parent / "sets"
Shown = dict[str, Any]


def match(pattern: str, text: str) -> str:
    hit = re.search(pattern, text)
    return hit[0] if hit else ""


def word(text: str, *words: str) -> bool:
    return any(re.search(rf"(?<![a-z0-9]){w.replace('*', '[a-z0-9]*')}(?![a-z0-9])", text.lower()) for w in words)


def emoji(a: Shown, b: Shown, joint: str) -> bool:
    tones = [match("(medium-light|medium-dark|light|medium|dark) skin tone", x["captions"].lower()) for x in (a, b)]
    numbers = [
        match(r"\b(one|two|three|four|five|six|seven|eight|nine|ten|twelve)\b", x["caption"].lower()) for x in (a, b)
    ]
    return not (
        (all(tones) and tones[0] != tones[1])
        or a["label"] == b["label"] == "Flags"
        or (all(numbers) and numbers[0] != numbers[1])
        or any(word(x["captions"], "keycap", "button") for x in (a, b))
        or re.search(r"\bface\b.*\bface\b", joint.lower())
        or (" beside " not in joint and "Flags" in (a["label"], b["label"]))
    )


def xrays(a: Shown, b: Shown, joint: str) -> bool:
    views = [x["captions"].split("\n")[1].split(" chest")[0] for x in (a, b)]
    notes = [x["captions"].split("\n")[0] for x in (a, b)]
    return not (
        views[0] != views[1]
        or notes[0] == notes[1]
        or (word(a["caption"], "left") and word(b["caption"], "right"))
        or (word(b["caption"], "left") and word(a["caption"], "right"))
        or re.search(r"\bno (change|improvement)\b.*\b(improved|worse)", joint.lower())
        or a["layout"] != TOP_BOTTOM
    )


def satellite(a: Shown, b: Shown, joint: str) -> bool:
    water = {"beach", "port", "river", "pond", "bridge", "viaduct"}
    land = {"desert", "bareland", "mountain", "meadow", "forest", "farmland"}
    kinds = [(x["label"] in water, x["label"] in land) for x in (a, b)]
    compass = [
        word(x["caption"], "north", "south", "east", "west", "northern", "southern", "eastern", "western")
        for x in (a, b)
    ]
    twice = re.search(r"\btwo\b.*\btwo\b", joint.lower())
    return not (kinds[0] != kinds[1] or a["label"] == b["label"] or all(compass) or twice)


def photographs(a: Shown, b: Shown, joint: str) -> bool:
    counted = [
        match(r"\b(two|three|four|five|six) (men|women|people|boys|girls|children|kids)\b", x["caption"].lower())
        for x in (a, b)
    ]
    snow = [word(x["captions"], "snow*", "ski*", "ice") for x in (a, b)]
    summer = [word(x["captions"], "beach", "swim*", "pool", "bikini", "surf*") for x in (a, b)]
    return not (
        all(counted)
        or (snow[0] and summer[1])
        or (snow[1] and summer[0])
        or abs(len(a["caption"]) - len(b["caption"])) >= 60
        or any(word(x["captions"], "black and white", "collage") for x in (a, b))
    )


@pytest.mark.parametrize(
    ("name", "allowed", "rows"),
    [
        ("emoji", emoji, None),
        ("covid-chestxray", xrays, None),
        ("rsicd", satellite, 200),
        ("flickr8k", photographs, 200),
    ],
)
def test_no_composite_of_twenty_epochs_breaks_a_rule(
    shared_data: Path, name: str, allowed: Callable[[Shown, Shown, str], bool], rows: int | None
) -> None:
    every_row(shared_data, name, allowed, rows)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "allowed"), [("rsicd", satellite), ("flickr8k", photographs)])
def test_no_composite_of_all_rows_breaks_a_rule(
    shared_data: Path, name: str, allowed: Callable[[Shown, Shown, str], bool]
) -> None:
    every_row(shared_data, name, allowed, None)


def every_row(shared_data: Path, name: str, allowed: Callable[[Shown, Shown, str], bool], rows: int | None) -> None:
    pairs = open_catalog(shared_data / name).split("train")
    if rows is not None:
        pairs = pairs.take(np.linspace(0, len(pairs) - 1, rows).astype(int))
    plans = make_plans(Policy(rho=0.5, rules=str(SETS / f"{name}.yaml")), pairs, 3)  # pyright: ignore
    captions, labels = pairs.column("captions"), pairs.column("label")
    seen, partners = 0, set[tuple[int, int]]()
    for epoch in range(20):
        plan = plans.rows(epoch * len(pairs), (epoch + 1) * len(pairs))
        for i in np.flatnonzero(plan.right >= 0).tolist():
            sides = [
                {
                    "caption": captions[row][choice],
                    "captions": "\n".join(captions[row]),
                    "label": labels[row],
                    "layout": plan.layout[i],
                }
                for row, choice in (
                    (plan.left[i], plan.left_caption[i]),
                    (plan.right[i], plan.right_caption[i]),
                )
            ]
            wording = plans.wordings[plan.wording[i]]
            joint = wording.text(sides[0]["caption"], sides[1]["caption"], int(plan.layout[i]), bool(plan.swapped[i]))
            assert allowed(sides[0], sides[1], joint), (sides, joint)
            seen += 1
            partners.add((int(plan.left[i]), int(plan.right[i])))
    assert seen > 0.3 * 20 * len(pairs)
    assert len(partners) > 0.5 * seen or len(pairs) < 200
