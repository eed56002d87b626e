import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.streams import epoch_generator, rows_uniform


@given(st.integers(0, 2**32), st.integers(0, 500), st.integers(0, 60), st.integers(1, 60), st.integers(1, 17))
def test_rows_do_not_hang_on_how_they_are_asked_for(seed: int, start: int, before: int, count: int, width: int) -> None:
    whole = rows_uniform(seed, "crop", start, start + before + count, width)
    part = rows_uniform(seed, "crop", start + before, start + before + count, width)
    np.testing.assert_array_equal(whole[before:], part)
    assert ((part >= 0) & (part < 1)).all()


def test_streams_seeds_and_epochs_are_different_and_repeatable() -> None:
    draws = {
        (seed, stream, epoch): epoch_generator(seed, stream, epoch).random(4).tobytes()
        for seed in (0, 1)
        for stream in ("order", "mask", "partner")
        for epoch in (0, 1, 2)
    }
    assert len(set(draws.values())) == len(draws)
    assert draws[1, "mask", 2] == epoch_generator(1, "mask", 2).random(4).tobytes()


def test_rows_are_uniform() -> None:
    numbers = rows_uniform(3, "crop", 0, 20_000, 6)
    np.testing.assert_allclose(numbers.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(np.corrcoef(numbers.T), np.eye(6), atol=0.03)
