"""CutMix: the second view's box laid over the first view, with half the picture each on average."""

from typing import Final

import numpy as np

from clipc.compose.layouts.tiles import BOX, FULL, Codes, Floats, Tiles, Views, by_code, opaque

AREA: Final = (0.25, 0.75)
"""Smallest and largest area of the box, as a share of the picture; its mean is 1/2."""


def cutmix(codes: Codes, draws: Floats, views: Views) -> Tiles:
    """A square box of the second view at the same place over the first view (CutMix, arXiv 1905.04899).

    CutMix draws the area from all of [0, 1] and cuts boxes off at the edge; here the area is uniform in
    :data:`AREA` and the box lies inside, so that both sources of the joint caption can always be seen.

    Args:
        codes: Codes of a plan's ``layout`` column, shape (n,).
        draws: Numbers in [0, 1): area, x and y; shape (n, 3) or wider.
        views: Not used.
    """
    side = np.sqrt(AREA[0] + draws[:, 0] * (AREA[1] - AREA[0]))
    corner = draws[:, 1:3] * (1 - side)[:, None]
    box = np.concatenate([corner, corner + side[:, None]], axis=1).astype(np.float32)
    window = by_code(codes, {BOX: (FULL, FULL)})
    place = window.copy()
    boxed = codes == BOX
    window[boxed, 1] = place[boxed, 1] = box[boxed]
    return Tiles(window, place, opaque(len(codes)))
