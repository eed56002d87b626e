"""The ranks of right answers, with the expected value over the random order of ties."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TIE = 1e-6
"""Two cosines nearer than this are equal.

Rounding alone moves a float32 cosine by a few 1e-7, by an amount that depends on the shape of the
matrix product it came from; without a tolerance equal captions would be ranked by that noise.
"""


@dataclass(frozen=True, eq=False)
class Ranks:
    """For each of Q queries, the numbers of answers above and tied with its best right answer.

    Answers with equal scores have no order. All values are therefore expectations over their random
    order: the average over shuffles of the candidates before each search. A model that
    gives every candidate the same score gets chance level, neither 0 nor 1.

    Attributes:
        before: Wrong answers that score higher than the best right one, ``int64`` (Q,).
        tied_wrong: Wrong answers that score the same as the best right one, ``int64`` (Q,).
        tied_right: Right answers that score the same as the best right one, itself included, ``int64`` (Q,), >= 1.
    """

    before: npt.NDArray[np.int64]
    tied_wrong: npt.NDArray[np.int64]
    tied_right: npt.NDArray[np.int64]

    @property
    def position(self) -> npt.NDArray[np.float64]:
        """The expected rank of the first right answer, from 1, shape (Q,).

        Of w wrong and r right answers in random order, w / (r + 1) wrong ones come first on average.
        """
        return 1.0 + self.before + self.tied_wrong / (self.tied_right + 1.0)

    def hit(self, k: int) -> npt.NDArray[np.float64]:
        """The probability of a right answer among the first ``k``, shape (Q,): 0 or 1 where nothing is tied."""
        return hit_by_chance(self.tied_right, self.tied_right + self.tied_wrong, k - self.before)

    def take(self, index: npt.NDArray[np.int64]) -> "Ranks":
        """The ranks of the given queries, in the given order."""
        return Ranks(self.before[index], self.tied_wrong[index], self.tied_right[index])


def hit_by_chance(right: npt.ArrayLike, candidates: npt.ArrayLike, k: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The probability of a right answer among the first ``k`` of a random ranking (hypergeometric).

    ``1 - C(candidates - right, k) / C(candidates, k)``. The three arguments broadcast.

    Args:
        right: How many candidates are right.
        candidates: How many there are.
        k: The length of the ranking's head; below 0 counts as 0, above ``candidates`` as all.
    """
    right, candidates, k = np.broadcast_arrays(*(np.asarray(x, dtype=np.int64) for x in (right, candidates, k)))
    head = np.clip(k, 0, candidates)
    miss = np.ones(right.shape)
    for place in range(int(head.max(initial=0))):
        wrong_left = np.maximum(candidates - right - place, 0)
        miss *= np.where(place < head, wrong_left / np.maximum(candidates - place, 1), 1.0)
    return 1.0 - miss
