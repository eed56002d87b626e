"""docs/results.md says what the records in results/ say."""

import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[1]
METRIC: Final = "retrieval/text_equal/mean_recall"
ARMS: Final[dict[str, dict[str, Any]]] = {
    "clip, 100 epochs": {"policy.rho": 0, "epochs": 100},
    "clip-c": {},
    "clip-c, 100 epochs": {"epochs": 100},
    "clip-c to the end": {"policy.until": 1},
    "clip-c, same class": {"policy.group": "label"},
    "clip-c, whole batches": {"policy.mixing": "batches"},
    "*self-halves*": {"policy.partner": "self", "policy.caption": "first"},
    "*wrong caption*": {"policy.caption": "wrong"},
    "*captions alone*": {"policy.layout": "first-image"},
}
"""The rows of the table, by what their recipes change."""
SHARED: Final = {
    "epochs": 50,
    "policy.rho": 0.5,
    "policy.until": 0.7,
    "policy.group": None,
    "policy.mixing": "rows",
    "policy.partner": "random",
    "policy.caption": "join",
    "policy.layout": "centre-halves",
}


def value(recipe: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        recipe = recipe[part]
    return recipe


def differences(folders: list[Path], changes: dict[str, Any], metric: str) -> list[float]:
    """The paired differences from plain CLIP, in points, over all seeds that both have."""
    values: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    for folder in folders:
        for file in folder.glob("*.json"):
            record = json.loads(file.read_text("utf-8"))
            recipe, metrics = record["recipe"], record["metrics"]
            name = next((m for m in metrics if re.fullmatch(metric, m)), None)
            for arm, its in (("clip", {"policy.rho": 0}), ("arm", changes)):
                wanted = SHARED | its
                keys = ["policy.rho", "epochs"] if wanted["policy.rho"] == 0 else list(wanted)
                if name and all(value(recipe, key) == wanted[key] for key in keys):
                    values[arm][folder.name, recipe["seed"]] = 100 * metrics[name]
    return [values["arm"][pair] - values["clip"][pair] for pair in sorted(values["arm"].keys() & values["clip"].keys())]


def rows() -> list[tuple[str, ...]]:
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    table = text.split("| arm | rsicd |")[1].split("\n\n")[0]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.splitlines()[2:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_table_of_the_screening_is_that_of_its_records(row: tuple[str, ...]) -> None:
    arm, *cells = row
    again = ROOT / "results" / "screening-kept-again"
    columns = [("rsicd", METRIC), ("rsicd", "zero_shot/label/mean_per_class"), ("flickr8k", METRIC)]
    for cell, (data, metric) in zip(cells, columns, strict=True):
        found = differences([again / data], ARMS[arm], metric)
        expected = f"{mean(found):+.1f} ({len(found)})".replace("-", "−") if found else ""
        assert cell == expected, f"{arm}, {data}, {metric}"


def test_every_arm_of_the_screening_is_in_the_table() -> None:
    assert [row[0] for row in rows()] == list(ARMS)
