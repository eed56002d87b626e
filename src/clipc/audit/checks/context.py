"""Checks of captions against the context length of the model."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import MAX_EXAMPLES, Example, Finding, Severity
from clipc.prepare.caption_advice import MAX_SHORTENED, caption_lengths

_MOST_COUNTED: Final = 50_000
_SERIOUS: Final = 0.05
_SAMPLE: Final = 20_000


def long_captions(data: DoctorData) -> Iterator[Finding]:
    """Captions that exceed the context, alone (``long-captions``) and joined in composites (``long-composites``).

    A caption of at most as many bytes as the context has tokens always fits, so only longer ones are counted; of more
    than 50,000 longer ones the longest are.
    """
    captions, limit = data.captions, data.tokenizer.max_text_tokens
    sizes = np.asarray([len(text.encode()) for text in captions.texts])
    candidates = np.flatnonzero(sizes > limit)
    candidates = candidates[np.argsort(-sizes[candidates], kind="stable")][:_MOST_COUNTED]
    tokens = np.asarray([data.tokenizer.count(captions.texts[i]) for i in candidates.tolist()], dtype=np.int64)
    over = tokens > limit
    total = len(captions.ids)
    if over.any():
        long = candidates[over][np.argsort(-tokens[over], kind="stable")]
        count = int(captions.counts[long].sum())
        severity: Severity = "warning" if count >= _SERIOUS * total else "note"
        examples = [
            Example((int(captions.first_owner[i]),), captions.texts[i], count=int(captions.counts[i]))
            for i in long[:MAX_EXAMPLES].tolist()
        ]
        values = {"limit": limit, "longest": int(tokens.max())}
        yield Finding("long-captions", severity, count, total, values, examples)
    train = captions.ids[data.train[captions.owners]]
    if not len(train):
        return
    # Evenly spaced, so that a source that is sorted is not judged by its beginning.
    sample = [captions.texts[i] for i in train[:: -(-len(train) // _SAMPLE)].tolist()]
    lengths = caption_lengths(sample, data.tokenizer)
    if lengths.overflow > MAX_SHORTENED:
        values = {
            "limit": limit,
            "single": lengths.single,
            "joint": lengths.joint,
            "fits_language": lengths.fits_language,
        }
        measured = min(2000, len(sample))
        yield Finding("long-composites", "warning", round(lengths.overflow * measured), measured, values)
