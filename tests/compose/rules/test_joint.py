"""Joint captions by the million are those that wordings make one by one."""

from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Candidates
from clipc.compose.rules import joint
from clipc.compose.rules.expression import Expression
from clipc.compose.rules.joint import JointCaptionPattern, first_applying
from clipc.compose.rules.sandbox import Sandbox

CAPTIONS = [
    "a dog.",
    "a cat",
    " spaced . ",
    "a lung etc.",
    "赤い円",
    "傷がある。",
    "top...",
    "U.S.",
    "Á b",
    "!",
    "x 。",
]


@dataclass(frozen=True)
class Sum:
    """A condition that holds now and then."""

    of: int

    def truth(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        return ((a + b) % self.of == 0).astype(np.int8)


@pytest.mark.parametrize("strategy", ["join", "spatial", "both-orders", "one", "first", "second"])
@pytest.mark.parametrize(("joiner", "template"), [(None, None), (" + ", None), (None, "{b} by {a}")])
def test_joint_captions_are_those_of_their_wordings(
    strategy: str, joiner: str | None, template: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint, "_CANDIDATES_AT_ONCE", 50)
    wordings = (Wording(strategy, joiner, template), Wording(strategy, " plus "), Wording(strategy, None, "{a}~{b}"))
    a, b = np.array(list(product(range(len(CAPTIONS)), repeat=2)), dtype=np.int64).T
    generator = np.random.Generator(np.random.Philox(0))
    layout = generator.choice(np.array([1, 2, 4, 5, 6], np.uint8), len(a))
    candidates = Candidates(a, b, layout, generator.random(len(a)) < 0.5)
    seen: list[str] = []

    class Looking:
        """Takes the sandbox's place: a pattern that is found in texts of even length."""

        def evaluate(self, table: pa.Table, expressions: dict[str, Expression]) -> pa.Table:
            texts = cast(list[str], table["caption"].to_pylist())
            seen.extend(texts)
            return pa.table({name: [len(text) % 2 == 0 for text in texts] for name in expressions})

    rule = JointCaptionPattern(
        Expression("", "{}"),
        pa.chunked_array([CAPTIONS]),
        wordings,
        (Sum(3), Sum(4)),
        cast(Sandbox, cast(Any, Looking())),
    )
    broken = rule.broken(candidates)
    slow = [
        wordings[way].text(CAPTIONS[one], CAPTIONS[other], code, swapped)
        for one, other, code, swapped, way in zip(
            *(c.tolist() for c in (a, b, layout, candidates.swapped, first_applying(rule.conditions, candidates))),
            strict=True,
        )
    ]
    assert seen == slow
    assert broken.tolist() == [len(text) % 2 == 0 for text in slow]
    assert not len(rule.broken(candidates.take(np.array([], dtype=np.intp))))
