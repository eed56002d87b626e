"""First image: the control that composes captions and leaves the picture alone."""

from clipc.compose.layouts.tiles import Codes, Floats, Tiles, Views, by_code, opaque


def first_image(codes: Codes, draws: Floats, views: Views) -> Tiles:
    """The first view alone, whatever the caption says: caption-only composition, a control.

    Args:
        codes: Codes of a plan's ``layout`` column, shape (n,).
        draws: Not used.
        views: Not used.
    """
    alone = by_code(codes, {})
    return Tiles(alone, alone, opaque(len(codes)))
