"""Associations have their known sizes, intervals cover, and a set without bias gives few false discoveries."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.audit.bias.association import MIN_COUNT, Observations, associate, change
from clipc.evaluate.statistics.benjamini_hochberg import benjamini_hochberg


def planted(rng: np.random.Generator, n: int) -> tuple[Any, Any, float]:
    """Groups and concepts; the first of each come together more often; and the true PMI of these."""
    groups = rng.random((n, 2)) < (0.3, 0.2)
    concepts = rng.random((n, 3)) < (0.1, 0.15, 0.08)
    concepts[:, 0] = rng.random(n) < np.where(groups[:, 0], 0.2, 0.1)
    return groups, concepts, float(np.log2(0.2 / (0.3 * 0.2 + 0.7 * 0.1)))


def partners(rng: np.random.Generator, n: int, epochs: int) -> tuple[Any, Any]:
    left, right = np.tile(np.arange(n), epochs), rng.integers(0, n, n * epochs)
    return left[left != right], right[left != right]


def slow_pmi(groups: Any, concepts: Any) -> Any:
    """The definition, one cell at a time."""
    n, result = len(groups), np.zeros((groups.shape[1], concepts.shape[1]))
    for g in range(groups.shape[1]):
        for k in range(concepts.shape[1]):
            both = sum(bool(a) and bool(b) for a, b in zip(groups[:, g], concepts[:, k], strict=True))
            expected = groups[:, g].sum() * concepts[:, k].sum() / n
            result[g, k] = np.log2((both + 0.5) / (expected + 0.5))
    return result


def test_values_equal_the_definition_and_orders_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    groups, concepts, _ = planted(rng, 300)
    image = np.arange(300)
    one = associate(Observations.of_pairs(groups, concepts, image, 300))
    np.testing.assert_allclose(one.pmi, slow_pmi(groups, concepts))
    order = rng.permutation(300)
    two = associate(Observations.of_pairs(groups[order], concepts[order], image[order], 300))
    np.testing.assert_allclose(one.error, two.error)
    np.testing.assert_allclose(one.p, two.p)


def test_the_variance_of_composites_counts_every_two_composites_with_a_common_image() -> None:
    rng = np.random.default_rng(1)
    n, m = 30, 80
    left, right = partners(rng, n, 3)
    left, right = left[:m], right[:m]
    groups, concepts = rng.random((n, 1)) < 0.6, rng.random((n, 1)) < 0.6
    o = Observations.across((groups[left], groups[right]), (concepts[left], concepts[right]), (left, right), n)
    got = associate(o)
    g, k, total = o.groups[:, 0], o.concepts[:, 0], len(o)
    observed, expected = float((g * k).sum()), float(g.sum() * k.sum() / total)
    expectation = k * g.mean() + g * k.mean() - g.mean() * k.mean()
    assert o.other is not None
    images = [{int(a), int(b)} for a, b in zip(o.image, o.other, strict=True)]

    def variance(influence: Any) -> float:
        one = influence - influence.mean()
        return sum(one[i] * one[j] for i in range(total) for j in range(total) if images[i] & images[j])

    independent = expected * (1 - g.mean()) * (1 - k.mean())
    floor = max(variance(g * k - expectation), independent) / ((max(observed, expected) + 0.5) * (expected + 0.5))
    logarithm = variance(g * k / (observed + 0.5) - expectation / (expected + 0.5))
    assert got.error[0, 0] == pytest.approx(np.sqrt(max(logarithm, floor)) / np.log(2))


def test_several_captions_of_one_image_are_not_more_evidence() -> None:
    groups, concepts, _ = planted(np.random.default_rng(2), 400)
    once = associate(Observations.of_pairs(groups, concepts, np.arange(400), 400))
    four = associate(
        Observations.of_pairs(*(np.repeat(x, 4, axis=0) for x in (groups, concepts)), np.repeat(np.arange(400), 4), 400)
    )
    np.testing.assert_allclose(once.error, four.error, rtol=0.25)
    assert (four.p[~once.few] >= 0.5 * once.p[~once.few]).all()


def test_the_change_of_equal_observations_is_zero_without_error() -> None:
    groups, concepts, _ = planted(np.random.default_rng(3), 200)
    pairs = Observations.of_pairs(groups, concepts, np.arange(200), 200)
    value, error = change(pairs, pairs)
    assert np.abs(value).max() == 0
    assert np.abs(error).max() < 1e-9


def test_small_counts_are_flagged_and_tested_exactly() -> None:
    groups, concepts = np.zeros((2, 400, 1), dtype=bool)
    groups[:40], concepts[:12] = True, True  # 12 of 12 against 1.2 expected
    found = associate(Observations.of_pairs(groups, concepts, np.arange(400), 400))
    assert found.few.all()
    assert found.p[0, 0] < 1e-9
    concepts[3:] = False
    found = associate(Observations.of_pairs(groups, concepts, np.arange(400), 400))
    assert np.isnan(found.p).all()
    assert found.observed[0, 0] == 3 < MIN_COUNT


def simulate(repeats: int, n: int) -> dict[str, Any]:
    """How often intervals cover, and how many discoveries are false, over sets with and without association."""
    inside, inside_across, false_discoveries, false_across = [], [], [], []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        groups, concepts, truth = planted(rng, n)
        found = associate(Observations.of_pairs(groups, concepts, np.arange(n), n))
        low, high = found.interval()
        inside.append(low[0, 0] <= truth <= high[0, 0])
        left, right = partners(rng, n, 3)
        across = associate(
            Observations.across((groups[left], groups[right]), (concepts[left], concepts[right]), (left, right), n)
        )
        low, high = across.interval()
        inside_across.append((low <= 0) & (high >= 0))
        nothing = rng.random((n, 4)) < (0.4, 0.3, 0.2, 0.1)
        words = rng.random((n, 8)) < np.linspace(0.02, 0.4, 8)
        for target, table in (
            (false_discoveries, associate(Observations.of_pairs(nothing, words, np.arange(n), n))),
            (false_across, across),
        ):
            ps = [None if np.isnan(p) else float(p) for p in table.p.ravel()]
            target.append(any(q is not None and q <= 0.05 for q in benjamini_hochberg(ps)))
    return {
        "coverage": np.mean(inside),
        "coverage across": np.mean(inside_across),
        "false": np.mean(false_discoveries),
        "false across": np.mean(false_across),
    }


@pytest.mark.parametrize("n", [pytest.param(400), pytest.param(2000, marks=pytest.mark.soak)])
def test_intervals_cover_and_discoveries_are_rarely_false(n: int) -> None:
    """Without any association every discovery is false, so the share of sets with one is the false discovery rate."""
    found = simulate(200, n)
    assert found["coverage"] >= 0.91, found
    assert found["coverage across"] >= 0.93, found
    assert max(found["false"], found["false across"]) <= 0.085, found  # 0.05 and two standard errors of 200 repeats


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30))
def test_benjamini_hochberg_finds_what_the_step_up_procedure_finds(ps: list[float | None]) -> None:
    adjusted = benjamini_hochberg(ps)
    known = sorted(p for p in ps if p is not None)
    for rate in (0.05, 0.2):
        steps = [p for i, p in enumerate(known, 1) if p <= rate * i / len(known)]
        limit = max(steps, default=-1.0)
        assert [q is not None and q <= rate + 1e-12 for q in adjusted] == [p is not None and p <= limit for p in ps]
