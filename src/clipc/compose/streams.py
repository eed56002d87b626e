"""Counter-based random streams, one for each purpose.

Every random number is a pure function of (seed, stream, position). So two arms of a study see the same images in the
same order and differ only in what is under test, a run resumes from one integer, and the number of workers or ranks
changes nothing. The generator is Philox-4x64 (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011).
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from clipc.compose.arrays import Float64s

# Changing a number would change every result: add streams, never renumber.
STREAMS: Final = {
    "order": 0,
    "mask": 1,
    "partner": 2,
    "caption": 3,
    "layout": 4,
    "crop": 5,
    "third": 6,
    "kept": 7,
    "half": 8,
    "turn": 9,
    "weight": 10,
    "candidate": 11,
}
"""The number of each stream. ``mask``: which rows the policy composes or augments strongly; ``third``: the pair of a
wrong caption; ``kept``: the views whose features are kept (:func:`content_uniform`); ``half``: which half is shown
alone; ``turn``: how views are turned; ``weight``: whether a partner that is drawn is kept, by its group weight;
``candidate``: the candidate composites that are scored (:func:`candidate_generator`)."""


def epoch_generator(seed: int, stream: str, epoch: int, part: int = 0) -> np.random.Generator:
    """The generator of one stream in one epoch; ``part`` numbers independent draws in one epoch."""
    return np.random.Generator(np.random.Philox(key=[seed, STREAMS[stream]], counter=[0, 0, epoch, part]))


def candidate_generator(seed: int, stream: str, number: int, part: int = 0) -> np.random.Generator:
    """The generator that takes the place of a stream's in the draw of candidate composites.

    Args:
        seed: The run's seed.
        stream: The name of the stream whose place it takes.
        number: The number of the draw, from 0.
        part: Numbers independent parts of one draw.
    """
    counter = [0, STREAMS[stream], number, part]
    return np.random.Generator(np.random.Philox(key=[seed, STREAMS["candidate"]], counter=counter))


def rows_uniform(seed: int, stream: str, start: int, stop: int, width: int) -> Float64s:
    """Rows ``[start, stop)`` of an endless table of random numbers in [0, 1).

    Args:
        seed: The run's seed.
        stream: The stream's name.
        start: The first row.
        stop: One after the last row.
        width: The number of columns.

    Returns:
        ``float64``, shape (stop - start, width). Row i is the same in every range that contains it.
    """
    blocks = -(-width // 4)  # Philox-4x64 makes four numbers with each step of its counter
    # The 1 keeps these numbers apart from those of epoch_generator.
    bits = np.random.Philox(key=[seed, STREAMS[stream]], counter=[start * blocks, 1, 0, 0])
    numbers = np.random.Generator(bits).random((stop - start) * blocks * 4)
    return numbers.reshape(stop - start, blocks * 4)[:, :width]


def content_uniform(contents: npt.NDArray[np.uint64], stream: str, width: int) -> Float64s:
    """Random numbers in [0, 1) that depend on a content alone, whatever the seed, the row and the other rows.

    Args:
        contents: Hashes of contents, shape (n,).
        stream: The stream's name.
        width: The number of columns; the first columns are the same for every width.

    Returns:
        ``float64``, shape (n, width).
    """
    numbers = np.empty((len(contents), width))
    for row, content in enumerate(contents.tolist()):
        bits = np.random.Philox(key=[content, STREAMS[stream]], counter=[0, 2, 0, 0])
        numbers[row] = np.random.Generator(bits).random(width)
    return numbers
