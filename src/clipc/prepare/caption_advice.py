"""Advice where joint captions exceed the context length."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from clipc.compose.captions.joint import Wording
from clipc.compose.layouts.tiles import LEFT_RIGHT
from clipc.prepare.plan_statistics import quantiles
from clipc.render.batch import Tokenizer

_SAMPLE: Final = 2000
MAX_SHORTENED: Final = 0.05
"""Advice is given where more of the joint captions would be shortened."""

_MIN_CHARACTERS: Final = 2.0
"""With fewer characters per token a vocabulary does not fit a language (CLIP's has 4.5 in English, 0.5 in Japanese)."""


class CaptionLengths(NamedTuple):
    """The lengths of captions in tokens, without start and end.

    Attributes:
        single: The median of single captions.
        joint: The median of two joined captions.
        overflow: The share of joint captions that exceed the context and would be shortened, in [0, 1].
        characters: Characters per token.
    """

    single: int
    joint: int
    overflow: float
    characters: float

    @property
    def fits_language(self) -> bool:
        """Whether the vocabulary suits the captions' language."""
        return self.characters >= _MIN_CHARACTERS


def caption_lengths(captions: Sequence[str], tokenizer: Tokenizer) -> CaptionLengths:
    """The lengths of up to 2,000 of some captions, each alone and joined with another.

    Args:
        captions: One or more captions.
        tokenizer: The model's tokenizer.
    """
    sample = np.random.Generator(np.random.Philox(0)).permutation(len(captions))[:_SAMPLE]
    singles = [captions[int(i)] for i in sample]
    pairs = zip(singles, [*singles[1:], singles[0]], strict=True)
    single_counts = [tokenizer.count(text) for text in singles]
    joint_counts = [tokenizer.count(Wording().text(one, other, LEFT_RIGHT, False)) for one, other in pairs]
    overflow = sum(count > tokenizer.max_text_tokens for count in joint_counts) / len(joint_counts)
    characters = sum(map(len, singles)) / max(1, sum(single_counts))
    return CaptionLengths(quantiles(single_counts)[0], quantiles(joint_counts)[0], overflow, characters)


def caption_advice(captions: Sequence[str], tokenizer: Tokenizer) -> str | None:
    """Advice, as one sentence, if more than 5% of the joint captions would be shortened; otherwise None.

    A learnt vocabulary is suggested only if the present one has less than two characters per token: in English it would
    need about as many tokens as CLIP's.

    Args:
        captions: One or more captions, of which :func:`caption_lengths` counts the tokens.
        tokenizer: The model's tokenizer.
    """
    lengths = caption_lengths(captions, tokenizer)
    if lengths.overflow <= MAX_SHORTENED:
        return None
    learn = "" if lengths.fits_language else "learn a compact vocabulary with vocabulary=8000, or "
    return (
        f"captions cost {lengths.single} tokens (median) and two joined ones {lengths.joint}, the model reads "
        f"{tokenizer.max_text_tokens}, and {lengths.overflow:.0%} of the composites would have their captions "
        f"shortened; {learn}use shorter captions or a model configuration with a longer context_length."
    )
