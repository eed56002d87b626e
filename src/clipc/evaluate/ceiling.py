"""The ceiling of recall where captions repeat, and what "few distinct captions" means."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.evaluate.ranks import hit_by_chance

RECALL_KS: Final = (1, 5, 10)
"""The k of recall@k."""

FEW: Final = 0.8
"""A ceiling of mean recall below this means few distinct captions."""

Int64s = npt.NDArray[np.int64]


def recall_ceilings(owner: npt.ArrayLike, caption: npt.ArrayLike, ks: Sequence[int] = RECALL_KS) -> dict[str, float]:
    """The best expected strict recalls of a model that knows everything, but cannot order equal captions.

    For an image and one of its captions, c is the number of equal captions in the split, and r is the number of those
    that belong to the image.

    - Image to text: the mean over the images of the largest ``1 - C(c - r, k) / C(c, k)`` among their captions.
    - Text to image: for each distinct caption the sum of its k largest r, added up and divided by the number of all
      captions.

    Where each image has one caption and g images share it, both are min(1, k / g) for these images.

    Each ceiling holds for its own recall. Where each image has one caption, one model reaches all of them.

    Args:
        owner: The index of the image of each caption, (M,) in [0, N); every image has at least one caption.
        caption: Ids of the captions, integers (M,), equal for equal captions.
        ks: The k of the recalls.

    Returns:
        The ceilings by the names of :meth:`clipc.evaluate.retrieval.Retrieval.items`.
    """
    # Image to text: the best that a model can do is to rank one of the image's captions first, together with all equal
    # ones. Of these c captions k are drawn at random (hypergeometric). Ranking several different captions of the image
    # as equal is never better, since the logarithm of a miss is concave in the number of draws.
    # Text to image: of the images with a caption only k are among the first k, at best those that have it most often.
    image_of, ids = np.asarray(owner, dtype=np.int64), np.asarray(caption, dtype=np.int64)
    _, group, size = np.unique(ids, return_inverse=True, return_counts=True)
    # For each combination of an image and one of its distinct captions: how often the image has it.
    combinations, own = np.unique(image_of * len(size) + group, return_counts=True)
    image, text = np.divmod(combinations, len(size))
    place = _place_in_group(text, own)
    ceilings: dict[str, float] = {}
    for k in ks:
        best = np.zeros(int(image_of.max()) + 1)
        np.maximum.at(best, image, hit_by_chance(own, size[text], k))
        ceilings[f"image_to_text/recall@{k}"] = float(best.mean())
    for k in ks:
        ceilings[f"text_to_image/recall@{k}"] = float(own[place < k].sum() / len(ids))
    ceilings["mean_recall"] = float(np.mean(list(ceilings.values())))
    return ceilings


def few_captions_facts(catalog: Catalog, split: str = "test") -> dict[str, Any] | None:
    """Why recall says little on a catalog: few captions are distinct, or all are names of classes; None otherwise.

    This is the one definition: the ceiling of mean recall on the measured split is below :data:`FEW`, or all captions
    were made from class names.

    Args:
        catalog: The pairs with all splits.
        split: The split that is measured; all pairs if the catalog has no such split.

    Returns:
        None if captions are not few. Otherwise the ``ceiling`` of mean recall, the numbers of ``distinct`` and of all
        ``captions``, and ``class_names``: whether the captions were made from class names.
    """
    pairs = catalog.split(split) if split in catalog.splits else catalog
    ids = pairs.caption_ids
    ceiling = recall_ceilings(np.repeat(np.arange(len(pairs)), pairs.caption_counts), ids)["mean_recall"]
    if ceiling >= FEW and not catalog.about.class_captions:
        return None
    counts = {"distinct": len(np.unique(ids)), "captions": len(ids)}
    return {"ceiling": ceiling, **counts, "class_names": catalog.about.class_captions}


def _place_in_group(group: Int64s, weight: Int64s) -> Int64s:
    """The place of each item among those of its group, from 0, the heaviest first; shape (n,)."""
    order = np.lexsort((-weight, group))
    sorted_groups = group[order]
    place = np.empty(len(group), dtype=np.int64)
    place[order] = np.arange(len(group)) - np.searchsorted(sorted_groups, sorted_groups)
    return place
