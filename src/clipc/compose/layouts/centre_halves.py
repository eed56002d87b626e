"""Centre halves: the paper's image composition."""

from clipc.compose.layouts.tiles import (
    HALF_PLACES,
    LEFT_RIGHT,
    TOP_BOTTOM,
    Codes,
    Floats,
    Tiles,
    Views,
    by_code,
    opaque,
)

_CENTRES = {LEFT_RIGHT: (0.25, 0.0, 0.75, 1.0), TOP_BOTTOM: (0.0, 0.25, 1.0, 0.75)}


def centre_halves(codes: Codes, draws: Floats, views: Views) -> Tiles:
    """The centre half of each view, joined along the cut axis (CLIP-C, arXiv 2407.01408).

    Args:
        codes: Codes of a plan's ``layout`` column, shape (n,).
        draws: Not used.
        views: Not used.
    """
    window = by_code(codes, {code: (box, box) for code, box in _CENTRES.items()})
    return Tiles(window, by_code(codes, HALF_PLACES), opaque(len(codes)))
