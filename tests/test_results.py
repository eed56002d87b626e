"""docs/results.md says what the records in results/ say."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any, Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
RECALL: Final = "retrieval/text_equal/mean_recall"
ZERO_SHOT: Final = "zero_shot/label/mean_per_class"


class Table(NamedTuple):
    """A table of paired differences from a baseline, in points.

    Attributes:
        header: Its first cells.
        study: The folder of its records.
        columns: The data set, the number of pairs and the metric of each column.
        arms: Its rows, by what their recipes change.
        shared: What the recipes of all rows have, unless a row changes it.
        plain: What the baseline, mostly plain CLIP, changes.
    """

    header: str
    study: str
    columns: tuple[tuple[str, int, str], ...]
    arms: dict[str, dict[str, Any]]
    shared: dict[str, Any]
    plain: dict[str, Any]


SHARED: Final[dict[str, Any]] = {
    "epochs": 100,
    "temperature": None,
    "batch_size": 128,
    "policy.rho": 0.5,
    "policy.until": 0.7,
    "policy.treatment": "compose",
    "policy.group": None,
    "policy.rules.name": None,
    "policy.mixing": "rows",
    "policy.added": False,
    "policy.partner": "random",
    "policy.caption": "join",
    "policy.joiner": None,
    "policy.layout": "centre-halves",
    "policy.halves": 0,
}
PLAIN: Final[dict[str, Any]] = {"policy.rho": 0, "epochs": 50}
CONTROLS: Final[dict[str, dict[str, Any]]] = {
    "*self-halves*": {"policy.partner": "self", "policy.caption": "first"},
    "*wrong caption*": {"policy.caption": "wrong"},
    "*captions alone*": {"policy.layout": "first-image"},
}
AGAIN: Final = Table(
    "| arm | rsicd |",
    "screening-kept-again",
    (("rsicd", 250, RECALL), ("rsicd", 250, ZERO_SHOT), ("flickr8k", 250, RECALL)),
    {
        "clip, 100 epochs": PLAIN | {"epochs": 100},
        "clip-c": {"epochs": 50},
        "clip-c, 100 epochs": {},
        "clip-c to the end": {"epochs": 50, "policy.until": 1},
        "clip-c, same class": {"epochs": 50, "policy.group": "label"},
        "clip-c, whole batches": {"epochs": 50, "policy.mixing": "batches"},
        **{name: {"epochs": 50} | changes for name, changes in CONTROLS.items()},
    },
    SHARED,
    PLAIN,
)
CONFIRMED: Final = Table(
    "| arm at 100 epochs | rsicd |",
    "screening-kept-100-again",
    AGAIN.columns,
    {
        "clip, 100 epochs": PLAIN | {"epochs": 100},
        "clip, 50 epochs, temperature 0.1": PLAIN | {"temperature": 0.1},
        "clip-c": {},
        "clip-c to the end": {"policy.until": 1},
        "clip-c, same class": {"policy.group": "label"},
        "clip-c, whole batches": {"policy.mixing": "batches"},
        **CONTROLS,
    },
    SHARED,
    PLAIN,
)
BOTH_SIZES: Final = tuple(("rsicd", pairs, metric) for pairs in (250, 1000) for metric in (RECALL, ZERO_SHOT))
HEADS: Final = {
    "image_size": 192,
    "epochs": 50,
    "learning_rate": 0.001,
    "weight_decay": 0.1,
    "batch_size": 128,
    "temperature": None,
    "policy.rho": 0,
}
SIZES: Final = Table(
    "| images |",
    "resolution-kept",
    BOTH_SIZES,
    {f"{size} px": {"image_size": size} for size in (192, 224)},
    {"policy.rho": 0},
    {"image_size": 128},
)
SETTINGS: Final = Table(
    "| setting |",
    "heads-kept",
    BOTH_SIZES,
    {
        **{f"learning rate {rate}": {"learning_rate": rate} for rate in (0.0005, 0.002, 0.004)},
        **{f"weight decay {decay}": {"weight_decay": decay} for decay in (0.01, 0.5)},
        **{f"temperature {temperature}": {"temperature": temperature} for temperature in (0.1, 0.2)},
        **{f"batch of {size}": {"batch_size": size} for size in (64, 250)},
    },
    HEADS,
    {},
)
SCORES: Final = Table(
    "| arm, test split |",
    "score",
    (
        ("rsicd", 250, RECALL),
        ("rsicd", 250, ZERO_SHOT),
        ("ucm-captions", 250, RECALL),
        ("ucm-captions", 250, "zero_shot/label/top1"),
    ),
    {
        "clip-c": {},
        "clip-c, the best 70% by score": {"policy.score.by": "baseline", "policy.score.keep": 0.7},
        "clip-c, better ones oftener": {"policy.score.by": "baseline", "policy.score.weight": 2},
        "*any 70%*": {"policy.score.by": "random", "policy.score.keep": 0.7},
        "*self-halves*": CONTROLS["*self-halves*"],
    },
    SHARED | {"policy.score.by": None, "policy.score.keep": 1, "policy.score.weight": 0},
    PLAIN,
)
PARTS: Final = Table(
    "| changed in clip-c |",
    "evidence-screen",
    (("rsicd", 250, RECALL), ("rsicd", 250, ZERO_SHOT)),
    {
        "*clip, 100 epochs*": {"policy.rho": 0},
        **{f"share {rho}": {"policy.rho": rho} for rho in (0.15, 0.3, 1)},
        **{f"until {until}": {"policy.until": until} for until in (0.5, 1)},
        "one caption": {"policy.caption": "one"},
        "left-right only": {"policy.axis": "left-right"},
        "neighbours": {"policy.partner": "nearest"},
        "same class": {"policy.group": "label"},
        "temperature 0.07": {"temperature": 0.07},
        "batch of 64": {"batch_size": 64},
        "false negatives unmasked": {"mask_false_negatives": False},
    },
    SHARED | {"policy.axis": "random", "mask_false_negatives": True},
    {},
)
WHOLE: Final = Table(
    "| whole images or halves |",
    "whole-images",
    AGAIN.columns,
    {
        "clip, 100 epochs": {"policy.rho": 0},
        "clip-c": {},
        "clip-c, same class": {"policy.group": "label"},
        "whole images": {"policy.layout": "blend"},
        "whole images, same class": {"policy.layout": "blend", "policy.group": "label"},
        "*wrong caption*": {"policy.caption": "wrong"},
        "*whole images, wrong caption*": {"policy.layout": "blend", "policy.caption": "wrong"},
        "*captions alone*": {"policy.layout": "first-image"},
    },
    SHARED,
    PLAIN,
)
ALL: Final = Table(
    "| all pairs |",
    "evidence-all",
    (
        ("ucm-captions", 1680, RECALL),
        ("ucm-captions", 1680, "zero_shot/label/top1"),
        ("rsicd", 8734, RECALL),
        ("rsicd", 8734, ZERO_SHOT),
    ),
    {"clip-c": {}},
    SHARED | {"epochs": 30},
    {"policy.rho": 0},
)
TABLES: Final = {
    **{"parts": PARTS, "whole": WHOLE, "all": ALL},
    **{"again": AGAIN, "confirmed": CONFIRMED},
    **{"sizes": SIZES, "settings": SETTINGS, "scores": SCORES},
}


GONE: Final = {"policy.added": None, "policy.halves": None}
"""What records without keys that have left the code hold."""


def value(recipe: dict[str, Any] | None, key: str) -> Any:
    for part in key.split("."):
        recipe = recipe and recipe.get(part)
    return recipe


def differences(table: Table, column: tuple[str, int, str], changes: dict[str, Any]) -> list[float]:
    """The paired differences from plain CLIP, in points, over all seeds that both have."""
    data, pairs, metric = column
    values: dict[str, dict[int, float]] = defaultdict(dict)
    for file in (ROOT / "results" / table.study / data).glob("*.json"):
        record = json.loads(file.read_text("utf-8"))
        recipe, metrics = record["recipe"], record["metrics"]
        if record["data"]["pairs"]["train"] != pairs:
            continue
        for arm, its in (("clip", table.plain), ("arm", changes)):
            wanted = table.shared | its
            keys = [key for key in wanted if wanted["policy.rho"] or key == "policy.rho" or "policy" not in key]
            if metric in metrics and all(
                value(recipe, key) in (wanted[key], GONE.get(key, wanted[key])) for key in keys
            ):
                values[arm][recipe["seed"]] = 100 * metrics[metric]
    return [values["arm"][seed] - values["clip"][seed] for seed in sorted(values["arm"].keys() & values["clip"].keys())]


def rows(table: Table) -> list[tuple[str, ...]]:
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    lines = text.split(table.header)[1].split("\n\n")[0]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines.splitlines()[2:]]


@pytest.mark.parametrize(
    ("table", "row"),
    [(name, row) for name, table in TABLES.items() for row in rows(table)],
    ids=lambda part: part if isinstance(part, str) else part[0],
)
def test_the_tables_are_those_of_their_records(table: str, row: tuple[str, ...]) -> None:
    arm, *cells = row
    assert cells[0], f"{arm} has no record"
    for cell, column in zip(cells, TABLES[table].columns, strict=True):
        found = differences(TABLES[table], column, TABLES[table].arms[arm])
        expected = f"{mean(found):+.1f} ({len(found)})".replace("-", "−") if found else ""
        assert cell == expected, f"{arm}, {column}"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_arm_is_in_its_table(table: Table) -> None:
    assert [row[0] for row in rows(table)] == list(table.arms)
