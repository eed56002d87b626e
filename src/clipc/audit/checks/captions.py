"""Checks of single captions: useless ones, languages, and captions that are all alike."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from clipc.audit.caption_kinds import KINDS, caption_kind, caption_language
from clipc.audit.doctor_data import DistinctCaptions, DoctorData
from clipc.audit.doctor_finding import MAX_EXAMPLES, Example, Finding, Severity
from clipc.compose.arrays import Bools
from clipc.compose.captions.language import japanese

_CONSTANT: Final = 0.5
_TEMPLATE: Final = 0.8
_MIN_CAPTIONS: Final = 20
_MANY: Final = 0.5
_SOME: Final = 0.01
_SHORT_NOTE: Final = 0.05
_USELESS: Final = ("missing", "numbers", "file-name")


def bad_captions(data: DoctorData) -> Iterator[Finding]:
    """Captions from which nothing can be learnt, by :func:`~clipc.audit.caption_kinds.caption_kind`.

    Codes: ``caption-missing``, ``caption-numbers``, ``caption-file-name``, ``caption-markup``, ``caption-damaged`` and
    ``caption-short``. Pairs all of whose captions are missing, numbers or file names are left out of a cleaned list.
    Short captions are a finding from one in twenty on: names of things are short by nature.
    """
    captions = data.captions
    kinds = np.asarray([caption_kind(text) or "" for text in captions.texts], dtype=object)
    useless = np.isin(kinds, _USELESS)
    remove = captions.pairs_with(useless, all_captions=True) if useless.any() else np.zeros(0, np.int64)
    for kind in KINDS:
        has: Bools = kinds == kind
        count = int(captions.counts[has].sum())
        share = count / max(1, len(captions.ids))
        if count == 0 or (kind == "short" and share < _SHORT_NOTE):
            continue
        severity: Severity = "warning" if share >= _SOME or kind in _USELESS else "note"
        if kind in _USELESS and share >= _MANY:
            severity = "stop"
        if kind == "short":
            severity = "warning" if share >= _MANY else "note"
        of_kind = np.intersect1d(remove, captions.pairs_with(has)) if kind in _USELESS else remove[:0]
        values = {"pairs": len(captions.pairs_with(has))}
        yield Finding(f"caption-{kind}", severity, count, len(captions.ids), values, _commonest(captions, has), of_kind)


def _commonest(captions: DistinctCaptions, has: Bools) -> list[Example]:
    """The most frequent of some captions, each with the first pair that has it."""
    texts = np.flatnonzero(has)
    order = texts[np.argsort(-captions.counts[texts], kind="stable")][:MAX_EXAMPLES]
    return [Example((int(captions.first_owner[i]),), captions.texts[i], count=int(captions.counts[i])) for i in order]


def languages(data: DoctorData) -> Iterator[Finding]:
    """Captions in another language than most (``languages``)."""
    captions = data.captions
    names = np.asarray([caption_language(text) for text in captions.texts], dtype=object)
    counts = Counter[str]()
    for name in np.unique(names):
        counts[str(name)] = int(captions.counts[names == name].sum())
    most, _ = counts.most_common(1)[0]
    total = len(captions.ids)
    minority = total - counts[most]
    if minority:
        severity: Severity = "warning" if minority >= _SOME * total else "note"
        values = {"most": most, **{name: counts[name] for name in ("latin", "ja", "mixed", "other")}}
        yield Finding("languages", severity, minority, total, values, _commonest(captions, names != most))


def alike_captions(data: DoctorData) -> Iterator[Finding]:
    """Captions that are the same for all images (``constant``), or differ in a few words of one pattern (``template``).

    - ``class-captions``: all were made from class names, in the place of the others: that they repeat and have one
      pattern is then no fault of the data.
    - ``constant``: one caption is that of more than half of the pairs.
    - ``template``: four of five captions have the same three words (four characters in Japanese) at their beginning or
      end.
    """
    captions = data.captions
    total = len(captions.ids)
    if data.catalog.about.class_captions:
        values = {"distinct": len(captions.texts)}
        every = np.ones(len(captions.texts), dtype=np.bool_)
        yield Finding("class-captions", "note", total, total, values, _commonest(captions, every)[:5])
        return
    if total < _MIN_CAPTIONS:
        return
    commonest = int(captions.counts.argmax())
    share = captions.counts[commonest] / total
    if share > _CONSTANT:
        count = int(captions.counts[commonest])
        examples = _commonest(captions, np.arange(len(captions.texts)) == commonest)
        values = {"caption": captions.texts[commonest], "distinct": len(captions.texts)}
        yield Finding("constant", "stop", count, total, values, examples)
        return
    patterns = [_patterns(text) for text in captions.texts]
    counts = Counter[str]()
    for own, count in zip(patterns, captions.counts.tolist(), strict=True):
        for pattern in own:
            counts[pattern] += count
    pattern, count = counts.most_common(1)[0]
    if count >= _TEMPLATE * total and len(captions.texts) > 1:
        words = {word for text in captions.texts[:10_000] for word in re.findall(r"\w+", text.lower())}
        values = {"pattern": pattern, "words": len(words), "distinct": len(captions.texts)}
        has = np.asarray([pattern in own for own in patterns], dtype=np.bool_)
        yield Finding("template", "note", count, total, values, _commonest(captions, has)[:5])


def _patterns(text: str) -> tuple[str, str]:
    """The beginning and the end of a caption: three words, or four characters of a Japanese one."""
    if japanese(text):
        return f"{text[:4]}...", f"...{text[-4:]}"
    words = text.lower().split()
    return f"{' '.join(words[:3])} ...", f"... {' '.join(words[-3:])}"
