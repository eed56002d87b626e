from hypothesis import given
from hypothesis import strategies as st

from clipc.study.pilot.regime import PLANNED_SHARE, Cost, seconds_needed, settle, smaller_arm_sets, subset_sizes

ARMS = ["clip", "self-halves", "wrong-caption", "clip-c", "clip-c-guarded"]
SETS = smaller_arm_sets(ARMS, ["wrong-caption", "self-halves"])
FULL, SMALL = Cost(1000, once=60, trial=20), Cost(500, once=30, trial=10)


def test_enough_time_takes_everything() -> None:
    scope = settle(10_000, [FULL, SMALL], SETS, (3, 12), jobs=2)
    assert scope is not None
    assert (scope.pairs, scope.arms, scope.seeds) == (1000, tuple(ARMS), 12)
    assert scope.seconds == 60 + 30 * 20


def test_time_takes_seeds_then_controls_then_pairs() -> None:
    """What is left of a comparison, in the order in which it may be cut; each pair is seen as often throughout."""

    def left(seconds: float) -> tuple[int, int, int]:
        scope = settle(seconds / PLANNED_SHARE, [FULL, SMALL], SETS, (3, 12), jobs=2)
        assert scope is not None
        return scope.pairs, len(scope.arms), scope.seeds

    assert left(60 + 8 * 20) == (1000, 5, 3)
    assert left(60 + 8 * 20 - 1) == (1000, 4, 3)
    assert left(60 + 6 * 20 - 1) == (1000, 3, 3)
    assert left(60 + 5 * 20 - 1) == (500, 5, 4)  # 129 seconds for 10 rounds of 10; five seeds need 13
    assert left(30 + 5 * 10) == (500, 3, 3)
    assert settle((30 + 5 * 10 - 1) / PLANNED_SHARE, [FULL, SMALL], SETS, (3, 12), jobs=2) is None


def test_seeds_that_were_asked_for_stay() -> None:
    scope = settle((60 + 15 * 20) / PLANNED_SHARE, [FULL, SMALL], SETS, (10, 10), jobs=2)
    assert scope is not None
    assert (scope.pairs, len(scope.arms), scope.seeds) == (1000, 3, 10)


def test_the_last_control_is_left_out_first() -> None:
    assert [
        tuple(ARMS),
        ("clip", "wrong-caption", "clip-c", "clip-c-guarded"),
        ("clip", "clip-c", "clip-c-guarded"),
    ] == SETS


def test_subsets_are_halves_and_not_tiny() -> None:
    assert subset_sizes(1000) == [1000, 500, 250, 125]
    assert subset_sizes(40) == [40]


@given(
    seconds=st.floats(1, 5000),
    once=st.floats(0, 300),
    trial=st.floats(0.1, 200),
    jobs=st.integers(1, 8),
    least=st.integers(3, 6),
)
def test_what_is_settled_fits_and_what_is_asked_for_is_enough(
    seconds: float, once: float, trial: float, jobs: int, least: int
) -> None:
    costs = [Cost(800, once, trial), Cost(400, once / 2, trial / 2)]
    scope = settle(seconds, costs, SETS, (least, 12), jobs)
    if scope is None:
        seconds = 1.000001 * seconds_needed(costs[-1], SETS[-1], least, jobs)
        scope = settle(seconds, costs, SETS, (least, 12), jobs)
        assert scope is not None
    assert scope.seconds <= seconds * PLANNED_SHARE
    assert least <= scope.seeds <= 12
    if scope.seeds < 12:
        cost = next(cost for cost in costs if cost.pairs == scope.pairs)
        assert cost.seconds(len(scope.arms) * (scope.seeds + 1), jobs) > seconds * PLANNED_SHARE
