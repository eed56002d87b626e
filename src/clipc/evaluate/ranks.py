"""Ranks of right answers, as expected values over the random order of ties."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TIE = 1e-6
"""Cosines whose difference is at most this are equal.

Rounding changes a float32 cosine by a few 1e-7, depending on the shape of the matrix product. Without a tolerance this
noise would rank equal captions.
"""


@dataclass(frozen=True, eq=False)
class Ranks:
    """For each of Q queries, the numbers of answers above the best right answer and tied with it.

    Answers with equal scores have no order, so all values are expectations over their random order. A model that gives
    every candidate the same score is therefore at chance level.

    Attributes:
        before: The number of wrong answers that score higher than the best right one, ``int64`` (Q,).
        tied_wrong: The number of wrong answers that score the same as the best right one, ``int64`` (Q,).
        tied_right: The number of right answers that score the same as the best one, itself included, ``int64`` (Q,).
    """

    before: npt.NDArray[np.int64]
    tied_wrong: npt.NDArray[np.int64]
    tied_right: npt.NDArray[np.int64]

    @property
    def position(self) -> npt.NDArray[np.float64]:
        """The expected rank of the first right answer, from 1, float64 (Q,).

        Of w wrong and r right answers in random order, w / (r + 1) wrong ones come first on average.
        """
        return 1.0 + self.before + self.tied_wrong / (self.tied_right + 1.0)

    def hit(self, k: int) -> npt.NDArray[np.float64]:
        """The probability of a right answer among the first ``k``, float64 (Q,): 0 or 1 without ties."""
        return hit_by_chance(self.tied_right, self.tied_right + self.tied_wrong, k - self.before)

    def take(self, index: npt.NDArray[np.int64]) -> "Ranks":
        """The ranks of the given queries, in the given order."""
        return Ranks(self.before[index], self.tied_wrong[index], self.tied_right[index])


def hit_by_chance(right: npt.ArrayLike, candidates: npt.ArrayLike, k: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The probability of a right answer among the first ``k`` of a random ranking (hypergeometric).

    ``1 - C(candidates - right, k) / C(candidates, k)``. The three arguments broadcast.

    Args:
        right: The number of right candidates.
        candidates: The number of all candidates.
        k: The number of first ranks; clipped to [0, candidates].
    """
    arguments = (np.asarray(argument, dtype=np.int64) for argument in (right, candidates, k))
    right, candidates, k = np.broadcast_arrays(*arguments)
    head = np.clip(k, 0, candidates)
    miss = np.ones(right.shape)
    for place in range(int(head.max(initial=0))):
        wrong_left = np.maximum(candidates - right - place, 0)
        miss *= np.where(place < head, wrong_left / np.maximum(candidates - place, 1), 1.0)
    return 1.0 - miss
