"""Caption vectors without a model: TF-IDF, then truncated SVD (latent semantic analysis)."""

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
_FLOAT32: Any = np.float32  # scikit-learn's stubs name float64 alone

# Scripts that are written without spaces, or (Hangul) that glue particles to their words.
_KANJI = r"\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA_AND_MORE = (
    r"\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\uac00-\ud7a3"
)
_UNSPACED = f"[{_KANJI}{_KANA_AND_MORE}]"
_RUNS = re.compile(rf"(?P<unspaced>{_UNSPACED}+)|(?P<word>(?:(?!{_UNSPACED})\w)+)")
_IS_KANJI = re.compile(f"[{_KANJI}]")


def caption_vectors(captions: Sequence[Sequence[str]], dims: int = 256, progress: Progress = silent) -> Float32s:
    """A semantic vector for each pair, from the words of all its captions.

    Terms are words and pairs of words, and in scripts without spaces runs of one (kanji only) to three characters; a
    caption may mix both. A term's weight is ``(1 + ln tf) * (1 + ln((1 + n) / (1 + df)))``, with ``tf`` its count in
    the pair and ``df`` the number of pairs that have it; terms of a single pair carry no similarity and are left
    out. The weights are projected on their first ``dims`` singular directions (Deerwester et al., "Indexing by latent
    semantic analysis", 1990), fitted on at most 100,000 pairs.

    Args:
        captions: The captions of each pair.
        dims: The largest number of dimensions.
        progress: Receives the number of pairs read.

    Returns:
        Unit vectors, ``float32``, shape (n, d) with d <= dims; the same for the same captions. A pair that shares no
        term with any other has a zero vector.
    """
    weights = _weights(captions, progress)
    if 0 in weights.shape:
        return np.zeros((len(captions), 1), np.float32)
    return unit_rows(_projected(weights, dims), _MIN_NORM)


def terms(text: str) -> Iterator[str]:
    """The terms of one caption, with repetitions.

    Args:
        text: Any text; NFKC and lower case are applied here, so ``ＣＴ`` and ``ct`` are one term.
    """
    before = ""
    for run in _RUNS.finditer(unicodedata.normalize("NFKC", text).lower()):
        if run.lastgroup == "word":
            word = run.group()
            yield word
            if before:
                yield f"{before} {word}"
            before = word
        else:
            before = ""
            yield from _pieces(run.group())


def _pieces(run: str) -> Iterator[str]:
    """One (kanji only: a single kana or jamo means nothing) to three characters; a run of one is always a term."""
    for start in range(len(run)):
        shortest = 1 if len(run) == 1 or _IS_KANJI.match(run, start) else 2
        yield from (run[start:end] for end in range(start + shortest, min(start + 3, len(run)) + 1))


def _weights(captions: Sequence[Sequence[str]], progress: Progress) -> Any:
    """TF-IDF with rows of length 1 (or 0): a sparse ``float32`` matrix of shape (n, terms that are kept)."""
    from sklearn.feature_extraction import FeatureHasher

    if not captions:
        return np.zeros((0, 0), np.float32)
    # Hashing needs no dictionary, which for a million captions would be larger than the matrix.
    hasher: Any = FeatureHasher(_FEATURES, input_type="string", alternate_sign=False, dtype=_FLOAT32)
    counts: Any = hasher.transform(_documents(captions, progress))
    pairs_with = np.bincount(counts.indices, minlength=_FEATURES)
    order = np.argsort(-pairs_with, kind="stable")[:_MAX_TERMS]
    term_ids = np.sort(order[pairs_with[order] >= 2])
    weights = counts[:, term_ids]
    idf = 1 + np.log((1 + len(captions)) / (1 + pairs_with[term_ids]))
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
    # An evenly spaced sample, since sources are often sorted by class.
    sample = weights if n <= _MAX_FIT_ROWS else weights[np.linspace(0, n - 1, _MAX_FIT_ROWS).astype(np.int64)]
    directions = randomized_svd(sample, min(dims, *sample.shape), random_state=0)[2]
    return np.asarray(weights @ directions.T, np.float32)


def unit_rows(vectors: Float32s, min_norm: float = 0.0) -> Float32s:
    """Rows scaled to length 1, in place; those not longer than ``min_norm`` become zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, lengths, out=vectors, where=lengths > min_norm)
    vectors[lengths[:, 0] <= min_norm] = 0
    return vectors
