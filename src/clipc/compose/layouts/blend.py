"""Blend: both views seen through each other."""

import numpy as np

from clipc.compose.layouts.tiles import FULL, OVERLAY, Codes, Floats, Tiles, Views, by_code, opaque


def blend(codes: Codes, draws: Floats, views: Views) -> Tiles:
    """The mean of the two views, as MixGen blends images (arXiv 2206.08358: MixUp with a weight of 1/2).

    Args:
        codes: Codes of a plan's ``layout`` column, shape (n,).
        draws: Not used.
        views: Not used.
    """
    whole = by_code(codes, {OVERLAY: (FULL, FULL)})
    opacity = opaque(len(codes))
    opacity[:, 1] = np.where(codes == OVERLAY, 0.5, 1.0)
    return Tiles(whole, whole, opacity)
