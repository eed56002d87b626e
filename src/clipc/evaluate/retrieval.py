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
        value for each image: the mean of six numbers, which are for each k the image's own hit, and the sum of its
        captions' hits multiplied by N/M.
        """
        images, captions = len(self.image_to_text.before), len(self.owner)
        values = {f"image_to_text/recall@{k}": self.image_to_text.hit(k) for k in RECALL_KS}
        joint = np.sum(list(values.values()), axis=0)
        for k in RECALL_KS:
            hits = values[f"text_to_image/recall@{k}"] = self.text_to_image.hit(k)
            joint += np.bincount(self.owner, hits, images) * images / captions
        values["mean_recall"] = joint / (2 * len(RECALL_KS))
        return values

    def measurements(
        self, prefix: str, *, default_main: bool = False, ceilings: Mapping[str, float] | None = None
    ) -> Iterator[Measurement]:
        """The recalls of :meth:`items`, and the median rank in both directions, as measurements.

        Args:
            prefix: The first part of the metrics' names.
            default_main: Whether ``mean_recall`` is a main metric in studies that do not name their main metrics.
            ceilings: The recalls' ceilings, as :func:`~clipc.evaluate.ceiling.recall_ceilings` returns them; None
                where equal captions count as right.
        """
        for name, values in self.items().items():
            owner = self.owner if name.startswith("text_to_image") else None
            main = default_main and name == "mean_recall"
            chance, ceiling = self.chance[name], None if ceilings is None else ceilings[name]
            yield Measurement(f"{prefix}/{name}", values, owner, chance=chance, ceiling=ceiling, default_main=main)
        for direction, ranks in (("image_to_text", self.image_to_text), ("text_to_image", self.text_to_image)):
            value, n = float(np.median(ranks.position)), len(ranks.before)
            yield Measurement(f"{prefix}/{direction}/median_rank", value=value, n=n, higher_is_better=False, unit=RANKS)


def measure_retrieval(subject: Subject) -> Iterator[Measurement]:
    """Measures retrieval for the images and captions of the split, strictly and counting equal captions as right.

    The second kind has the prefix ``retrieval/text_equal``. Its ``mean_recall`` is always measured. Where no two images
    share a caption both kinds are equal, and its other metrics are left out.
    """
    features, context = subject.embeddings, subject.context
    distinct = len(np.unique(features.caption_ids))
    context.update(images=len(features.image), captions=len(features.owner), distinct_captions=distinct)
    strict = retrieval(features.image, features.text, features.owner)
    ceilings = recall_ceilings(features.owner, features.caption_ids)
    yield from strict.measurements("retrieval", ceilings=ceilings)
    # As many (image, caption) combinations as distinct captions: no caption belongs to two images.
    if len(np.unique(features.owner * distinct + features.caption_ids)) == distinct:
        both = strict.measurements("retrieval/text_equal", default_main=True)
        yield from (one for one in both if one.name.endswith("/mean_recall"))
        return
    lenient = retrieval(features.image, features.text, features.owner, equal=features.caption_ids)
    yield from lenient.measurements("retrieval/text_equal", default_main=True)


def retrieval(
    image_features: Tensor,
    text_features: Tensor,
    owner: npt.ArrayLike,
    *,
    equal: npt.ArrayLike | None = None,
    chunk: int = 1024,
) -> Retrieval:
    """Ranks all captions for each image and all images for each caption, by cosine.

    A query counts as a hit at k if any right answer is among its first k. Ties count as the average over their random
    order, see :class:`Ranks`. Besides the features, memory holds a few matrices of shape (chunk, chunk) and vectors of
    length N and M.

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
    images, captions = image_features.shape[0], text_features.shape[0]
    if owner.shape != (captions,) or image_features.shape[1:] != text_features.shape[1:]:
        raise ValueError(f"{tuple(image_features.shape)}, {tuple(text_features.shape)}, {owner.shape} do not fit.")
    if captions == 0 or owner.min() < 0 or owner.max() >= images or np.bincount(owner, minlength=images).min() == 0:
        raise ValueError("each caption needs an image and each image a caption.")
    for features in (image_features, text_features):
        check_features(features)
    if equal is None:
        caption_ids, caption_features, counts = np.arange(captions), text_features, np.ones(captions, dtype=np.int64)
    else:
        _, first, caption_ids, counts = np.unique(equal, return_index=True, return_inverse=True, return_counts=True)
        caption_features = text_features[torch.from_numpy(first).to(text_features.device)]
    # The right combinations of an image and a distinct caption, at most M: a boolean N x M matrix is not needed.
    matches = np.divmod(np.unique(owner * len(counts) + caption_ids), len(counts))
    with exact_products(image_features.device):
        image_ranks, caption_ranks = _rank(image_features.float(), caption_features.float(), matches, counts, chunk)
    right_captions = np.bincount(matches[0], counts[matches[1]], images).astype(np.int64)
    right_images = np.bincount(matches[1], minlength=len(counts))[caption_ids]
    chance: dict[str, float] = {}
    for k in RECALL_KS:
        chance[f"image_to_text/recall@{k}"] = float(hit_by_chance(right_captions, captions, k).mean())
        chance[f"text_to_image/recall@{k}"] = float(hit_by_chance(right_images, images, k).mean())
    chance["mean_recall"] = float(np.mean(list(chance.values())))
    return Retrieval(image_ranks, caption_ranks.take(caption_ids), owner, chance)


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
    caption: Tensor,
    matches: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    counts: npt.NDArray[np.int64],
    chunk: int,
) -> tuple[Ranks, Ranks]:
    """Ranks U distinct captions for each of N images, and N images for each distinct caption.

    First, the best right score of each query is computed from the right combinations. Then one pass over the matrix of
    cosines, tile by tile, counts for both directions the scores above and tied with the best right score.

    Args:
        image: Image features, float32 (N, D).
        caption: Features of the distinct captions, float32 (U, D).
        matches: The images and the distinct captions of the right combinations, two vectors of equal length.
        counts: How often each distinct caption occurs, (U,); it counts as that many candidates.
        chunk: The side of a tile.

    Returns:
        The ranks of N queries by image, and of U queries by distinct caption.
    """
    device = image.device
    p, q = (torch.from_numpy(indices).to(device) for indices in matches)
    weight = torch.from_numpy(counts).to(device)
    right_scores = torch.cat(
        [(image[a] * caption[b]).sum(1) for a, b in zip(p.split(chunk * 8), q.split(chunk * 8), strict=True)]
    )
    lowest = torch.full((max(len(image), len(caption)),), -2.0, device=device)
    best_i = lowest[: len(image)].scatter_reduce(0, p, right_scores, "amax")
    best_c = lowest[: len(caption)].scatter_reduce(0, q, right_scores, "amax")
    tied_i = torch.zeros(len(image), dtype=torch.int64, device=device)
    tied_c = torch.zeros(len(caption), dtype=torch.int64, device=device)
    tied_i.index_add_(0, p, weight[q] * (right_scores >= best_i[p] - TIE))
    tied_c.index_add_(0, q, (right_scores >= best_c[q] - TIE).to(torch.int64))

    above_i, at_least_i = torch.zeros_like(tied_i), torch.zeros_like(tied_i)
    above_c, at_least_c = torch.zeros_like(tied_c), torch.zeros_like(tied_c)
    for i in range(0, len(image), chunk):
        rows = slice(i, i + chunk)
        for j in range(0, len(caption), chunk):
            columns = slice(j, j + chunk)
            cosine = image[rows] @ caption[columns].T
            ones, column_weight = cosine.new_ones(len(cosine)), weight[columns].to(cosine.dtype)
            best = best_i[rows, None]
            above_i[rows] += ((cosine > best + TIE).to(cosine.dtype) @ column_weight).to(torch.int64)
            at_least_i[rows] += ((cosine >= best - TIE).to(cosine.dtype) @ column_weight).to(torch.int64)
            best = best_c[columns]
            above_c[columns] += (ones @ (cosine > best + TIE).to(cosine.dtype)).to(torch.int64)
            at_least_c[columns] += (ones @ (cosine >= best - TIE).to(cosine.dtype)).to(torch.int64)
    return _make_ranks(above_i, at_least_i, tied_i), _make_ranks(above_c, at_least_c, tied_c)


def _make_ranks(above: Tensor, at_least: Tensor, tied_right: Tensor) -> Ranks:
    """Makes ranks from counts of answers; ``at_least`` counts answers above or tied, the right ones included."""
    tied_wrong = (at_least - above - tied_right).clamp(min=0)
    return Ranks(above.cpu().numpy(), tied_wrong.cpu().numpy(), tied_right.cpu().numpy())
