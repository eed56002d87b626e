"""How many false negatives a random batch holds."""

import numpy as np

from clipc.audit.doctor_data import DistinctCaptions
from clipc.compose.arrays import Bools


def false_negative_rate(captions: DistinctCaptions, pairs: Bools) -> float:
    r"""The chance that the caption of another pair equals that of a pair, word for word.

    Two different pairs i and j are drawn at random, and of each one of its captions. With q_ic, the share of pair i's
    captions that are the caption c, the chance is

        p = sum_c ((sum_i q_ic)^2 - sum_i q_ic^2) / (n (n - 1)).

    In a batch of B pairs each has (B - 1) p false negatives on average, and the whole B x B matrix of similarities
    holds B (B - 1) p of them.

    Args:
        captions: The captions of a catalog.
        pairs: Which rows of the catalog batches are drawn from, shape (n,).

    Returns:
        The chance p in [0, 1]; 0 with fewer than two pairs.
    """
    n = int(pairs.sum())
    if n < 2:
        return 0.0
    used = pairs[captions.owners]
    owners, ids = captions.owners[used], captions.ids[used]
    size = np.bincount(owners, minlength=len(pairs))
    # A pair may have the same caption twice.
    combinations, times = np.unique(owners * len(captions.texts) + ids, return_counts=True)
    owner, caption = np.divmod(combinations, len(captions.texts))
    q = times / size[owner]
    mass = np.bincount(caption, weights=q)
    return float(max(0.0, (mass**2).sum() - (q**2).sum()) / (n * (n - 1)))
