"""How often a study without any effect says that an arm gains, against the rate that pages print."""

import numpy as np
import pytest
from scipy.stats import binom

from clipc.evaluate.measurement import Measurement
from clipc.study.compare import comparisons
from clipc.study.results import Outcome, metrics_table
from clipc.study.verdict import conclude, false_gain_rate

from .outcomes import outcome

STUDIES = 1000


def false_gains(arms: int, seeds: int, items: int, studies: int = STUDIES) -> int:
    """The number of studies with two main metrics and no true effect in which an arm "gains" over the baseline.

    Args:
        arms: The arms under test.
        seeds: The seeds.
        items: The test items of each metric; 0 for metrics that are no means of items, which only seeds decide.
        studies: The number of studies.
    """
    rng, count = np.random.default_rng(arms * 100 + seeds), 0
    names = ["clip", *(f"arm {i}" for i in range(arms))]
    template = [outcome("clip", seed, 0.5) for seed in range(seeds)]
    for _ in range(studies):
        groups: dict[tuple[str, int], list[Outcome]] = {}
        ability = rng.normal(0.5, 0.1, (2, items))
        for name in names:
            group: list[Outcome] = []
            for one in template:
                measured: dict[str, Measurement] = {}
                for key, of_items in zip(("a", "b"), ability, strict=True):
                    value = 0.5 + rng.normal(0, 0.02)
                    values = (rng.random(items) < of_items + value - 0.5).astype(float) if items else None
                    value = value if values is None else float(values.mean())
                    measured[key] = Measurement(key, values, value=value, n=max(1, items), default_main=True)
                group.append(Outcome(one.trial, one.summary, measured, {}, {}, [], 0.0, {}))
            groups[name, 100] = group
        metrics = metrics_table(groups["clip", 100])
        rows = comparisons(groups, metrics, "clip", ())
        count += any(row["verdict"] == "gain" for row in rows)
        looks = conclude(names, "clip", (), metrics, rows)["looks"]
        assert looks["false_gain"] == false_gain_rate(arms)
    return count


def test_the_rate_is_half_the_level_for_an_arm_and_rises_with_arms_and_sizes() -> None:
    assert false_gain_rate(0) == 0
    assert false_gain_rate(1) == pytest.approx(0.025)
    assert false_gain_rate(4) == pytest.approx(1 - 0.975**4)


@pytest.mark.soak
@pytest.mark.parametrize(("arms", "seeds"), [(1, 5), (3, 5), (3, 8)])
def test_a_study_without_effect_says_gain_as_often_as_the_page_prints(arms: int, seeds: int) -> None:
    low, high = binom.interval(0.99, STUDIES, false_gain_rate(arms))
    assert low <= false_gains(arms, seeds, items=0) <= high


@pytest.mark.soak
def test_the_interval_over_test_items_makes_it_rarer() -> None:
    assert false_gains(3, 5, items=100) <= binom.interval(0.99, STUDIES, false_gain_rate(3))[1]
