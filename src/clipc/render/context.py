"""The context length of tokenizers of open_clip, Hugging Face and clipc."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch

from clipc.compose.captions.fit import fit
from clipc.compose.captions.joint import Wording
from clipc.errors import UserError

_NO_LIMIT: Final = 1_000_000
"""transformers sets a larger ``model_max_length`` if it knows no limit."""
_TRANSFORMERS_METHOD: Final = "num_special_tokens_to_add"
"""A method that only tokenizers of transformers have."""


def max_text_tokens(tokenizer: Any, length: int) -> int:
    """The largest number of text tokens in a context, without special tokens.

    Args:
        tokenizer: A tokenizer of open_clip or Hugging Face.
        length: The context length, special tokens included.
    """
    if getattr(tokenizer, "tokenizer_mode", None) == "clips":
        # In this mode open_clip adds a start, an end and a class token, whatever the wrapped tokenizer would add.
        return length - 3
    wrapped = tokenizer if hasattr(tokenizer, _TRANSFORMERS_METHOD) else getattr(tokenizer, "tokenizer", None)
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
        if not (self._of_transformers or hasattr(self.tokenizer, "context_length")):
            raise UserError(
                f"{name} is no tokenizer with a known limit; pass one from open_clip.get_tokenizer or "
                "transformers, or None, and tokenize the captions yourself."
            )
        if self._of_transformers and self.tokenizer.model_max_length > _NO_LIMIT:
            raise UserError(f"{name} has no limit; set its model_max_length to the context length of the model.")

    @property
    def _of_transformers(self) -> bool:
        return hasattr(self.tokenizer, _TRANSFORMERS_METHOD)

    @property
    def limit(self) -> int:
        """The largest number of tokens, without special tokens."""
        if self._of_transformers:
            return max_text_tokens(self.tokenizer, self.tokenizer.model_max_length)
        if hasattr(self.tokenizer, "max_text_tokens"):
            return self.tokenizer.max_text_tokens
        return max_text_tokens(self.tokenizer, self.tokenizer.context_length)

    def count(self, text: str) -> int:
        """The number of tokens of a text, without special tokens."""
        tokenizer = self.tokenizer
        wrapped = tokenizer if self._of_transformers else getattr(tokenizer, "tokenizer", None)
        if wrapped is not None:
            text = getattr(tokenizer, "clean_fn", str)(text)
            return len(wrapped(text, add_special_tokens=False)["input_ids"])
        return tokenizer.count(text) if hasattr(tokenizer, "count") else len(tokenizer.encode(text))

    def caption(self, first: str, second: str | None, wording: Wording, layout: int, swapped: bool) -> tuple[str, bool]:
        """The caption of one or two pairs, shortened to the limit; of two captions both keep some words.

        Args:
            first: The first pair's caption.
            second: The second pair's caption, or None.
            wording: How the two are joined.
            layout: The code of the composite's layout.
            swapped: The drawn order of the captions, as for :meth:`Wording.text`.

        Returns:
            The caption, and whether it was shortened.
        """
        joined = partial(wording.text, shape_index=layout, swapped=swapped)
        if self.tokenizer is None:
            return (first if second is None else joined(first, second)), False
        return fit(first, second, joined, self.count, self.limit)

    def tokens(self, text: str) -> torch.Tensor:
        """The ids of a text, padded, ``int64``, shape (context length,)."""
        if self._of_transformers:
            return self.tokenizer(text, padding="max_length", truncation=True, return_tensors="pt")["input_ids"][0]
        return self.tokenizer([text])[0]
