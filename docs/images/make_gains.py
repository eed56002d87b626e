"""Draws the picture of docs/results.md: what composition gains against the number of times each pair is seen.

    python docs/images/make_gains.py docs/images/gains.svg

The points are studies that ran composition and plain CLIP on the same pairs, seeds and number of examples. Those of
this version come from the records in results/; those of versions up to 0.3 are copied from the page and the commit
that docs/results.md names.
"""

import json
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from scipy import stats

RESULTS = Path(__file__).resolve().parents[2] / "results"
METRIC = "retrieval/text_to_image/recall@10"


class Point(NamedTuple):
    """The gain of composition over plain CLIP in points, with its 95% interval over seeds."""

    times: float
    gain: float
    low: float
    high: float
    data: str
    start: str


FROZEN = (
    Point(3, -0.9, -3.0, 1.1, "rsicd", "from scratch, versions to 0.3"),
    Point(4, -0.2, -0.9, 0.6, "flickr8k", "from scratch, versions to 0.3"),
    Point(15, -2.6, -4.1, -1.0, "ucm-captions", "from scratch, versions to 0.3"),
    Point(25, 0.0, -2.7, 2.7, "ucm-captions", "from scratch, versions to 0.3"),
    Point(50, 1.5, -1.5, 4.5, "ucm-captions", "from scratch, versions to 0.3"),
    Point(60, 0.9, -3.2, 5.0, "ucm-captions", "from scratch, versions to 0.3"),
    Point(100, 1.6, -2.5, 5.8, "ucm-captions", "from scratch, versions to 0.3"),
)
"""Text-to-image recall@10 at a share of 0.3 on test splits."""
DEFAULT = {
    **{"rho": (0.5,), "until": (0.7,), "group": (None,), "partner": ("random",), "caption": ("join",)},
    **{"layout": ("centre-halves",), "treatment": ("compose",), "mixing": ("rows",), "rules": (None,)},
    **{"added": (None, False), "halves": (None, 0)},
}
"""The policy of the recipe starter-250; the last keys have left the code."""
MARKS = {"rsicd": "o", "flickr8k": "s", "ucm-captions": "^"}
COLOURS = {
    "from scratch, versions to 0.3": "#8a8a8a",
    "starter, 250 pairs, validation": "#b45309",
    "starter, 250 pairs, test": "#0b5394",
    "starter, more pairs, test": "#15803d",
}


def point(study: str, data: str, size: str, epochs: int, start: str) -> Point | None:
    """The point of a study's default composition at so many pairs and epochs; None with fewer than two paired seeds."""
    arms: Mapping[bool, dict[int, float]] = {True: {}, False: {}}
    for file in (RESULTS / study / data).glob(f"{size}-*.json"):
        record: dict[str, Any] = json.loads(file.read_text("utf-8"))
        recipe, policy = record["recipe"], record["recipe"]["policy"]
        plain = policy["rho"] == 0
        default = all(policy.get(key) in values for key, values in DEFAULT.items())
        same = (recipe["epochs"], recipe["temperature"]) == (epochs, None) and recipe["batch_size"] in (125, 128)
        if same and (plain or default):
            arms[plain][recipe["seed"]] = 100 * record["metrics"][METRIC]
    seeds = sorted(arms[True].keys() & arms[False].keys())
    if len(seeds) < 2:
        return None
    differences = np.array([arms[False][seed] - arms[True][seed] for seed in seeds])
    low, high = stats.t.interval(0.95, len(seeds) - 1, differences.mean(), stats.sem(differences))
    return Point(epochs, float(differences.mean()), float(low), float(high), data, start)


def points() -> list[Point]:
    """All points, in the order of the legend at each number of times."""
    _, validation, few, more = COLOURS
    asked = [("screening-kept-again", data, "n250", 50, validation) for data in ("rsicd", "flickr8k")]
    asked += [("screening-kept-100-again", data, "n250", 100, validation) for data in ("rsicd", "flickr8k")]
    asked += [("evidence-kept", data, "n250", 100, few) for data in MARKS]
    asked += [("evidence-kept", data, "n1000", 100, more) for data in MARKS]
    asked += [("evidence-all", data, size, 30, more) for data, size in (("ucm-captions", "n1680"), ("rsicd", "n8734"))]
    found = [*FROZEN, *(its for one in asked if (its := point(*one)))]
    return sorted(found, key=lambda its: (its.times, list(COLOURS).index(its.start)))


def draw(file: Path) -> None:
    """Writes the picture."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "clipc", "font.family": "sans-serif", "font.size": 10})
    figure, axis = plt.subplots(figsize=(8.4, 4.2), layout="constrained")
    axis.axhline(0, color="#1c1c1c", linewidth=0.8)
    for _, group in groupby(points(), key=lambda its: its.times):
        same = list(group)
        for number, its in enumerate(same):
            times = its.times * 1.045 ** (number - (len(same) - 1) / 2)
            colour = COLOURS[its.start]
            axis.plot([times, times], [its.low, its.high], color=colour, linewidth=1.4)
            axis.plot(times, its.gain, MARKS[its.data], color=colour, markersize=7)
    axis.set_xscale("log")
    axis.set_xticks([3, 5, 10, 20, 50, 100], ["3", "5", "10", "20", "50", "100"])
    axis.minorticks_off()
    axis.set_xlabel("times each pair is seen")
    axis.set_ylabel("gain in text-to-image recall@10, points")
    axis.spines[["top", "right"]].set_visible(False)
    names = [*((colour, "o", name) for name, colour in COLOURS.items()), *(("#1c1c1c", m, d) for d, m in MARKS.items())]
    for colour, mark, name in names:
        axis.plot([], [], mark, color=colour, label=name, markersize=6)
    axis.legend(frameon=False, fontsize=9, loc="upper left", ncols=2)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
