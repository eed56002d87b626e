"""The number of tokens that captions take, and advice where joint captions exceed the context length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from clipc.compose.captions.joint import Wording
from clipc.compose.layouts.tiles import LEFT_RIGHT
from clipc.prepare.plan_statistics import spread
from clipc.render.batch import Tokenizer

_SAMPLE: Final = 2000
_TOO_MANY_CUT: Final = 0.05
_WASTEFUL: Final = 2.0
"""Characters a token below which a vocabulary does not fit a language (CLIP's: 4.5 in English, 0.5 in Japanese)."""


@dataclass(frozen=True)
class TokenCost:
    """The number of tokens that captions take, without start and end.

    Attributes:
        max_text_tokens: The largest number of tokens that the model reads.
        caption: Median, 95th percentile and largest number of tokens of a caption.
        joint: The same of two captions joined.
        overflow: Share of the joint captions that are longer than ``max_text_tokens``, in [0, 1].
        characters_per_token: Of the captions, on average.
    """

    max_text_tokens: int
    caption: tuple[int, int, int]
    joint: tuple[int, int, int]
    overflow: float
    characters_per_token: float


def token_cost(captions: Sequence[str], tokenizer: Tokenizer) -> TokenCost:
    """The number of tokens of captions, alone and joined, measured on up to 2,000 of them.

    Args:
        captions: At least one.
        tokenizer: The model's.
    """
    drawn = np.random.Generator(np.random.Philox(0)).permutation(len(captions))[:_SAMPLE]
    singles = [captions[int(i)] for i in drawn]
    joined = [
        Wording().text(one, other, LEFT_RIGHT, False)
        for one, other in zip(singles, [*singles[1:], singles[0]], strict=True)
    ]
    alone, together = ([tokenizer.count(text) for text in texts] for texts in (singles, joined))
    return TokenCost(
        max_text_tokens=tokenizer.max_text_tokens,
        caption=spread(alone),
        joint=spread(together),
        overflow=sum(count > tokenizer.max_text_tokens for count in together) / len(together),
        characters_per_token=sum(map(len, singles)) / max(1, sum(alone)),
    )


def advice(cost: TokenCost) -> str | None:
    """One sentence on what to do where more than 5% of the joint captions would be shortened, otherwise None.

    A vocabulary is only offered where the present one spends a token on less than two characters: in English a
    learnt one costs about as much as CLIP's.
    """
    if cost.overflow <= _TOO_MANY_CUT:
        return None
    learn = "learn a compact vocabulary with vocabulary=8000, or " if cost.characters_per_token < _WASTEFUL else ""
    return (
        f"captions cost {cost.caption[0]} tokens (median) and two joined ones {cost.joint[0]}, the model reads "
        f"{cost.max_text_tokens}, and {cost.overflow:.0%} of the composites would have their captions shortened; "
        f"{learn}use shorter captions or a model configuration with a longer context_length."
    )
