"""The evidence in docs/results.md, computed again: its tables with SciPy alone."""

import base64
import json
import math
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from ruamel.yaml import YAML
from scipy import stats

from clipc.evaluate.statistics.equivalence import equivalence

Floats = npt.NDArray[np.float64]

ROOT: Final = Path(__file__).parents[1]
RECALL: Final = "retrieval/text_equal/mean_recall"
MEAN_PER_CLASS: Final = "zero_shot/label/mean_per_class"
TOP1: Final = "zero_shot/label/top1"
METRICS: Final = {"rsicd": (RECALL, MEAN_PER_CLASS), "ucm-captions": (RECALL, TOP1), "flickr8k": (RECALL,)}
"""The main metrics of each set."""
TABLES: Final = {
    "| arm, 250 pairs |": ("starter-250", 250, ("rsicd", "ucm-captions", "flickr8k")),
    "| arm, 1,000 pairs |": ("starter-1000", 1000, ("rsicd", "flickr8k")),
}
"""The first cell of each table, and the recipe, the number of pairs and the sets of its study."""
NAMES: Final = {
    "clip-100": "*clip, 100 epochs*",
    "clip-c": "clip-c",
    "guarded": "clip-c, same class",
    "near": "clip-c, neighbours",
    "as-published": "composed as published",
    "self-halves": "*self-halves*",
    "wrong-caption": "*wrong caption*",
    "captions-alone": "*captions alone*",
    "augmentation": "*augmentation*",
}
ELSEWHERE: Final[dict[str, dict[str, Any]]] = {"flickr8k": {"guarded": None, "near": {"policy.partner": "nearest"}}}
"""The changes with which the study ran on a set, as the study's file says."""
PLAIN: Final[dict[str, Any]] = {
    **{"policy.group": None, "policy.partner": "random", "policy.caption": "join"},
    **{"policy.layout": "centre-halves", "policy.treatment": "compose"},
}
"""What a policy is where neither study nor recipe says anything."""


def read_yaml(file: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(file.read_text("utf-8"))


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@cache
def arms(data: str, recipe_name: str) -> dict[str, dict[str, Any]]:
    """For each arm of the study what its recipe has of the keys that tell the arms apart."""
    study = read_yaml(ROOT / "results" / "evidence-kept.yaml")
    recipe = dict(flat(read_yaml(ROOT / "src" / "clipc" / "recipes" / f"{recipe_name}.yaml")))
    changed = {name: its for name, its in (study["arms"] | ELSEWHERE.get(data, {})).items() if its is not None}
    keys = {key for its in changed.values() for key in its} | PLAIN.keys()
    shared = PLAIN | recipe | study["set"]
    told = {name: {key: (shared | its).get(key) for key in keys} for name, its in changed.items()}
    # A recipe without composites is recorded without the rest of its policy.
    return {
        name: {key: value for key, value in its.items() if its["policy.rho"] or key in ("policy.rho", "epochs")}
        for name, its in told.items()
    }


def items(record: Mapping[str, Any], metric: str) -> Floats:
    """The values of the test items, in points."""
    packed = record["items"][f"values/{metric}"]
    raw = np.frombuffer(zlib.decompress(base64.b64decode(packed["zlib"])), packed["kind"]).astype(np.float64)
    # Items are kept in half precision; the metric is exact.
    return 100 * (raw + record["metrics"][metric] - raw.mean())


@cache
def values(data: str, recipe_name: str, size: int, metric: str) -> dict[str, dict[int, Floats]]:
    """For each arm and seed the values of the test items, in points."""
    wanted = arms(data, recipe_name)
    found: dict[str, dict[int, Floats]] = {name: {} for name in wanted}
    for file in sorted((ROOT / "results" / "evidence-kept" / data).glob(f"n{size}-*.json")):
        record = json.loads(file.read_text("utf-8"))
        recipe = dict(flat(record["recipe"]))
        (name,) = (name for name, its in wanted.items() if all(recipe[key] == its[key] for key in its))
        found[name][recipe["seed"]] = items(record, metric)
    return found


def two_way(differences: Floats) -> tuple[float, float]:
    """The interval over seeds and test items: the pigeonhole bootstrap of Owen (2007)."""
    seeds, items = differences.shape
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(items, np.full(items, 1 / items), size=2000) / items
    means = drawn @ differences.T
    of_seeds, of_items = differences.mean(axis=1).var(ddof=1) / seeds, means.mean(axis=1).var(ddof=1)
    joint = (means - differences.mean(axis=1)).var(axis=1, ddof=1).mean() / seeds
    variance = max(of_seeds + of_items - joint, of_seeds, of_items)
    freedom = variance**2 / (of_seeds**2 / (seeds - 1) + of_items**2 / (items - 1))
    margins = ((variance, freedom), (of_seeds, seeds - 1), (of_items, items - 1))
    margin = max(stats.t.ppf(0.975, freedom) * variance**0.5 for variance, freedom in margins)
    return float(differences.mean() - margin), float(differences.mean() + margin)


def holm(p_values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """P values corrected over all of them (Holm 1979)."""
    corrected, highest = {}, 0.0
    for rank, key in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[key]))
        corrected[key] = highest
    return corrected


