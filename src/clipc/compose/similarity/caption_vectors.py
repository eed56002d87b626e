"""Vectors of captions without a model: TF-IDF, then truncated SVD (latent semantic analysis)."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from clipc.compose.arrays import Float32s
from clipc.progress import Progress, silent

VERSION: Final = 1
"""Incremented whenever the vectors of the same captions change, to invalidate cached ones."""

_FEATURES = 1 << 20
_MAX_TERMS = 1 << 16
_MAX_FIT_ROWS = 100_000
_MIN_NORM = 1e-4
_FLOAT32: Any = np.float32  # scikit-learn's type stubs know float64 only

# Scripts that are written without spaces, and Hangul, which attaches particles to words.
_KANJI = r"\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA_AND_MORE = (
    r"\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\uac00-\ud7a3"
)
_NGRAM_SCRIPTS = f"[{_KANJI}{_KANA_AND_MORE}]"
_SEGMENTS = re.compile(rf"(?P<ngrams>{_NGRAM_SCRIPTS}+)|(?P<word>(?:(?!{_NGRAM_SCRIPTS})\w)+)")
_IS_KANJI = re.compile(f"[{_KANJI}]")


def caption_vectors(captions: Sequence[Sequence[str]], dims: int = 256, progress: Progress = silent) -> Float32s:
    """A semantic vector for each pair, from the words of all its captions.

    Terms are words and pairs of adjacent words. In scripts without spaces, and in Hangul, terms are n-grams of two or
    three characters, single kanji, and characters standing alone. A caption may mix scripts. The weight of a term is
    ``(1 + ln tf) * (1 + ln((1 + n) / (1 + df)))``, where ``tf`` is its count in the pair's captions and ``df`` the
    number of pairs that have it. Terms that occur in only one pair are dropped; the 65,536 commonest are kept. The
    weights are projected on their first ``dims`` singular directions (Deerwester et al., "Indexing by latent semantic
    analysis", 1990), which are fitted on at most 100,000 pairs.

    Args:
        captions: The captions of each pair.
        dims: The largest number of dimensions.
        progress: Receives the number of pairs whose captions are read.

    Returns:
        Unit vectors, ``float32``, shape (n, d) with d <= dims; the result is deterministic. A pair that shares no
        term with any other pair has a zero vector.
    """
    weights = _weights(captions, progress)
    if 0 in weights.shape:
        return np.zeros((len(captions), 1), np.float32)
    return unit_rows(_projected(weights, dims), _MIN_NORM)


def terms(text: str) -> Iterator[str]:
    """The terms of one caption, with repetitions.

    Args:
        text: Any text. It is normalised to NFKC and lower case, so ``ＣＴ`` and ``ct`` are one term.
    """
    before = ""
    for segment in _SEGMENTS.finditer(unicodedata.normalize("NFKC", text).lower()):
        if segment.lastgroup == "word":
            word = segment.group()
            yield word
            if before:
                yield f"{before} {word}"
            before = word
        else:
            before = ""
            yield from _ngrams(segment.group())


def _ngrams(text: str) -> Iterator[str]:
    """The n-grams of two or three characters, and single kanji; the only character of a ``text`` is always a term."""
    for start in range(len(text)):
        shortest = 1 if len(text) == 1 or _IS_KANJI.match(text, start) else 2
        yield from (text[start:end] for end in range(start + shortest, min(start + 3, len(text)) + 1))


def _weights(captions: Sequence[Sequence[str]], progress: Progress) -> Any:
    """TF-IDF: a sparse ``float32`` matrix of shape (n, kept terms), whose rows have length 1 or 0."""
    from sklearn.feature_extraction import FeatureHasher

    if not captions:
        return np.zeros((0, 0), np.float32)
    # Hashing needs no dictionary of terms, which would be larger than the matrix for a million captions.
    hasher: Any = FeatureHasher(_FEATURES, input_type="string", alternate_sign=False, dtype=_FLOAT32)
    counts: Any = hasher.transform(_documents(captions, progress))
    document_frequency = np.bincount(counts.indices, minlength=_FEATURES)
    order = np.argsort(-document_frequency, kind="stable")[:_MAX_TERMS]
    term_ids = np.sort(order[document_frequency[order] >= 2])
    weights = counts[:, term_ids]
    idf = 1 + np.log((1 + len(captions)) / (1 + document_frequency[term_ids]))
    weights.data = (1 + np.log(weights.data)) * idf.astype(np.float32)[weights.indices]
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    weights.data /= np.repeat(np.maximum(lengths, np.float32(1e-12)), np.diff(weights.indptr)).astype(np.float32)
    return weights


def _documents(captions: Sequence[Sequence[str]], progress: Progress) -> Iterator[list[str]]:
    for row, texts in enumerate(captions):
        if row % 10_000 == 0 and row:
            progress("captions read", row, len(captions))
        yield [term for text in texts for term in terms(text)]
    progress("captions read", len(captions), len(captions))


def _projected(weights: Any, dims: int) -> Float32s:
    if weights.shape[1] <= dims:
        return weights.toarray()
    from sklearn.utils.extmath import randomized_svd

    n = weights.shape[0]
    # The sample is evenly spaced, since sources are often sorted by class.
    sample = weights if n <= _MAX_FIT_ROWS else weights[np.linspace(0, n - 1, _MAX_FIT_ROWS).astype(np.int64)]
    directions = randomized_svd(sample, min(dims, *sample.shape), random_state=0)[2]
    return np.asarray(weights @ directions.T, np.float32)


def unit_rows(vectors: Float32s, min_norm: float = 0.0) -> Float32s:
    """Scales rows to length 1, in place; rows not longer than ``min_norm`` become zero. Returns the same array."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, lengths, out=vectors, where=lengths > min_norm)
    vectors[lengths[:, 0] <= min_norm] = 0
    return vectors
