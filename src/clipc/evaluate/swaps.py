"""Does a model know which thing has which attribute? An image chooses between its caption and one with two exchanged.

Both captions hold the same words, so a model that reads them as a bag of words is at 1/2. But red dogs are rare, so one
that knows which attributes go with which things can do better without the image: :func:`blind` tells how much.
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

LEAST = 20
"""With fewer usable captions the share is not reported: its interval would span nearly everything."""
BLIND = 4000
"""So many training images at most have their captions read to tell what words alone reach; about a second's work."""
_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class Swaps:
    """The usable captions of a set of images.

    Attributes:
        owner: The image of each, ``int64`` (n,), ascending.
        caption: Its number among all captions, counted image by image, ``int64`` (n,).
        originals: The captions.
        swapped: The same with two attributes in each other's place.
    """

    owner: npt.NDArray[np.int64]
    caption: npt.NDArray[np.int64]
    originals: list[str]
    swapped: list[str]

    def context(self) -> dict[str, object]:
        """How many there are, and up to five examples; ready for JSON."""
        pairs = list(dict(zip(self.originals, self.swapped, strict=True)).items())
        step = max(1, len(pairs) // _EXAMPLES)
        return {
            "items": len(self.owner),
            "images": len(np.unique(self.owner)),
            "captions": len(pairs),
            "examples": [list(pair) for pair in pairs[::step][:_EXAMPLES]],
        }


def usable(captions: Sequence[Sequence[str]]) -> Swaps:
    """Finds the captions whose attributes can be exchanged, each sentence once an image.

    Left out are those whose swapped caption is another caption of the same image, or claims anything that
    another caption of the image says too (where that one names a red gear, a red gear is not wrong).

    Args:
        captions: Each image's captions.
    """
    rows: list[tuple[int, int, str, str]] = []
    first = 0
    for image, texts in enumerate(captions):
        swaps = {text: (first + i, swapped) for i, text in reversed([*enumerate(texts)]) if (swapped := swap(text))}
        first += len(texts)
        if not swaps:
            continue
        claims = frozenset[object]().union(*(bindings(text) for text in texts))
        plain = {_plain(text) for text in texts}
        for text, (number, swapped) in sorted(swaps.items(), key=lambda item: item[1][0]):
            if _plain(swapped.caption) not in plain and claims.isdisjoint(swapped.claims):
                rows.append((image, number, text, swapped.caption))
    owner, number, originals, results = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Swaps(np.asarray(owner, np.int64), np.asarray(number, np.int64), list(originals), list(results))


def nearer(swaps: Swaps, image: Tensor, text: Tensor, swapped: Tensor) -> npt.NDArray[np.float64]:
    """For each usable caption whether its image is nearer to it than to the swapped one: 1, 0, or 1/2 for a tie.

    Args:
        swaps: The usable captions, n of them.
        image: L2-normalised features of all images, float (N, D).
        text: The same of all captions, (M, D).
        swapped: The same of the swapped captions, (n, D).
    """
    images = image[torch.from_numpy(swaps.owner)]
    right = (images * text[torch.from_numpy(swaps.caption)]).sum(1)
    return score_choices(right, (images * swapped).sum(1))


def blind(swaps: Swaps, captions: Iterable[str]) -> npt.NDArray[np.float64]:
    """The same choice without the image: for the pairings of attribute and noun that other captions hold more often.

    Args:
        swaps: The usable captions, n of them.
        captions: Other captions, such as those for training.

    Returns:
        Float (n,): 1 where the sum of log(1 + count) over the two pairings is higher for the caption than for the
        swapped one, 0 where it is lower, 1/2 where they are equal.
    """
    counts = Counter(binding for caption in captions for binding in bindings(caption))

    def score(caption: str, other: str) -> float:
        return sum(math.log1p(counts[binding]) for binding in sorted(bindings(caption) - bindings(other)))

    pairs = zip(swaps.originals, swaps.swapped, strict=True)
    scores = torch.tensor([(score(a, b), score(b, a)) for a, b in pairs], dtype=torch.float64).reshape(-1, 2)
    return score_choices(scores[:, 0], scores[:, 1])


def measure_swaps(subject: Subject) -> Iterator[Measurement]:
    """The share of usable captions that their image prefers to the swapped ones, if there are :data:`LEAST`."""
    measured, catalog = subject.catalog.split(subject.split), subject.catalog
    swaps = usable([measured.captions(row) for row in range(len(measured))])
    facts = subject.context["swaps"] = swaps.context()
    if len(swaps.owner) < LEAST:
        subject.context["not_measured"]["swaps"] = (
            f"{len(swaps.owner)} captions have two attributes that can be exchanged; {LEAST} are needed"
        )
        return
    features = subject.encode_text(swaps.swapped)
    check_features(features)
    values = nearer(swaps, subject.embeddings.image, subject.embeddings.text, features)
    interval = share(values, swaps.owner)
    facts["interval"] = [interval.low, interval.high]
    if "train" in catalog.splits and subject.split != "train":
        train = catalog.split("train")
        rows = range(0, len(train), len(train) // BLIND + 1)
        facts["blind"] = float(blind(swaps, (text for row in rows for text in train.captions(row))).mean())
    yield Measurement("swaps/top1", values, owner=swaps.owner, chance=0.5, interval=interval.ends)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
