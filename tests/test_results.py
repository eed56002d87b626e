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
    """A table of paired differences from plain CLIP at 50 epochs.

    Attributes:
        header: Its first cells.
        study: The folder of its records.
        columns: The data set and the metric of each column.
        arms: Its rows, by what their recipes change.
    """

    header: str
    study: str
    columns: tuple[tuple[str, str], ...]
    arms: dict[str, dict[str, Any]]


PLAIN: Final[dict[str, Any]] = {"policy.rho": 0, "epochs": 50}
CONTROLS: Final[dict[str, dict[str, Any]]] = {
    "*self-halves*": {"policy.partner": "self", "policy.caption": "first"},
    "*wrong caption*": {"policy.caption": "wrong"},
    "*captions alone*": {"policy.layout": "first-image"},
}
AGAIN: Final = Table(
    "| arm | rsicd |",
    "screening-kept-again",
    (("rsicd", RECALL), ("rsicd", ZERO_SHOT), ("flickr8k", RECALL)),
    {
        "clip, 100 epochs": PLAIN | {"epochs": 100},
        "clip-c": {"epochs": 50},
        "clip-c, 100 epochs": {},
        "clip-c to the end": {"epochs": 50, "policy.until": 1},
        "clip-c, same class": {"epochs": 50, "policy.group": "label"},
        "clip-c, whole batches": {"epochs": 50, "policy.mixing": "batches"},
        **{name: {"epochs": 50} | changes for name, changes in CONTROLS.items()},
    },
)
CANDIDATES: Final = Table(
    "| candidate | rsicd |",
    "screening-kept-100",
    (("rsicd", RECALL), ("rsicd", ZERO_SHOT)),
    {
        "clip, 25 epochs": PLAIN | {"epochs": 25},
        "clip, 100 epochs": PLAIN | {"epochs": 100},
        "clip, temperature 0.1": PLAIN | {"temperature": 0.1},
        "clip, temperature 0.03": PLAIN | {"temperature": 0.03},
        "clip, batch of 64": PLAIN | {"batch_size": 64},
        "clip-c": {},
        **{f"clip-c, share {rho}": {"policy.rho": rho} for rho in (0.3, 0.7, 1)},
        **{f"clip-c until {until}": {"policy.until": until} for until in (0.5, 0.85, 1)},
        "clip-c, same class": {"policy.group": "label"},
        "clip-c, another class": {"policy.rules.name": "another class"},
        "clip-c, neighbours": {"policy.partner": "nearest"},
        "clip-c, diverse": {"policy.partner": "diverse"},
        "clip-c, one caption": {"policy.caption": "one"},
        "clip-c, temperature 0.1": {"temperature": 0.1},
        "clip-c, temperature 0.03": {"temperature": 0.03},
        "clip-c, batch of 64": {"batch_size": 64},
        "clip-c, second loss on halves": {"policy.halves": 1},
        "clip-c, whole batches": {"policy.mixing": "batches"},
        "clip-c, added to the loss": {"policy.added": True},
        **CONTROLS,
        "*images alone*": {"policy.caption": "first"},
        "*augmentation*": {"policy.treatment": "augment"},
        "*half an image*": {"policy.treatment": "half"},
    },
)
SHARED: Final = {
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


def value(recipe: dict[str, Any] | None, key: str) -> Any:
    for part in key.split("."):
        recipe = recipe and recipe.get(part)
    return recipe


def differences(folder: Path, changes: dict[str, Any], metric: str) -> list[float]:
    """The paired differences from plain CLIP, in points, over all seeds that both have."""
    values: dict[str, dict[int, float]] = defaultdict(dict)
    for file in folder.glob("*.json"):
        record = json.loads(file.read_text("utf-8"))
        recipe, metrics = record["recipe"], record["metrics"]
        for arm, its in (("clip", PLAIN), ("arm", changes)):
            wanted = SHARED | its
            keys = [key for key in wanted if wanted["policy.rho"] or key == "policy.rho" or "policy" not in key]
            if metric in metrics and all(value(recipe, key) == wanted[key] for key in keys):
                values[arm][recipe["seed"]] = 100 * metrics[metric]
    return [values["arm"][seed] - values["clip"][seed] for seed in sorted(values["arm"].keys() & values["clip"].keys())]


def rows(table: Table) -> list[tuple[str, ...]]:
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    lines = text.split(table.header)[1].split("\n\n")[0]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines.splitlines()[2:]]


@pytest.mark.parametrize(
    ("table", "row"),
    [(table, row) for table in (AGAIN, CANDIDATES) for row in rows(table)],
    ids=lambda part: part[0] if isinstance(part, tuple) and not isinstance(part, Table) else "",
)
def test_the_tables_of_the_screenings_are_those_of_their_records(table: Table, row: tuple[str, ...]) -> None:
    arm, *cells = row
    for cell, (data, metric) in zip(cells, table.columns, strict=True):
        found = differences(ROOT / "results" / table.study / data, table.arms[arm], metric)
        expected = f"{mean(found):+.1f} ({len(found)})".replace("-", "−") if found else ""
        assert cell == expected, f"{arm}, {data}, {metric}"


@pytest.mark.parametrize("table", [AGAIN, CANDIDATES], ids=["again", "candidates"])
def test_every_arm_of_the_screenings_is_in_their_tables(table: Table) -> None:
    assert [row[0] for row in rows(table)] == list(table.arms)
