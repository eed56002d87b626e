"""Rules on joint captions: patterns that must not occur, and rules that choose the wording."""

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
_CANDIDATES_AT_ONCE: Final = 200_000


@dataclass(frozen=True, eq=False)
class JointCaption:
    """A test that searches for a pattern in joint captions, before they are shortened.

    Attributes:
        pattern: A boolean expression over the column ``caption``, which holds the joint caption.
        captions: The caption of each entry.
        wordings: How captions are joined: the policy's wording, then those of the rules.
        conditions: The condition of each rule that has a wording, in the order of ``wordings[1:]``; None for always.
        sandbox: The sandbox that evaluates the pattern.
    """

    pattern: Expression
    captions: pa.ChunkedArray
    wordings: tuple[Wording, ...]
    conditions: tuple[Condition | None, ...]
    sandbox: Sandbox

    def broken(self, candidates: Candidates) -> Bools:
        """Whether each joint caption matches the pattern, ``bool``, shape (m,)."""
        broken = np.zeros(len(candidates), dtype=np.bool_)
        for start in range(0, len(candidates), _CANDIDATES_AT_ONCE):
            some = np.arange(start, min(start + _CANDIDATES_AT_ONCE, len(candidates)))
            table = pa.table({"caption": self._texts(candidates.take(some))})
            broken[some] = truth_of(self.sandbox.evaluate(table, {"": self.pattern})[""], self.pattern.text) == TRUE
        return broken

    def may_break(self) -> bool:
        """Whether a composite may match the pattern: there are too many joint captions to be certain that none does."""
        return True

    def _texts(self, candidates: Candidates) -> pa.Array:
        """The joint captions, shape (m,); one Arrow call for each wording joins those with a constant joiner."""
        entries, positions = np.unique(np.concatenate([candidates.first, candidates.second]), return_inverse=True)
        captions: list[str] = self.captions.take(pa.array(entries)).to_pylist()
        starts, ends = (pa.array(map(form, captions), pa.string()) for form in (without_stop, str.strip))
        plain = ~np.fromiter(map(japanese, captions), np.bool_, len(captions))
        first, second = positions.reshape(2, -1)
        wording = first_applying(self.conditions, candidates)
        in_either_order = np.array([one.strategy == "both-orders" for one in self.wordings])
        swapped, parts_rows, parts = in_either_order[wording] & candidates.swapped, list[Any](), list[Any]()
        for number in np.unique(wording).tolist():
            chosen = self.wordings[number]
            joiner, rows = chosen.constant_joiner(), np.flatnonzero(wording == number)
            constant = plain[first[rows]] & plain[second[rows]] & (joiner is not None)
            if (some := rows[constant]).size:
                one = np.where(swapped[some], second[some], first[some])
                other = np.where(swapped[some], first[some], second[some])
                both = starts.take(pa.array(one)), ends.take(pa.array(other))
                parts_rows.append(some)
                parts.append(_KERNELS.binary_join_element_wise(*both, joiner))
            if (some := rows[~constant]).size:
                columns = (first[some], second[some], candidates.layout[some], candidates.swapped[some])
                composites = zip(*(column.tolist() for column in columns), strict=True)
                texts = [chosen.text(captions[i], captions[j], layout, order) for i, j, layout, order in composites]
                parts_rows.append(some)
                parts.append(pa.array(texts, pa.string()))
        return pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(parts_rows))))


def first_applying(conditions: tuple[Condition | None, ...], candidates: Candidates) -> Bytes:
    """The number, from 1, of the first condition that holds for each composite, ``uint8``; 0 where none holds."""
    chosen = np.zeros(len(candidates), dtype=np.uint8)
    for number, when in enumerate(conditions, 1):
        undecided = np.flatnonzero(chosen == 0)
        some = candidates.take(undecided)
        holds = np.ones(len(undecided), bool) if when is None else when.truth(some.first, some.second) == TRUE
        chosen[undecided[holds]] = number
    return chosen
