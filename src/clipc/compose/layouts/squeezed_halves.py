"""Squeezed halves: both views whole, each squeezed into half of the picture."""

from clipc.compose.layouts.tiles import FULL, HALF_PLACES, Codes, Floats, Tiles, Views, by_code, opaque


def squeezed_halves(codes: Codes, draws: Floats, views: Views) -> Tiles:
    """Each view squeezed to half its width or height: nothing is cut away, but shapes change.

    Args:
        codes: Codes of a plan's ``layout`` column, shape (n,).
        draws: Not used.
        views: Not used.
    """
    window = by_code(codes, dict.fromkeys(HALF_PLACES, (FULL, FULL)))
    return Tiles(window, by_code(codes, HALF_PLACES), opaque(len(codes)))
