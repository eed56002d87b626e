"""Attribute binding: for each image the model chooses between its caption and one with two attributes exchanged.

Both captions have the same words, so a model that reads them as a bag of words reaches 1/2. But red dogs are rare, so a
model that knows which attributes are common for which things can do better without the image.
:func:`score_without_image` measures how much.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clipc.evaluate.attributes.swap import bindings, swap
from clipc.evaluate.choices import score_choices, share
from clipc.evaluate.measurement import Measurement
from clipc.evaluate.retrieval import check_features
from clipc.evaluate.subject import Subject

MIN_CAPTIONS = 20
"""The fewest usable captions for which the share is reported; with fewer, its interval is too wide."""
MAX_TRAINING_IMAGES = 4000
"""The largest number of training images whose captions :func:`score_without_image` reads; this takes about a second."""
_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class Swaps:
    """The n captions of a set of images in which two attributes can be exchanged.

    Attributes:
        owner: The index of each caption's image, ``int64`` (n,), ascending.
        caption: The index of each caption among all captions, counted image by image, ``int64`` (n,).
        originals: The captions.
        swapped: The captions with two attributes exchanged.
    """

    owner: npt.NDArray[np.int64]
    caption: npt.NDArray[np.int64]
    originals: list[str]
    swapped: list[str]

    def context(self) -> dict[str, object]:
        """The numbers of items, images and distinct captions, and up to five examples; ready for JSON."""
        pairs = list(dict(zip(self.originals, self.swapped, strict=True)).items())
        step = max(1, len(pairs) // _EXAMPLES)
        return {
            "items": len(self.owner),
            "images": len(np.unique(self.owner)),
            "captions": len(pairs),
            "examples": [list(pair) for pair in pairs[::step][:_EXAMPLES]],
        }


def find_swaps(captions: Sequence[Sequence[str]]) -> Swaps:
    """Finds the captions in which two attributes can be exchanged; equal captions of an image count once.

    A caption is left out if its swapped caption is another caption of the same image, or makes a claim that some
    caption of the image makes too: if that names a red gear, a red gear is not wrong.

    Args:
        captions: The captions of each image.
    """
    rows: list[tuple[int, int, str, str]] = []
    total = 0
    for image, texts in enumerate(captions):
        indices = {text: total + i for i, text in reversed([*enumerate(texts)])}  # Of equal captions the first.
        swaps = {text: (index, swapped) for text, index in indices.items() if (swapped := swap(text))}
        total += len(texts)
        if not swaps:
            continue
        claims = frozenset[object]().union(*(bindings(text) for text in texts))
        normalised = {_normalise(text) for text in texts}
        for text, (index, swapped) in sorted(swaps.items(), key=lambda item: item[1][0]):
            if _normalise(swapped.caption) not in normalised and claims.isdisjoint(swapped.claims):
                rows.append((image, index, text, swapped.caption))
    owner, caption, originals, results = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Swaps(np.asarray(owner, np.int64), np.asarray(caption, np.int64), list(originals), list(results))


def score_swaps(swaps: Swaps, image: Tensor, text: Tensor, swapped: Tensor) -> npt.NDArray[np.float64]:
    """The scores of the choices, (n,): 1 if the image is nearer to its caption than to the swapped one, 1/2 for a tie.

    Args:
        swaps: The n usable captions.
        image: L2-normalised features of all images, float (N, D).
        text: L2-normalised features of all captions, float (M, D).
        swapped: L2-normalised features of the swapped captions, float (n, D).
    """
    images = image[torch.from_numpy(swaps.owner)]
    right = (images * text[torch.from_numpy(swaps.caption)]).sum(1)
    return score_choices(right, (images * swapped).sum(1))


def score_without_image(swaps: Swaps, captions: Iterable[str]) -> npt.NDArray[np.float64]:
    """The scores of choices without the image, by how often other captions bind an attribute to a noun.

    Args:
        swaps: The n usable captions.
        captions: Other captions, such as those of the training split.

    Returns:
        Float64 (n,): 1 if the sum of log(1 + count) over the two bindings is higher for the caption than for the
        swapped one, 0 if it is lower, 1/2 if both are equal.
    """
    counts = Counter(binding for caption in captions for binding in bindings(caption))

    def score(caption: str, other: str) -> float:
        return sum(math.log1p(counts[binding]) for binding in sorted(bindings(caption) - bindings(other)))

    pairs = zip(swaps.originals, swaps.swapped, strict=True)
    scores = torch.tensor([(score(a, b), score(b, a)) for a, b in pairs], dtype=torch.float64).reshape(-1, 2)
    return score_choices(scores[:, 0], scores[:, 1])


def measure_swaps(subject: Subject) -> Iterator[Measurement]:
    """Measures the share of usable captions to which their image is nearer, if there are enough of them."""
    measured, catalog = subject.catalog.split(subject.split), subject.catalog
    swaps = find_swaps([measured.captions(row) for row in range(len(measured))])
    facts = subject.context["swaps"] = swaps.context()
    if len(swaps.owner) < MIN_CAPTIONS:
        subject.context["not_measured"]["swaps"] = (
            f"{len(swaps.owner)} captions have two attributes that can be exchanged; {MIN_CAPTIONS} are needed"
        )
        return
    features = subject.encode_text(swaps.swapped)
    check_features(features)
    values = score_swaps(swaps, subject.embeddings.image, subject.embeddings.text, features)
    interval = share(values, swaps.owner)
    facts["interval"] = [interval.low, interval.high]
    if "train" in catalog.splits and subject.split != "train":
        train = catalog.split("train")
        rows = range(0, len(train), len(train) // MAX_TRAINING_IMAGES + 1)
        texts = (text for row in rows for text in train.captions(row))
        facts["blind"] = float(score_without_image(swaps, texts).mean())
    yield Measurement("swaps/top1", values, owner=swaps.owner, chance=0.5, interval=interval.ends)


def _normalise(text: str) -> str:
    """The words of a text in lower case, without punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))
