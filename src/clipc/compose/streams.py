"""Counter-based random streams: one each for order, mask, partner, caption, layout, crop and third pair.

Every number is a pure function of (seed, stream, position). So two arms of an experiment see the same
images in the same order and differ only in what is under test; a resume is one integer; and the number
of workers or ranks changes nothing. The generator is Philox-4x64 (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011).
"""

from typing import Final

import numpy as np

from clipc.compose.arrays import Float64s

# The numbers are part of every run's identity: never renumber, only add.
STREAMS: Final = {"order": 0, "mask": 1, "partner": 2, "caption": 3, "layout": 4, "crop": 5, "third": 6}


def epoch_generator(seed: int, stream: str, epoch: int, part: int = 0) -> np.random.Generator:
    """The generator of one stream in one epoch, or in one of several parts of it."""
    return np.random.Generator(np.random.Philox(key=[seed, STREAMS[stream]], counter=[0, 0, epoch, part]))


def rows_uniform(seed: int, stream: str, start: int, stop: int, width: int) -> Float64s:
    """Numbers in [0, 1) for the rows ``[start, stop)`` of an endless table; independent of the range.

    Args:
        seed: The run's seed.
        stream: The stream's name.
        start: The first row.
        stop: One after the last row.
        width: Numbers per row.

    Returns:
        Shape (stop - start, width), ``float64``. Row i is the same in every range that contains it.
    """
    blocks = -(-width // 4)  # Philox-4x64 makes four numbers a counter step
    bits = np.random.Philox(key=[seed, STREAMS[stream]], counter=[start * blocks, 1, 0, 0])
    numbers = np.random.Generator(bits).random((stop - start) * blocks * 4)
    return numbers.reshape(stop - start, blocks * 4)[:, :width]
