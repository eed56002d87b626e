"""How much text a tokenizer takes, whoever made it."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch

from clipc.compose.captions.fit import fit
from clipc.compose.captions.joint import Wording
from clipc.errors import UserError

_ENDLESS: Final = 1_000_000


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
        return hasattr(self.tokenizer, "num_special_tokens_to_add")

    @property
    def limit(self) -> int:
        """The largest number of tokens, without those that the tokenizer adds."""
        if self._transformers:
            return self.tokenizer.model_max_length - self.tokenizer.num_special_tokens_to_add()
        # Beside start and end, some of the tokenizers that open_clip wraps add a class token.
        return self.tokenizer.context_length - (3 if hasattr(self.tokenizer, "tokenizer") else 2)

    def count(self, text: str) -> int:
        """The number of tokens of a text, without those that the tokenizer adds."""
        given = self.tokenizer
        wrapped = given if self._transformers else getattr(given, "tokenizer", None)
        if wrapped is not None:
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
