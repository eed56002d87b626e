"""Every interval holds what it promises: 95% of them cover the truth, whatever varies most."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from clipc.evaluate.statistics.interval import Interval, paired_difference, t_interval
from clipc.evaluate.statistics.sampling_error import sampling_error
from clipc.evaluate.statistics.two_way import two_way


@dataclass(frozen=True)
class Draw:
    """Figures of some seeds on some items, and what the mean difference truly is.

    Attributes:
        treated: (seeds, items).
        control: (seeds, items).
        clusters: (items,).
        truth: Over all seeds and items there could be.
        of_models: Over all items, of these very models.
        of_items: Over all seeds, on these very items.
    """

    treated: np.ndarray
    control: np.ndarray
    clusters: np.ndarray
    truth: float
    of_models: float
    of_items: float


@dataclass(frozen=True)
class World:
    """Standard deviations of what a difference is made of.

    Attributes:
        seed: Of what is common to a seed.
        item: Of what is common to an item, or to the items of a cluster.
        noise: Of an item under a seed.
        together: Items in a cluster, at most.
    """

    seed: float
    item: float
    noise: float
    together: int = 1

    def draw(self, rng: np.random.Generator, seeds: int, items: int) -> Draw:
        """Differences around 0.5."""
        clusters = self.clusters(rng, items)
        seed, item = self.seed * rng.normal(size=(seeds, 1)), self.item * rng.normal(size=items)[clusters]
        control = rng.uniform(size=(seeds, items))
        treated = control + 0.5 + seed + item + self.noise * rng.normal(size=(seeds, items))
        return Draw(treated, control, clusters, 0.5, 0.5 + float(seed.mean()), 0.5 + float(item.mean()))

    def clusters(self, rng: np.random.Generator, items: int) -> np.ndarray:
        return np.repeat(np.arange(items), rng.integers(1, self.together + 1, items))[:items]


class Hits(World):
    """Hits and misses: an arm hits where seed, item and noise add up to more than zero, or than -0.3 if treated."""

    def draw(self, rng: np.random.Generator, seeds: int, items: int) -> Draw:
        """Differences of hits, -1, 0 or 1."""
        clusters = self.clusters(rng, items)
        seed, item = self.seed * rng.normal(size=(2, seeds, 1)), self.item * rng.normal(size=items)[clusters]
        ahead = np.array([0.3, 0.0])[:, None, None]
        treated, control = (ahead + seed + item + self.noise * rng.normal(size=(2, seeds, items)) > 0) * 1.0

        def truth(known: np.ndarray, *unknown: float) -> float:
            first, second = norm.cdf((ahead + known) / math.hypot(self.noise, *unknown)).mean(axis=(1, 2))
            return float(first - second)

        nothing = np.zeros((2, 1, 1))
        of_models, of_items = truth(seed, self.item), truth(np.broadcast_to(item, (2, 1, items)), self.seed)
        return Draw(treated, control, clusters, truth(nothing, self.seed, self.item), of_models, of_items)


def world(kind: str, seeds: int, items: int) -> World:
    """A world in which this or that varies most, in means over so many seeds and items."""
    even = math.sqrt(seeds / items)
    return {
        "seeds": World(1.0, 0.2 / even, 0.5),
        "items": World(0.2 * even, 1.0, 0.5),
        "both": World(even, 1.0, 0.5),
        "noise": World(0.1 * even, 0.1, 1.0),
        "clustered": World(even, 1.0, 0.5, together=5),
        "hits": Hits(0.2, 1.0, 0.5, together=5),
    }[kind]


def rates(kind: str, seeds: int, items: int, runs: int) -> dict[str, float]:
    """The share of intervals of each kind that hold what they are an interval of."""
    rng = np.random.default_rng([seeds, items])
    covered: dict[str, list[bool]] = {}

    def count(name: str, interval: Interval, truth: float) -> None:
        covered.setdefault(name, []).append(interval.low <= truth <= interval.high)

    for at in range(runs):
        draw = world(kind, seeds, items).draw(rng, seeds, items)
        treated, control = draw.treated.mean(axis=1), draw.control.mean(axis=1)
        count("t_interval", t_interval(treated - control), draw.of_items)
        count("paired_difference", paired_difference(treated, control), draw.of_items)
        error = sampling_error(list(draw.treated), list(draw.control), draw.clusters, draws=300, seed=at)
        count("sampling_error", error, draw.of_models)
        both = two_way(draw.treated, draw.control, draw.clusters, draws=300, seed=at)
        count("two_way", both, draw.truth)
    return {name: float(np.mean(hits)) for name, hits in covered.items()}


KINDS = ("seeds", "items", "both", "noise", "clustered", "hits")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("seeds", "items", "runs"),
    [
        (3, 30, 400),
        *(pytest.param(seeds, items, 2000, marks=pytest.mark.soak) for seeds in (3, 5, 8) for items in (30, 200)),
    ],
)
def test_intervals_cover(kind: str, seeds: int, items: int, runs: int) -> None:
    found = rates(kind, seeds, items, runs)
    print(
        f"{kind:10} {seeds} seeds {items:3} items: " + "  ".join(f"{name} {rate:.3f}" for name, rate in found.items())
    )
    noise = 2 * math.sqrt(0.05 * 0.95 / runs) if runs < 1000 else 0
    for name, rate in found.items():
        most = 0.99 if name == "two_way" else 0.98
        assert 0.93 - noise <= rate <= most + noise, f"{name} covers {rate:.3f}"
