"""Image-to-text and text-to-image retrieval for images with one or more captions."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clipc.errors import UserError
from clipc.evaluate.ceiling import RECALL_KS, recall_ceilings
from clipc.evaluate.measurement import RANKS, Measurement
from clipc.evaluate.ranks import TIE, Ranks, hit_by_chance
from clipc.evaluate.subject import Subject

MAIN_K = 10
"""The k of the recalls that a study tests."""


@dataclass(frozen=True, eq=False)
class Retrieval:
    """The retrieval ranks of N images and M captions.

    Attributes:
        image_to_text: For each image, the rank of its best right caption among all captions (N queries).
        text_to_image: For each caption, the rank of its best right image among all images (M queries).
        owner: The index of the image of each caption, ``int64`` (M,).
        chance: The expected recalls of a random ranking, by the names of :meth:`items`.
    """

    image_to_text: Ranks
    text_to_image: Ranks
    owner: npt.NDArray[np.int64]
    chance: dict[str, float]

    def items(self) -> dict[str, npt.NDArray[np.float64]]:
        """The values of items for recall@1, @5 and @10 in both directions, and for their mean, ``mean_recall``.

        The mean of the values is the metric. Recalls have one value for each image or caption. ``mean_recall`` has one
        value for each image, in which the hits of the image's captions are summed.
        """
        images, texts = len(self.image_to_text.before), len(self.owner)
        values = {f"image_to_text/recall@{k}": self.image_to_text.hit(k) for k in RECALL_KS}
        joint = np.sum(list(values.values()), axis=0)
        for k in RECALL_KS:
            hits = values[f"text_to_image/recall@{k}"] = self.text_to_image.hit(k)
            joint += np.bincount(self.owner, hits, images) * images / texts
        values["mean_recall"] = joint / (2 * len(RECALL_KS))
        return values

    def measurements(
        self, prefix: str, *, default_main: bool, ceilings: Mapping[str, float] | None = None
    ) -> Iterator[Measurement]:
        """The recalls of :meth:`items`, and the median rank in both directions, as measurements.

        Args:
            prefix: The first part of the metrics' names.
            default_main: Whether the recalls at :data:`MAIN_K` are metrics in studies that name none.
            ceilings: The recalls' ceilings, as :func:`~clipc.evaluate.ceiling.recall_ceilings` returns them; None
                where equal captions count as right.
        """
        for name, values in self.items().items():
            owner = self.owner if name.startswith("text_to_image") else None
            main = default_main and name.endswith(f"@{MAIN_K}")
            chance, ceiling = self.chance[name], None if ceilings is None else ceilings[name]
            yield Measurement(f"{prefix}/{name}", values, owner, chance=chance, ceiling=ceiling, default_main=main)
        for direction, ranks in (("image_to_text", self.image_to_text), ("text_to_image", self.text_to_image)):
            value, n = float(np.median(ranks.position)), len(ranks.before)
            yield Measurement(f"{prefix}/{direction}/median_rank", value=value, n=n, higher_is_better=False, unit=RANKS)


def measure_retrieval(subject: Subject) -> Iterator[Measurement]:
    """Measures retrieval strictly and, if images share captions, again with captions equal to a right one as right."""
    features, context = subject.embeddings, subject.context
    distinct = len(np.unique(features.sentence))
    context.update(images=len(features.image), captions=len(features.owner), distinct_captions=distinct)
    strict = retrieval(features.image, features.text, features.owner)
    ceilings = recall_ceilings(features.owner, features.sentence)
    yield from strict.measurements("retrieval", default_main=True, ceilings=ceilings)
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

    A hit is *any* right answer. Ties count as the average over their random order, see :class:`Ranks`. Besides the
    features, memory holds a few matrices of shape (chunk, chunk) and vectors of length N and M.

    Args:
        image_features: L2-normalised, float (N, D), on any device.
        text_features: L2-normalised, float (M, D), on the same device.
        owner: The index of the image of each caption, (M,) in [0, N); every image has at least one caption.
        equal: Ids of the captions, (M,) integers, equal for equal captions, which must have equal features. If given,
            a caption is right for every image with an equal caption, not only for its owner.
        chunk: How many images and captions are compared at once; changes memory and speed, not the metrics.

    Raises:
        UserError: The features are not finite, because the model has diverged.
        ValueError: Shapes do not fit, features are not normalised, or an image has no caption.
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
        sentence, distinct, counts = np.arange(texts), text_features, np.ones(texts, dtype=np.int64)
    else:
        _, first, sentence, counts = np.unique(equal, return_index=True, return_inverse=True, return_counts=True)
        distinct = text_features[torch.from_numpy(first).to(text_features.device)]
    # The (image, sentence) combinations that are right, at most M of them: a boolean N x M matrix is not needed.
    matches = np.divmod(np.unique(owner * len(counts) + sentence), len(counts))
    with exact_products(image_features.device):
        image_ranks, sentence_ranks = _rank(image_features.float(), distinct.float(), matches, counts, chunk)
    right_captions = np.bincount(matches[0], counts[matches[1]], images).astype(np.int64)
    right_images = np.bincount(matches[1], minlength=len(counts))[sentence]
    chance: dict[str, float] = {}
    for k in RECALL_KS:
        chance[f"image_to_text/recall@{k}"] = float(hit_by_chance(right_captions, texts, k).mean())
        chance[f"text_to_image/recall@{k}"] = float(hit_by_chance(right_images, images, k).mean())
    chance["mean_recall"] = float(np.mean(list(chance.values())))
    return Retrieval(image_ranks, sentence_ranks.take(sentence), owner, chance)


def check_features(features: Tensor) -> None:
    """Checks that features, (n, D), are finite and L2-normalised.

    Raises:
        UserError: There is a NaN or an infinity.
        ValueError: The norm of a row is not 1.
    """
    if not bool(torch.isfinite(features).all()):
        raise UserError("the model's features contain NaN or infinity: training diverged; use an earlier checkpoint.")
    # Half precision changes the norm of a row by at most about 0.004.
    if not bool(((features.float().norm(dim=-1) - 1).abs() < 0.02).all()):
        raise ValueError("features must be L2-normalised.")


@contextmanager
def exact_products(device: torch.device) -> Generator[None]:
    """Computes matrix products in the block in full float32: TF32 and autocast err by more than ``TIE``."""
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
    matches: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    counts: npt.NDArray[np.int64],
    chunk: int,
) -> tuple[Ranks, Ranks]:
    """Ranks N images and U distinct texts; text u counts as ``counts[u]`` candidates.

    First, the best right score of each query is computed from the right combinations, ``matches``. Then one pass over
    the matrix of cosines, tile by tile, counts for both directions the scores above and tied with the best right score.
    """
    device = image.device
    p, q = (torch.from_numpy(indices).to(device) for indices in matches)
    weight = torch.from_numpy(counts).to(device)
    right_scores = torch.cat(
        [(image[a] * text[b]).sum(1) for a, b in zip(p.split(chunk * 8), q.split(chunk * 8), strict=True)]
    )
    lowest = torch.full((max(len(image), len(text)),), -2.0, device=device)
    best_i = lowest[: len(image)].scatter_reduce(0, p, right_scores, "amax")
    best_t = lowest[: len(text)].scatter_reduce(0, q, right_scores, "amax")
    tied_i = torch.zeros(len(image), dtype=torch.int64, device=device)
    tied_t = torch.zeros(len(text), dtype=torch.int64, device=device)
    tied_i.index_add_(0, p, weight[q] * (right_scores >= best_i[p] - TIE))
    tied_t.index_add_(0, q, (right_scores >= best_t[q] - TIE).to(torch.int64))

    above_i, at_least_i = torch.zeros_like(tied_i), torch.zeros_like(tied_i)
    above_t, at_least_t = torch.zeros_like(tied_t), torch.zeros_like(tied_t)
    for i in range(0, len(image), chunk):
        rows = slice(i, i + chunk)
        for j in range(0, len(text), chunk):
            columns = slice(j, j + chunk)
            cosine = image[rows] @ text[columns].T
            ones, column_weight = cosine.new_ones(len(cosine)), weight[columns].to(cosine.dtype)
            best = best_i[rows, None]
            above_i[rows] += ((cosine > best + TIE).to(cosine.dtype) @ column_weight).to(torch.int64)
            at_least_i[rows] += ((cosine >= best - TIE).to(cosine.dtype) @ column_weight).to(torch.int64)
            best = best_t[columns]
            above_t[columns] += (ones @ (cosine > best + TIE).to(cosine.dtype)).to(torch.int64)
            at_least_t[columns] += (ones @ (cosine >= best - TIE).to(cosine.dtype)).to(torch.int64)
    return _make_ranks(above_i, at_least_i, tied_i), _make_ranks(above_t, at_least_t, tied_t)


def _make_ranks(above: Tensor, at_least: Tensor, tied_right: Tensor) -> Ranks:
    """Makes ranks from counts of answers; ``at_least`` counts answers above or tied, the right ones included."""
    tied_wrong = (at_least - above - tied_right).clamp(min=0)
    return Ranks(above.cpu().numpy(), tied_wrong.cpu().numpy(), tied_right.cpu().numpy())
