"""Rules on joint captions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.compose.captions.joint import Wording
from clipc.compose.proposed import Proposed
from clipc.compose.rules.conditions import TRUE, Condition, truth_of
from clipc.compose.rules.expression import Expression
from clipc.compose.rules.sandbox import Sandbox


@dataclass(frozen=True, eq=False)
class JointCaption:
    """A pattern in the joint caption, as it is before anything is shortened.

    Attributes:
        pattern: A boolean expression over the column ``caption``.
        captions: The caption of each entry.
        wordings: How captions are joined: as the policy says, then as the rules say.
        whens: For each of the rules' wordings, when it applies.
        sandbox: Where expressions are evaluated.
    """

    pattern: Expression
    captions: pa.ChunkedArray
    wordings: tuple[Wording, ...]
    whens: tuple[Condition | None, ...]
    sandbox: Sandbox

    def broken(self, proposed: Proposed) -> npt.NDArray[np.bool_]:
        """Which joint captions show the pattern, shape (m,)."""
        texts = [
            self.wordings[wording].text(first, second, layout=layout, swapped=swapped)
            for first, second, layout, swapped, wording in zip(
                self.captions.take(pa.array(proposed.first)).to_pylist(),
                self.captions.take(pa.array(proposed.second)).to_pylist(),
                proposed.layout.tolist(),
                proposed.swapped.tolist(),
                applying(self.whens, proposed).tolist(),
                strict=True,
            )
        ]
        table = pa.table({"caption": pa.array(texts, pa.string())})
        found = self.sandbox.evaluate(table, {"": self.pattern})[""]
        return truth_of(found, self.pattern.text) == TRUE


def applying(whens: tuple[Condition | None, ...], proposed: Proposed) -> npt.NDArray[np.uint8]:
    """The number, from 1, of the first condition that holds for each composite; 0 where none does."""
    chosen = np.zeros(len(proposed), dtype=np.uint8)
    for number, when in enumerate(whens, 1):
        left = np.flatnonzero(chosen == 0)
        some = proposed.take(left)
        holds = np.ones(len(left), bool) if when is None else when.truth(some.first, some.second) == TRUE
        chosen[left[holds]] = number
    return chosen
