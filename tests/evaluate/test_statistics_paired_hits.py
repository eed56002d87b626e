"""The difference of hits on the same items: its interval covers, its test raises no more false alarms than it says."""

import numpy as np
import pytest

from clipc.evaluate.statistics.paired_hits import paired_hits


def test_a_difference_that_all_items_share_still_has_a_width() -> None:
    pair = paired_hits([0] * 20, [1] * 20)
    assert pair.difference.mean == -1
    assert -1 <= pair.difference.low < pair.difference.high < 0
    assert (pair.gained, pair.lost) == (0, 20)
    assert pair.p == pytest.approx(2 * 0.5**20)


def test_equal_hits_are_no_difference() -> None:
    pair = paired_hits([1, 0, 1], [1, 0, 1])
    assert pair.difference.mean == 0
    assert pair.difference.low < 0 < pair.difference.high
    assert pair.p == 1


def test_the_other_way_round_is_the_opposite() -> None:
    a, b = [1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 1, 0]
    one, other = paired_hits(a, b), paired_hits(b, a)
    assert one.difference.ends == pytest.approx([-other.difference.high, -other.difference.low])
    assert one.p == other.p


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 0]), ([0.5], [1])])
def test_what_are_no_hits(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="same items"):
        paired_hits(a, b)


@pytest.mark.parametrize("n", [15, 40, 200])
@pytest.mark.parametrize("chances", [(0.8, 0.1, 0.05, 0.05), (0.5, 0.2, 0.2, 0.1), (0.6, 0.3, 0.02, 0.08)])
def test_intervals_cover_and_tests_are_honest(n: int, chances: tuple[float, ...]) -> None:
    rng = np.random.Generator(np.random.Philox(n))
    truth, covered, alarms, rounds = chances[2] - chances[1], 0, 0, 400
    for _ in range(rounds):
        cells = rng.choice(4, size=n, p=chances)  # both hit, only the control, only the treated, neither
        pair = paired_hits(np.isin(cells, (0, 2)), np.isin(cells, (0, 1)))
        covered += pair.difference.low <= truth <= pair.difference.high
        alarms += pair.p < 0.05
    assert covered / rounds >= 0.92
    if truth == 0:
        assert alarms / rounds <= 0.07
