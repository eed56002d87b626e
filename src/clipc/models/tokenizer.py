"""Tokenizers: open_clip's own, Hugging Face's (through open_clip), and those learnt from captions."""

from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from clipc.errors import UserError
from clipc.models.model_config import (
    HUB_PREFIX,
    LOCAL_DIR_PREFIX,
    Config,
    built_in_models,
    is_folder,
    model_config,
    model_folder,
    text_folder,
)
from clipc.render.context import max_text_tokens

LEARNT: Final = "learnt"
"""The tokenizer's name in the configuration of a model with a learnt vocabulary. For a model in a local folder any name
makes open_clip read the tokenizer from that folder; in a Hub repository it must be the repository's name."""


class Tokenizer:
    """Wraps an open_clip tokenizer, with the interface that renderers use (``render.batch.Tokenizer``) and a cache.

    Attributes:
        context_length: The largest number of tokens the model takes, start and end included.
        max_text_tokens: The largest number of text tokens in the context, without the special tokens.
        text_config: The keys of a model's ``text_cfg`` that this tokenizer requires; empty for a tokenizer that came
            with its model.
    """

    def __init__(self, tokenizer: Any, context_length: int, text_config: Config | None = None) -> None:
        """Wraps an open_clip tokenizer for a model of this context length."""
        self._tokenizer = tokenizer
        self.context_length = context_length
        self.max_text_tokens = max_text_tokens(tokenizer, context_length)
        self.text_config: Config = text_config or {}
        # Captions recur in every epoch, and CLIP's own tokenizer is slow, being plain Python.
        self._ids = lru_cache(maxsize=1 << 17)(self._encode)
        self._word_ids = lru_cache(maxsize=1 << 16)(self._encode_whole)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokenizer, (self._tokenizer, self.context_length, self.text_config)

    def _encode(self, text: str) -> tuple[int, ...]:
        # Joint captions are nearly always new, but their words are cached. CLIP's tokens never span white space, and
        # its cleaning does not change printable ASCII without HTML entities.
        if isinstance(self._tokenizer, SimpleTokenizer) and text.isascii() and text.isprintable() and "&" not in text:
            return tuple(chain.from_iterable(map(self._word_ids, text.split())))
        return self._encode_whole(text)

    def _encode_whole(self, text: str) -> tuple[int, ...]:
        if isinstance(self._tokenizer, SimpleTokenizer):
            return tuple(self._tokenizer.encode(text))
        cleaned = getattr(self._tokenizer, "clean_fn", str)(text)
        return tuple(self._tokenizer.tokenizer(cleaned, add_special_tokens=False)["input_ids"])

    def count(self, text: str) -> int:
        """The number of tokens of a text, without special tokens."""
        return len(self._ids(text))

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """Token ids, ``int64``, shape (len(texts), context_length)."""
        if not isinstance(self._tokenizer, SimpleTokenizer):
            return self._tokenizer(texts, context_length=self.context_length)
        packed = np.zeros((len(texts), self.context_length), dtype=np.int64)
        for row, text in zip(packed, texts, strict=True):
            ids = self._ids(text)[: self.max_text_tokens]
            row[: len(ids) + 2] = (self._tokenizer.sot_token_id, *ids, self._tokenizer.eot_token_id)
        return torch.from_numpy(packed)

    def save(self, folder: Path) -> None:
        """Writes the files that open_clip needs to load a tokenizer that is not CLIP's own."""
        if isinstance(self._tokenizer, HFTokenizer):
            self._tokenizer.save_pretrained(folder)
            # transformers 5 renamed the class; older versions know only the old name.
            file = folder / "tokenizer_config.json"
            file.write_text(file.read_text("utf-8").replace("TokenizersBackend", "PreTrainedTokenizerFast"), "utf-8")


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a model, without the model.

    Args:
        name: As for :func:`clipc.models.model_config.find_start`.
    """
    if name.startswith(HUB_PREFIX):
        return _tokenizer(name, model_config(name))
    if is_folder(name):
        return _tokenizer(f"{LOCAL_DIR_PREFIX}{model_folder(name)}", model_config(name))
    # open_clip finds some tokenizers by the model's name. Other configurations name one or use CLIP's own. A model of
    # ours is open_clip's too where a program has added our folder of configurations to it.
    if name in open_clip.list_models() and name not in built_in_models():
        return _tokenizer(name, model_config(name))
    config = model_config(name)
    if folder := text_folder(name, config):
        config = config | {"text_cfg": config["text_cfg"] | {"hf_tokenizer_name": str(folder)}}
    return _tokenizer("", config)


def local_tokenizer(folder: Path, context_length: int) -> Tokenizer:
    """A tokenizer in Hugging Face's format, for a model that will be built for it.

    Args:
        folder: The folder with ``tokenizer.json`` and the other files that ``AutoTokenizer`` reads; the padding token
            must have id 0 and the end token the largest id.
        context_length: The model's context length, start and end included.
    """
    tokenizer = HFTokenizer(str(folder), context_length=context_length)
    wrapped = tokenizer.tokenizer
    text_config = {"vocab_size": len(wrapped), "pad_id": wrapped.pad_token_id, "eos_id": wrapped.eos_token_id}
    return Tokenizer(tokenizer, context_length, {**text_config, "hf_tokenizer_name": LEARNT})


@lru_cache(maxsize=4)
def _clip_tokenizer(context_length: int) -> Tokenizer:
    """CLIP's own tokenizer; shared, since reading its vocabulary takes longer than building a small model."""
    return Tokenizer(SimpleTokenizer(context_length=context_length), context_length)


def _tokenizer(place: str, config: Config) -> Tokenizer:
    text_config = config["text_cfg"]
    length, name = text_config.get("context_length", 77), text_config.get("hf_tokenizer_name")
    # open_clip gives SigLIP models without this key a tokenizer of their own.
    if not name and not text_config.get("tokenizer_kwargs") and "siglip" not in place.lower():
        return _clip_tokenizer(length)
    try:
        if name and not place:
            mode, options = text_config.get("tokenizer_mode"), text_config.get("tokenizer_kwargs") or {}
            return Tokenizer(HFTokenizer(name, length, tokenizer_mode=mode, **options), length)
        return Tokenizer(open_clip.get_tokenizer(place, context_length=length), length)
    except Exception as error:
        # transformers raises errors of many types here (network, cache, missing packages).
        reason = next(filter(None, str(error).splitlines()), type(error).__name__).rstrip(".")
        if place.startswith(LOCAL_DIR_PREFIX):
            folder = place.removeprefix(LOCAL_DIR_PREFIX)
            raise UserError(f"the tokenizer in {folder} cannot be read: {reason}.") from error
        raise UserError(
            f"the tokenizer {name or place!r} cannot be loaded ({reason}); connect to the network once so that it is "
            "cached, or name a model with CLIP's own tokenizer."
        ) from error
