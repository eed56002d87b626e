"""How much text a tokenizer takes, whoever made it."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch

from clipc.compose.captions.fit import fit
from clipc.compose.captions.joint import Wording
from clipc.errors import UserError

_ENDLESS: Final = 1_000_000
_COUNTS_ITS_OWN: Final = "num_special_tokens_to_add"
"""The method that tells transformers' tokenizers from others."""


def room(tokenizer: Any, length: int) -> int:
    """The largest number of a text's own tokens that all stay, beside those that a tokenizer adds.

    Args:
        tokenizer: One of open_clip's or of Hugging Face's.
        length: The context length, with the tokens that are added.
    """
    if getattr(tokenizer, "tokenizer_mode", None) == "clips":
        return length - 3  # open_clip adds a start, an end and a class token, whatever the wrapped one would.
    wrapped = tokenizer if hasattr(tokenizer, _COUNTS_ITS_OWN) else getattr(tokenizer, "tokenizer", None)
    return length - (2 if wrapped is None else wrapped.num_special_tokens_to_add())


@dataclass(frozen=True)
class Context:
    """A tokenizer seen as a limit for captions.

    Attributes:
        tokenizer: One of open_clip's, of Hugging Face's, or clipc's own; None where captions have no limit.
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
        if self._transformers and self.tokenizer.model_max_length > _ENDLESS:
            raise UserError(f"{name} knows no limit; set its model_max_length to the context length of the model.")

    @property
    def _transformers(self) -> bool:
        return hasattr(self.tokenizer, _COUNTS_ITS_OWN)

    @property
    def limit(self) -> int:
        """The largest number of tokens, without those that the tokenizer adds."""
        if self._transformers:
            return room(self.tokenizer, self.tokenizer.model_max_length)
        if hasattr(self.tokenizer, "room"):
            return self.tokenizer.room
        return room(self.tokenizer, self.tokenizer.context_length)

    def count(self, text: str) -> int:
        """The number of tokens of a text, without those that the tokenizer adds."""
        given = self.tokenizer
        wrapped = given if self._transformers else getattr(given, "tokenizer", None)
        if wrapped is not None:
            text = getattr(given, "clean_fn", str)(text)
            return len(wrapped(text, add_special_tokens=False)["input_ids"])
        return given.count(text) if hasattr(given, "count") else len(given.encode(text))

    def caption(self, first: str, second: str | None, wording: Wording, layout: int, swapped: bool) -> tuple[str, bool]:
        """The caption of one or two pairs, short enough that no part loses all its words.

        Args:
            first: The first pair's caption.
            second: The second pair's, or None.
            wording: How the two are joined.
            layout: The code of the layout they are shown in.
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
