"""Advice where joint captions exceed the context length."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from clipc.compose.captions.joint import Wording
from clipc.compose.layouts.tiles import LEFT_RIGHT
from clipc.prepare.plan_statistics import quantiles
from clipc.render.batch import Tokenizer

_SAMPLE: Final = 2000
_MAX_SHORTENED: Final = 0.05
_MIN_CHARACTERS: Final = 2.0
"""With fewer characters per token a vocabulary does not fit a language (CLIP's has 4.5 in English, 0.5 in Japanese)."""


def caption_advice(captions: Sequence[str], tokenizer: Tokenizer) -> str | None:
    """Advice, as one sentence, if more than 5% of the joint captions would be shortened; otherwise None.

    Tokens are counted without start and end, in up to 2,000 of the captions, each joined with another. A learnt
    vocabulary is suggested only if the present one has less than two characters per token: in English it would need
    about as many tokens as CLIP's.

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
    if overflow <= _MAX_SHORTENED:
        return None
    single, joint = quantiles(single_counts)[0], quantiles(joint_counts)[0]
    characters = sum(map(len, singles)) / max(1, sum(single_counts))
    learn = "learn a compact vocabulary with vocabulary=8000, or " if characters < _MIN_CHARACTERS else ""
    return (
        f"captions cost {single} tokens (median) and two joined ones {joint}, the model reads "
        f"{tokenizer.max_text_tokens}, and {overflow:.0%} of the composites would have their captions shortened; "
        f"{learn}use shorter captions or a model configuration with a longer context_length."
    )
