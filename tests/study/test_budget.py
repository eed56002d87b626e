import pytest

from clipc.study.budget import PLANNED_SHARE, Pace, samples_within


def test_all_trials_end_in_time() -> None:
    pace = Pace(pairs_per_second=100, validation_seconds=2, fixed_seconds=10)
    samples = samples_within(600, pace, trials=9, jobs=2, validations=5)
    trial = samples / 100 + 5 * 2 + 10
    assert trial * 5 == pytest.approx(600 * PLANNED_SHARE, rel=0.01)


def test_too_little_time_is_no_negative_number() -> None:
    assert samples_within(10, Pace(100, 2, 10), trials=9, jobs=2, validations=5) == 1


def test_arms_of_different_pace() -> None:
    mean = Pace.mean([Pace(100, 1, 2), Pace(50, 3, 4)])
    assert mean.pairs_per_second == pytest.approx(200 / 3)
    assert (mean.validation_seconds, mean.fixed_seconds) == (2, 3)
