"""A compact vocabulary, learnt from the training captions.

CLIP's own vocabulary is English and needs about two tokens for a Japanese character, so that two joined captions
exceed the context length. A vocabulary of the captions' own words needs about one token for a word.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PADDING: Final = "<|padding|>"
UNKNOWN: Final = "<|unknown|>"
START: Final = "<|start|>"
END: Final = "<|end|>"

_WORD_START: Final = "\u2581"
"""Stands before each word of a script with spaces, as in SentencePiece."""
_LONGEST_TOKEN: Final = 16

_HIRAGANA: Final = "\u3041-\u309f"
_KATAKANA: Final = "\u30a1-\u30fa\u30fc-\u30ff"
_KANJI: Final = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_SPACED_WORD: Final = rf"(^|\s+)(?=[^\s\p{{P}}\p{{S}}{_HIRAGANA}{_KATAKANA}{_KANJI}])"
_JAPANESE_WORD: Final = (
    rf"[{_KATAKANA}]+|[{_KANJI}]+(?=[のがをにはでとへも](?![{_HIRAGANA}]))|[{_KANJI}]+[{_HIRAGANA}]*|[{_HIRAGANA}]+"
)
"""Katakana, kanji with the hiragana after them, or hiragana; a lone particle after kanji is a word of its own."""


def learn_vocabulary(captions: Iterable[str], size: int = 8000) -> Tokenizer:
    """A byte-pair vocabulary (Sennrich et al., arXiv 1508.07909) of the words of some captions.

    Text is NFKC-normalised and lower-cased. Merges stay inside words, so a token never spans two words; Japanese words
    are separated by script. Unknown characters become a special token, so any text can be encoded. Padding has id 0 and
    the end token the largest id, by which open_clip's text towers find it.

    Args:
        captions: The training captions, and no others.
        size: The largest number of tokens, the four special ones included. There are fewer if the captions have too
            few words; pairs of tokens that occur only once are not merged.

    Returns:
        The tokenizer, the same for the same captions.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(_SPACED_WORD), _WORD_START)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORD_START, "merged_with_next"),
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(_JAPANESE_WORD), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_WORD_START, " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1,  # The end token comes last.
        special_tokens=[PADDING, UNKNOWN, START],
        initial_alphabet=[_WORD_START, *"abcdefghijklmnopqrstuvwxyz0123456789"],
        limit_alphabet=size // 2,
        min_frequency=2,
        max_token_length=_LONGEST_TOKEN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.add_special_tokens([AddedToken(END, special=True)])
    ends = [(token, tokenizer.token_to_id(token)) for token in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return tokenizer


def save_vocabulary(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes a learnt vocabulary in Hugging Face's format, which open_clip reads through ``AutoTokenizer``.

    A new model loads its tokenizer from this folder; :meth:`clipc.models.tokenizer.Tokenizer.save` then writes the
    tokenizer into a run.
    """
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": PADDING, "unk_token": UNKNOWN, "bos_token": START, "eos_token": END}
    # The text of a special token inside a caption must not become that token.
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "split_special_tokens": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), "utf-8")
