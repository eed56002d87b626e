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
class JointCaptionPattern:
    """The test of a rule that forbids a pattern in joint captions, which are not shortened yet.

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
        """Whether each composite breaks the rule: its joint caption matches the pattern; ``bool``, shape (m,).

        Raises:
            UserError: The pattern fails on a caption, or takes too long or too much memory.
        """
        matches = np.zeros(len(candidates), dtype=np.bool_)
        for start in range(0, len(candidates), _CANDIDATES_AT_ONCE):
            block = np.arange(start, min(start + _CANDIDATES_AT_ONCE, len(candidates)))
            table = pa.table({"caption": self._texts(candidates.take(block))})
            matches[block] = truth_of(self.sandbox.evaluate(table, {"": self.pattern})[""], self.pattern.text) == TRUE
        return matches

    def may_break(self) -> bool:
        """Whether a composite may match the pattern: there are too many joint captions to be certain that none does."""
        return True

    def _texts(self, candidates: Candidates) -> pa.Array:
        """The joint captions, shape (m,).

        For each wording, captions whose joiner is constant are joined in one Arrow call, the others one by one.
        """
        entries, positions = np.unique(np.concatenate([candidates.first, candidates.second]), return_inverse=True)
        captions: list[str] = self.captions.take(pa.array(entries)).to_pylist()
        first_parts = pa.array(map(without_stop, captions), pa.string())
        second_parts = pa.array(map(str.strip, captions), pa.string())
        not_japanese = ~np.fromiter(map(japanese, captions), np.bool_, len(captions))
        first, second = positions.reshape(2, -1)
        wording = first_applying(self.conditions, candidates)
        in_either_order = np.array([each.strategy == "both-orders" for each in self.wordings])
        exchanged = in_either_order[wording] & candidates.swapped
        earlier, later = np.where(exchanged, second, first), np.where(exchanged, first, second)
        block_rows, blocks = list[Any](), list[Any]()
        for number in np.unique(wording).tolist():
            chosen = self.wordings[number]
            joiner, rows = chosen.constant_joiner(), np.flatnonzero(wording == number)
            constant = not_japanese[first[rows]] & not_japanese[second[rows]] & (joiner is not None)
            if (constant_rows := rows[constant]).size:
                parts = (
                    first_parts.take(pa.array(earlier[constant_rows])),
                    second_parts.take(pa.array(later[constant_rows])),
                )
                block_rows.append(constant_rows)
                blocks.append(_KERNELS.binary_join_element_wise(*parts, joiner))
            if (other_rows := rows[~constant]).size:
                columns = (first, second, candidates.layout, candidates.swapped)
                composites = zip(*(column[other_rows].tolist() for column in columns), strict=True)
                texts = [chosen.text(captions[i], captions[j], layout, swapped) for i, j, layout, swapped in composites]
                block_rows.append(other_rows)
                blocks.append(pa.array(texts, pa.string()))
        return pa.concat_arrays(blocks).take(pa.array(np.argsort(np.concatenate(block_rows))))


def first_applying(conditions: tuple[Condition | None, ...], candidates: Candidates) -> Bytes:
    """The number, from 1, of the first condition that holds for each composite, ``uint8``; 0 where none holds.

    It is the index into ``wordings``, where 0 is the policy's own.

    Args:
        conditions: The conditions; None holds always.
        candidates: The composites.
    """
    chosen = np.zeros(len(candidates), dtype=np.uint8)
    for number, when in enumerate(conditions, 1):
        undecided = np.flatnonzero(chosen == 0)
        rest = candidates.take(undecided)
        holds = np.ones(len(undecided), bool) if when is None else when.truth(rest.first, rest.second) == TRUE
        chosen[undecided[holds]] = number
    return chosen