@cache
def judged(data: str, recipe_name: str, size: int) -> dict[tuple[str, str], str]:
    """For each arm and main metric of a set the cell of the table."""
    cells, p_values, signs = {}, {}, {}
    for metric in METRICS[data]:
        found = values(data, recipe_name, size, metric)
        for name in found.keys() - {"clip"}:
            seeds = sorted(found["clip"].keys() & found[name].keys())
            assert len(seeds) == 24, (data, name)
            differences = np.stack([found[name][seed] - found["clip"][seed] for seed in seeds])
            test: Any = stats.ttest_1samp(differences.mean(axis=1), 0)
            low, high = test.confidence_interval(0.95)
            wide = two_way(differences)
            p_values[name, metric] = float(test.pvalue)
            signs[name, metric] = "gain" if min(low, *wide) > 0 else "loss" if max(high, *wide) < 0 else ""
            cells[name, metric] = f"{differences.mean():+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")
    corrected = holm(p_values)
    return {
        key: f"**{cell}, {signs[key]}**" if signs[key] and corrected[key] < 0.05 else cell
        for key, cell in cells.items()
    }


def expected(table: str) -> dict[str, list[str]]:
    """The rows of a table."""
    recipe_name, size, sets = TABLES[table]
    cells = [(judged(data, recipe_name, size), metric) for data in sets for metric in METRICS[data]]
    rows = {title: [found.get((name, metric), "") for found, metric in cells] for name, title in NAMES.items()}
    return {title: row for title, row in rows.items() if any(row)}


def shown(table: str) -> dict[str, list[str]]:
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    lines = text.split(table)[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("table", TABLES)
def test_the_main_tables_are_those_of_their_records(table: str) -> None:
    assert shown(table) == expected(table)


def curve(metric: str, epochs: int) -> tuple[dict[int, list[Floats]], list[Floats]]:
    """Of the curve plain CLIP after so many epochs by number of pairs, and clip-c with 250; in order of seeds."""
    plain, composed = defaultdict[int, dict[int, Floats]](dict), dict[int, Floats]()
    for file in (ROOT / "results" / "evidence-curve" / "rsicd").glob("*.json"):
        record = json.loads(file.read_text("utf-8"))
        recipe, pairs = record["recipe"], record["data"]["pairs"]["train"]
        if recipe["policy"]["rho"] == 0 and recipe["epochs"] == epochs:
            plain[pairs][recipe["seed"]] = items(record, metric)
        elif recipe["policy"]["rho"] and pairs == 250:
            composed[recipe["seed"]] = items(record, metric)
    seeds = sorted(composed)
    return {n: [plain[n][seed] for seed in seeds] for n in sorted(plain)}, [composed[seed] for seed in seeds]


@pytest.mark.parametrize("epochs", [50, 100])
@pytest.mark.parametrize("metric", METRICS["rsicd"])
def test_the_equivalence_is_that_of_its_records(metric: str, epochs: int) -> None:
    plain, composed = curve(metric, epochs)
    means = [np.mean(its) for its in plain.values()]
    slow = math.exp(np.interp(np.mean(composed), means, np.log(list(plain))))
    found = equivalence(list(plain.values()), list(plain), composed, 250)
    assert found.value == pytest.approx(slow)
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith(f"| plain CLIP, {epochs} epochs |"))
    assert f" {found.value:.0f} [{found.low:.0f}, {found.high:.0f}] " in row


if __name__ == "__main__":
    for table in TABLES:
        print(table)
        for title, cells in expected(table).items():
            print(f"| {title} | {' | '.join(cells)} |")
