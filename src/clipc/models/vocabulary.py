"""A compact vocabulary, learnt from the training captions.

CLIP's own vocabulary is of English: it spends about two tokens on a Japanese character, so that two joined
captions outgrow the context. A vocabulary of the captions' own words spends about one token on a word.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from clipc.catalog import Catalog
from clipc.compose.captions.joint import Wording
from clipc.compose.layouts.tiles import LEFT_RIGHT
from clipc.models.model_config import model_config
from clipc.models.tokenizer import Tokenizer as ModelTokenizer
from clipc.models.tokenizer import load_tokenizer, local_tokenizer
from clipc.prepare.plan_statistics import spread
from clipc.recipe.recipe import Recipe
from clipc.render.batch import Tokenizer as Counting

PADDING: Final = "<|padding|>"
UNKNOWN: Final = "<|unknown|>"
START: Final = "<|start|>"
END: Final = "<|end|>"

_MARK: Final = "\u2581"
"""Stands before each word of a script with spaces, as in SentencePiece."""
_LONGEST_TOKEN: Final = 16
_SAMPLE: Final = 2000
_TOO_MANY_CUT: Final = 0.05
_WASTEFUL: Final = 2.0
"""Characters a token below which a vocabulary knows little of a language (CLIP's: 4.5 in English, 0.5 in Japanese)."""

_HIRAGANA: Final = "\u3041-\u309f"
_KATAKANA: Final = "\u30a1-\u30fa\u30fc-\u30ff"
_KANJI: Final = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_SPACED_WORD: Final = rf"(^|\s+)(?=[^\s\p{{P}}\p{{S}}{_HIRAGANA}{_KATAKANA}{_KANJI}])"
_JAPANESE_WORD: Final = (
    rf"[{_KATAKANA}]+|[{_KANJI}]+(?=[のがをにはでとへも](?![{_HIRAGANA}]))|[{_KANJI}]+[{_HIRAGANA}]*|[{_HIRAGANA}]+"
)
"""Katakana, and kanji with what hiragana follows them, but a particle that stands alone is a word of its own."""


def learn_vocabulary(captions: Iterable[str], size: int = 8000) -> Tokenizer:
    """A byte-pair vocabulary (Sennrich et al., arXiv 1508.07909) of the words of some captions.

    Text is NFKC-normalised and lower-cased. Merges stay inside words, so that a token never spans two of
    them; Japanese words are told by their script. Characters that the captions do not have become one unknown
    token, so no text fails. Padding is 0 and the end token has the largest id: open_clip's text towers find
    it there.

    Args:
        captions: The training captions, and no others.
        size: The largest number of tokens, the four special ones included. There are fewer where the
            captions do not hold so many words; what occurs once is not learnt.

    Returns:
        The tokenizer, the same for the same captions.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(_SPACED_WORD), _MARK)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_MARK, "merged_with_next"),
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(_JAPANESE_WORD), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace(_MARK, " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1,  # The end token comes last.
        special_tokens=[PADDING, UNKNOWN, START],
        initial_alphabet=[_MARK, *"abcdefghijklmnopqrstuvwxyz0123456789"],
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
    """Writes what open_clip, through Hugging Face's ``AutoTokenizer``, needs to read a learnt vocabulary."""
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": PADDING, "unk_token": UNKNOWN, "bos_token": START, "eos_token": END}
    # A caption that happens to hold the text of a special token must not end there.
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "split_special_tokens": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), "utf-8")


def tokenizer_for(recipe: Recipe, catalog: Catalog) -> ModelTokenizer:
    """The tokenizer that a run of this recipe on these data reads captions with.

    Args:
        recipe: Its ``vocabulary`` says whether one is learnt; otherwise the tokenizer is its model's own.
        catalog: The data; only the training split's captions are looked at.
    """
    if recipe.vocabulary is None:
        return load_tokenizer(recipe.model)
    pairs = catalog.split("train")
    captions = (caption for row in range(len(pairs)) for caption in pairs.captions(row))
    length = model_config(recipe.model)["text_cfg"].get("context_length", 77)
    with TemporaryDirectory() as folder:
        save_vocabulary(learn_vocabulary(captions, recipe.vocabulary), Path(folder))
        return local_tokenizer(Path(folder), length)


@dataclass(frozen=True)
class TokenCost:
    """What captions cost a model, in tokens without start and end.

    Attributes:
        room: The largest number of tokens that the model reads.
        caption: Median, 95th percentile and largest number of tokens of a caption.
        joint: The same of two captions joined.
        overflow: Share of the joint captions that are longer than the room, in [0, 1].
        characters_per_token: Of the captions, on average.
    """

    room: int
    caption: tuple[int, int, int]
    joint: tuple[int, int, int]
    overflow: float
    characters_per_token: float


def token_cost(captions: Sequence[str], tokenizer: Counting) -> TokenCost:
    """What captions cost, alone and joined, measured on up to 2,000 of them.

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
        room=tokenizer.room,
        caption=spread(alone),
        joint=spread(together),
        overflow=sum(count > tokenizer.room for count in together) / len(together),
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
        f"{cost.room}, and {cost.overflow:.0%} of the composites would have their captions shortened; "
        f"{learn}use shorter captions or a model configuration with a longer context_length."
    )
