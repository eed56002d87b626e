"""The context length of a tokenizer, whether open_clip's, Hugging Face's or clipc's."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch

from clipc.compose.captions.fit import fit
from clipc.compose.captions.joint import Wording
from clipc.errors import UserError

_NO_LIMIT: Final = 1_000_000
_COUNTS_ITS_OWN: Final = "num_special_tokens_to_add"
"""The method that only tokenizers of transformers have."""


def max_text_tokens(tokenizer: Any, length: int) -> int:
    """The largest number of text tokens in a context, without the special tokens that the tokenizer adds.

    Args:
        tokenizer: A tokenizer of open_clip or Hugging Face.
        length: The context length, special tokens included.
    """
    if getattr(tokenizer, "tokenizer_mode", None) == "clips":
        # open_clip adds a start, an end and a class token, whatever the tokenizer that it wraps adds.
        return length - 3
    wrapped = tokenizer if hasattr(tokenizer, _COUNTS_ITS_OWN) else getattr(tokenizer, "tokenizer", None)
    return length - (2 if wrapped is None else wrapped.num_special_tokens_to_add())


@dataclass(frozen=True)
class Context:
    """The token limit that a tokenizer sets for captions.

    Attributes:
        tokenizer: A tokenizer of open_clip, Hugging Face or clipc; None if captions have no limit.
    """

    tokenizer: Any

    def __post_init__(self) -> None:
        if self.tokenizer is None:
            return
        name = type(self.tokenizer).__name__
        if not (self._transformers or hasattr(self.tokenizer, "context_length")):
            raise UserError(
                f"{name} is no tokenizer whose limit is known; give one from open_clip.get_tokenizer or "
                "transformers, or none, and tokenize the captions yourself."
            )
        if self._transformers and self.tokenizer.model_max_length > _NO_LIMIT:
            raise UserError(f"{name} knows no limit; set its model_max_length to the context length of the model.")

    @property
    def _transformers(self) -> bool:
        return hasattr(self.tokenizer, _COUNTS_ITS_OWN)

    @property
    def limit(self) -> int:
        """The largest number of tokens, without special tokens."""
        if self._transformers:
            return max_text_tokens(self.tokenizer, self.tokenizer.model_max_length)
        if hasattr(self.tokenizer, "max_text_tokens"):
            return self.tokenizer.max_text_tokens
        return max_text_tokens(self.tokenizer, self.tokenizer.context_length)

    def count(self, text: str) -> int:
        """The number of tokens of a text, without special tokens."""
        tokenizer = self.tokenizer
        wrapped = tokenizer if self._transformers else getattr(tokenizer, "tokenizer", None)
        if wrapped is not None:
            text = getattr(tokenizer, "clean_fn", str)(text)
            return len(wrapped(text, add_special_tokens=False)["input_ids"])
        return tokenizer.count(text) if hasattr(tokenizer, "count") else len(tokenizer.encode(text))

    def caption(self, first: str, second: str | None, wording: Wording, layout: int, swapped: bool) -> tuple[str, bool]:
        """The caption of one or two pairs, shortened to the limit so that both parts keep some words.

        Args:
            first: The first pair's caption.
            second: The second pair's, or None.
            wording: How the two are joined.
            layout: The code of the composite's layout.
            swapped: The drawn order of the captions.

        Returns:
            The caption, and whether anything was cut from it.
        """
        joined = partial(wording.text, layout=layout, swapped=swapped)
        if self.tokenizer is None:
            return (first if second is None else joined(first, second)), False
        return fit(first, second, joined, self.count, self.limit)

    def tokens(self, text: str) -> torch.Tensor:
        """The ids of a text, padded, ``int64``, shape (context length,)."""
        if self._transformers:
            return self.tokenizer(text, padding="max_length", truncation=True, return_tensors="pt")["input_ids"][0]
        return self.tokenizer([text])[0]
