"""Image-to-text and text-to-image retrieval where an image may have several captions."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clipc.errors import UserError
from clipc.evaluate.measurement import RANKS, Measurement
from clipc.evaluate.ranks import TIE, Ranks, hit_by_chance
from clipc.evaluate.subject import Subject

AT = (1, 5, 10)
"""The k of recall@k."""

MAIN = 10
"""The k of the recalls that a study tests."""


@dataclass(frozen=True, eq=False)
class Retrieval:
    """The retrieval ranks of N images and M captions.

    Attributes:
        image_to_text: For each image, the rank of its best right caption among all captions (N queries).
        text_to_image: For each caption, the rank of its best right image among all images (M queries).
        owner: The image that each caption belongs to, ``int64`` (M,).
        chance: The recalls that a random ranking would reach on average, by the names of :meth:`items`.
    """

    image_to_text: Ranks
    text_to_image: Ranks
    owner: npt.NDArray[np.int64]
    chance: dict[str, float]

    def items(self) -> dict[str, npt.NDArray[np.float64]]:
        """For recall@1, @5 and @10 each way and ``mean_recall``, the mean of the six, the values whose mean it is.

        Recalls have one value an image or caption. ``mean_recall`` has one an image: its captions' hits are added up,
        so that the values' mean is the metric.
        """
        images, texts = len(self.image_to_text.before), len(self.owner)
        values = {f"image_to_text/recall@{k}": self.image_to_text.hit(k) for k in AT}
        joint = np.sum(list(values.values()), axis=0)
        for k in AT:
            hits = values[f"text_to_image/recall@{k}"] = self.text_to_image.hit(k)
            joint += np.bincount(self.owner, hits, images) * images / texts
        values["mean_recall"] = joint / (2 * len(AT))
        return values

    def measurements(self, prefix: str, *, default_main: bool) -> Iterator[Measurement]:
        """The recalls and the median rank each way.

        Args:
            prefix: What the metrics' names begin with.
            default_main: Whether recall@:data:`MAIN` each way is main where a study names no main metrics.
        """
        for name, values in self.items().items():
            owner = self.owner if name.startswith("text_to_image") else None
            main = default_main and name.endswith(f"@{MAIN}")
            yield Measurement(f"{prefix}/{name}", values, owner, chance=self.chance[name], default_main=main)
        for way, ranks in (("image_to_text", self.image_to_text), ("text_to_image", self.text_to_image)):
            value, n = float(np.median(ranks.position)), len(ranks.before)
            yield Measurement(f"{prefix}/{way}/median_rank", value=value, n=n, higher_is_better=False, unit=RANKS)


def measure_retrieval(subject: Subject) -> Iterator[Measurement]:
    """Retrieval, strictly; and where captions repeat once more, with any caption right that equals a right one."""
    features, context = subject.embeddings, subject.context
    distinct = len(np.unique(features.sentence))
    context.update(images=len(features.image), captions=len(features.owner), distinct_captions=distinct)
    strict = retrieval(features.image, features.text, features.owner)
    yield from strict.measurements("retrieval", default_main=True)
    if len(np.unique(features.owner * distinct + features.sentence)) == distinct:
        context["not_measured"]["retrieval/text_equal"] = "no two images share a caption"
        return
    lenient = retrieval(features.image, features.text, features.owner, equal=features.sentence)
    yield from lenient.measurements("retrieval/text_equal", default_main=False)


def retrieval(
    image_features: Tensor,
    text_features: Tensor,
    owner: npt.ArrayLike,
    *,
    equal: npt.ArrayLike | None = None,
    chunk: int = 1024,
) -> Retrieval:
    """Ranks all captions for each image and all images for each caption, by cosine.

    A hit is *any* right answer. Ties count as the average over their random order, see :class:`Ranks`.
    Memory beside the features: a few matrices of ``chunk * chunk`` numbers, and what is linear in N and M.

    Args:
        image_features: L2-normalised, float (N, D), on any device.
        text_features: L2-normalised, float (M, D), on the same device.
        owner: The index in [0, N) of the image that each caption belongs to, (M,); every image owns one or more.
        equal: (M,) integers, equal where two captions are the same sentence (and so have the same features). With
            them each caption is right for every image that has that sentence, not only for its owner.
        chunk: How many images and captions are compared at once; changes memory and speed, not the metrics.

    Raises:
        UserError: The features are not finite, so the model is broken.
        ValueError: Shapes do not fit, features are not normalised, or an image owns no caption.
    """
    owner = np.asarray(owner, dtype=np.int64)
    images, texts = image_features.shape[0], text_features.shape[0]
    if owner.shape != (texts,) or image_features.shape[1:] != text_features.shape[1:]:
        raise ValueError(f"{tuple(image_features.shape)}, {tuple(text_features.shape)}, {owner.shape} do not fit.")
    if texts == 0 or owner.min() < 0 or owner.max() >= images or np.bincount(owner, minlength=images).min() == 0:
        raise ValueError("each caption needs an image and each image a caption.")
    for features in (image_features, text_features):
        check_features(features)
    if equal is None:
        sentence, distinct, times = np.arange(texts), text_features, np.ones(texts, dtype=np.int64)
    else:
        _, first, sentence, times = np.unique(equal, return_index=True, return_inverse=True, return_counts=True)
        distinct = text_features[torch.from_numpy(first).to(text_features.device)]
    # Which image is right for which sentence: never more pairs than captions, so ties need no N x M mask.
    pairs = np.divmod(np.unique(owner * len(times) + sentence), len(times))
    with exact_products(image_features.device):
        image_ranks, sentence_ranks = _rank(image_features.float(), distinct.float(), pairs, times, chunk)
    right_captions = np.bincount(pairs[0], times[pairs[1]], images).astype(np.int64)
    right_images = np.bincount(pairs[1], minlength=len(times))[sentence]
    chance: dict[str, float] = {}
    for k in AT:
        chance[f"image_to_text/recall@{k}"] = float(hit_by_chance(right_captions, texts, k).mean())
        chance[f"text_to_image/recall@{k}"] = float(hit_by_chance(right_images, images, k).mean())
    chance["mean_recall"] = float(np.mean(list(chance.values())))
    return Retrieval(image_ranks, sentence_ranks.take(sentence), owner, chance)


def check_features(features: Tensor) -> None:
    """Checks that features are finite and L2-normalised, (n, D).

    Raises:
        UserError: There is a NaN or an infinity.
        ValueError: A row is not of length 1.
    """
    if not bool(torch.isfinite(features).all()):
        raise UserError("the model's features hold NaN or infinity; its training diverged: take an earlier checkpoint.")
    # Half precision rounds the length of a row to within about 0.004.
    if not bool(((features.float().norm(dim=-1) - 1).abs() < 0.02).all()):
        raise ValueError("features must be L2-normalised.")


@contextmanager
def exact_products(device: torch.device) -> Generator[None]:
    """Full float32 matrix products inside: TF32 and autocast, which training may allow, err by more than a tie."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _rank(
    image: Tensor,
    text: Tensor,
    pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    times: npt.NDArray[np.int64],
    chunk: int,
) -> tuple[Ranks, Ranks]:
    """Ranks of N images and U distinct texts; text u counts as ``times[u]`` candidates.

    First the score of the best right answer of each query, from the right pairs alone; then one pass over
    the matrix of cosines, tile by tile, that counts for both directions what is above and beside it.
    """
    device = image.device
    p, q = (torch.from_numpy(side).to(device) for side in pairs)
    weight = torch.from_numpy(times).to(device)
    right = torch.cat(
        [(image[a] * text[b]).sum(1) for a, b in zip(p.split(chunk * 8), q.split(chunk * 8), strict=True)]
    )
    lowest = torch.full((max(len(image), len(text)),), -2.0, device=device)
    best_i = lowest[: len(image)].scatter_reduce(0, p, right, "amax")
    best_t = lowest[: len(text)].scatter_reduce(0, q, right, "amax")
    tied_i = torch.zeros(len(image), dtype=torch.int64, device=device)
    tied_t = torch.zeros(len(text), dtype=torch.int64, device=device)
    tied_i.index_add_(0, p, weight[q] * (right >= best_i[p] - TIE))
    tied_t.index_add_(0, q, (right >= best_t[q] - TIE).to(torch.int64))

    above_i, level_i = torch.zeros_like(tied_i), torch.zeros_like(tied_i)
    above_t, level_t = torch.zeros_like(tied_t), torch.zeros_like(tied_t)
    for i in range(0, len(image), chunk):
        rows = slice(i, i + chunk)
        for j in range(0, len(text), chunk):
            columns = slice(j, j + chunk)
            cosine = image[rows] @ text[columns].T
            ones, many = cosine.new_ones(len(cosine)), weight[columns].to(cosine.dtype)
            best = best_i[rows, None]
            above_i[rows] += ((cosine > best + TIE).to(cosine.dtype) @ many).to(torch.int64)
            level_i[rows] += ((cosine >= best - TIE).to(cosine.dtype) @ many).to(torch.int64)
            best = best_t[columns]
            above_t[columns] += (ones @ (cosine > best + TIE).to(cosine.dtype)).to(torch.int64)
            level_t[columns] += (ones @ (cosine >= best - TIE).to(cosine.dtype)).to(torch.int64)
    return _ranks(above_i, level_i, tied_i), _ranks(above_t, level_t, tied_t)


def _ranks(above: Tensor, level: Tensor, tied_right: Tensor) -> Ranks:
    """Counts into ranks; ``level`` counts what is above or tied, the right answers included."""
    tied_wrong = (level - above - tied_right).clamp(min=0)
    return Ranks(above.cpu().numpy(), tied_wrong.cpu().numpy(), tied_right.cpu().numpy())
