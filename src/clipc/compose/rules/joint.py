"""Rules on joint captions."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from clipc.compose.arrays import Bools, Bytes
from clipc.compose.captions.joint import Wording
from clipc.compose.captions.language import japanese, without_stop
from clipc.compose.entries import Candidates
from clipc.compose.rules.conditions import TRUE, Condition, truth_of
from clipc.compose.rules.expression import Expression
from clipc.compose.rules.sandbox import Sandbox

_KERNELS: Any = pyarrow.compute  # made at run time, which type checkers cannot see
_AT_ONCE: Final = 200_000


@dataclass(frozen=True, eq=False)
class JointCaption:
    """A test for a pattern in the joint caption, before shortening.

    Attributes:
        pattern: A boolean expression over the column ``caption``.
        captions: The caption of each entry.
        wordings: How captions are joined: the policy's wording, then those of the rules.
        whens: The condition of each of the rules' wordings.
        sandbox: Where expressions are evaluated.
    """

    pattern: Expression
    captions: pa.ChunkedArray
    wordings: tuple[Wording, ...]
    whens: tuple[Condition | None, ...]
    sandbox: Sandbox

    def broken(self, candidates: Candidates) -> Bools:
        """Which joint captions match the pattern, shape (m,)."""
        broken = np.zeros(len(candidates), dtype=np.bool_)
        for start in range(0, len(candidates), _AT_ONCE):
            some = np.arange(start, min(start + _AT_ONCE, len(candidates)))
            table = pa.table({"caption": self._texts(candidates.take(some))})
            broken[some] = truth_of(self.sandbox.evaluate(table, {"": self.pattern})[""], self.pattern.text) == TRUE
        return broken

    def _texts(self, candidates: Candidates) -> pa.Array:
        """The joint captions; those with a constant joiner are joined by one Arrow call."""
        entries, places = np.unique(np.concatenate([candidates.first, candidates.second]), return_inverse=True)
        captions: list[str] = self.captions.take(pa.array(entries)).to_pylist()
        starts, ends = (pa.array(map(form, captions), pa.string()) for form in (without_stop, str.strip))
        plain = ~np.fromiter(map(japanese, captions), np.bool_, len(captions))
        first, second = places.reshape(2, -1)
        wording = first_applying(self.whens, candidates)
        in_either_order = np.array([way.strategy == "both-orders" for way in self.wordings])
        orders, numbers, parts = in_either_order[wording] & candidates.swapped, list[Any](), list[Any]()
        for number in np.unique(wording).tolist():
            way = self.wordings[number]
            between, rows = way.between(), np.flatnonzero(wording == number)
            quick = plain[first[rows]] & plain[second[rows]] & (between is not None)
            if (some := rows[quick]).size:
                one = np.where(orders[some], second[some], first[some])
                other = np.where(orders[some], first[some], second[some])
                both = starts.take(pa.array(one)), ends.take(pa.array(other))
                numbers.append(some)
                parts.append(_KERNELS.binary_join_element_wise(*both, between))
            if (some := rows[~quick]).size:
                columns = (first[some], second[some], candidates.layout[some], candidates.swapped[some])
                composites = zip(*(column.tolist() for column in columns), strict=True)
                texts = [way.text(captions[i], captions[j], layout, swapped) for i, j, layout, swapped in composites]
                numbers.append(some)
                parts.append(pa.array(texts, pa.string()))
        return pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(numbers))))


def first_applying(whens: tuple[Condition | None, ...], candidates: Candidates) -> Bytes:
    """The number, from 1, of the first condition that holds for each composite; 0 where none does."""
    chosen = np.zeros(len(candidates), dtype=np.uint8)
    for number, when in enumerate(whens, 1):
        left = np.flatnonzero(chosen == 0)
        some = candidates.take(left)
        holds = np.ones(len(left), bool) if when is None else when.truth(some.first, some.second) == TRUE
        chosen[left[holds]] = number
    return chosen
