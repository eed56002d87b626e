"""Checks of captions that occur more than once: within training, and in training and the test split.

Captions that were all made from class names repeat by their nature, which is one note elsewhere (``class-captions``).
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from clipc.audit.caption_kinds import bare
from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import MAX_EXAMPLES, Example, Finding, Severity
from clipc.audit.false_negatives import false_negative_rate
from clipc.compose.arrays import Int64s
from clipc.compose.similarity.caption_vectors import terms

_FEW_REPEATS: Final = 0.02
_OFTEN: Final = 100
_MOSTLY: Final = 0.5
_FALSE_NEGATIVES: Final = 0.5
_LEAKED: Final = 0.2
_QUERIES: Final = 500
_TRAINING_TEXTS: Final = 50_000
_NEARLY: Final = 0.8
_AT_ONCE: Final = 50


def repeated_captions(data: DoctorData) -> Iterator[Finding]:
    """Captions that many training pairs share (``repeated-captions``), and the false negatives that they make.

    It is a finding where one caption in fifty is a repetition, or one sentence occurs a hundred times.
    """
    captions, train = data.captions, data.train
    ids = captions.ids[train[captions.owners]]
    if not len(ids) or data.catalog.about.class_captions:
        return
    counts = np.bincount(ids, minlength=len(captions.texts))
    repeats = int(len(ids) - (counts > 0).sum())
    most = int(counts.max())
    if repeats < _FEW_REPEATS * len(ids) and most < _OFTEN:
        return
    rate, batch = false_negative_rate(captions, train), data.recipe.batch_size
    each = (min(batch, int(train.sum())) - 1) * rate
    values = {
        "distinct": int((counts > 0).sum()),
        "most": most,
        "caption": captions.texts[int(counts.argmax())],
        "batch": batch,
        "false_negatives": round(each, 3),
        "in_batch": round(each * batch, 1),
        "masked": data.recipe.mask_false_negatives,
    }
    order = np.argsort(-counts, kind="stable")[:MAX_EXAMPLES]
    examples = [
        Example((int(captions.first_owner[i]),), captions.texts[i], count=int(counts[i]))
        for i in order
        if counts[i] > 1
    ]
    severity: Severity = "warning" if each >= _FALSE_NEGATIVES or repeats >= _MOSTLY * len(ids) else "note"
    yield Finding("repeated-captions", severity, repeats, len(ids), values, examples)


def leaked_captions(data: DoctorData) -> Iterator[Finding]:
    """Captions of the test split that stand in training too (``leaked-captions``).

    Word for word means without regard to case and punctuation. Nearly the same shares four fifths of its words with a
    training caption (Jaccard's index of the sets of words, or of groups of characters in Japanese); it is looked for in
    a sample of 500 test captions and 50,000 training captions, so there may be more.
    """
    captions = data.captions
    split = "test" if (data.splits == "test").any() else "val"
    in_train, in_test = data.train[captions.owners], (data.splits == split)[captions.owners]
    if not in_train.any() or not in_test.any() or data.catalog.about.class_captions:
        return
    texts = [bare(text) or text for text in captions.texts]
    train_ids, test_ids = np.unique(captions.ids[in_train]), np.unique(captions.ids[in_test])
    training_texts: dict[str, int] = {texts[i]: int(i) for i in train_ids[::-1].tolist()}
    verbatim = np.zeros(len(texts), dtype=np.bool_)
    verbatim[test_ids] = [texts[i] in training_texts for i in test_ids.tolist()]
    count, total = int(verbatim[captions.ids[in_test]].sum()), int(in_test.sum())
    near = _near_texts(texts, train_ids, test_ids[~verbatim[test_ids]])
    rest = int((~verbatim[test_ids]).sum())
    share_near = len(near) / max(1, min(_QUERIES, rest)) * (total - count) / total
    if count < _FEW_REPEATS * total and share_near < _LEAKED:
        return
    often = np.bincount(captions.ids[in_test], minlength=len(texts))
    order = np.argsort(-np.where(verbatim, often, 0), kind="stable")[:MAX_EXAMPLES]
    examples = [
        Example(_two(data, training_texts[texts[i]], i, split), captions.texts[i], count=int(often[i]))
        for i in order.tolist()
        if verbatim[i]
    ]
    values: dict[str, Any] = {"split": split, "near": round(share_near, 4)}
    values["near_pair"] = [captions.texts[i] for i in near[0]] if near else None
    severity: Severity = "warning" if count >= _LEAKED * total else "note"
    yield Finding("leaked-captions", severity, count, total, values, examples)


def _two(data: DoctorData, trained: int, tested: int, split: str) -> tuple[int, int]:
    """A training pair with the first caption, and a test pair with the second."""
    ids, owners = data.captions.ids, data.captions.owners
    first = owners[(ids == trained) & data.train[owners]]
    second = owners[(ids == tested) & (data.splits == split)[owners]]
    return int(first[0]), int(second[0])


def _near_texts(texts: list[str], train_ids: Int64s, test_ids: Int64s) -> list[tuple[int, int]]:
    """For each test text that has one, itself and the training text that shares most words with it."""
    if not len(test_ids):
        return []
    from sklearn.feature_extraction import FeatureHasher

    queries, base = (
        ids[np.linspace(0, len(ids) - 1, min(most, len(ids))).astype(np.int64)]
        for ids, most in ((test_ids, _QUERIES), (train_ids, _TRAINING_TEXTS))
    )
    hasher: Any = FeatureHasher(1 << 20, input_type="string", alternate_sign=False)

    def words(ids: Int64s) -> Any:
        # Single words and n-grams: the terms without a space.
        matrix = hasher.transform([{term for term in terms(texts[i]) if " " not in term} for i in ids.tolist()])
        matrix.data[:] = 1
        return matrix

    asked, trained = words(queries), words(base).T.tocsr()
    sizes, base_sizes = (np.asarray(m.sum(axis=axis)).ravel() for m, axis in ((asked, 1), (trained, 0)))
    near: list[tuple[int, int]] = []
    for start in range(0, len(queries), _AT_ONCE):
        shared: Any = (asked[start : start + _AT_ONCE] @ trained).tocsr()
        for row in range(shared.shape[0]):
            part = slice(shared.indptr[row], shared.indptr[row + 1])
            columns, common = shared.indices[part], shared.data[part]
            index = common / (sizes[start + row] + base_sizes[columns] - common)
            if len(index) and index.max() >= _NEARLY:
                near.append((int(queries[start + row]), int(base[columns[index.argmax()]])))
    return near
