"""The geometry of a batch: views, windows and places of all its rows, computed before any pixel is read.

All renderers use the same geometry; they differ only in how they produce the pixels.
"""

from dataclasses import dataclass

import numpy as np

from clipc.compose.arrays import Bools, Float32s, Float64s, Int32s, Int64s
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.tiles import STRONG, Tiles, Views, turn_boxes, uncut
from clipc.compose.plan import Plan, Plans
from clipc.compose.streams import rows_uniform
from clipc.render.crop import DRAWS, TRIES, Augmentation, view_boxes


@dataclass(frozen=True, eq=False)
class Geometry:
    """Views, windows and places of the rows of a batch.

    Attributes:
        views: x0, y0, x1, y1 of each source's view in its image, in pixels; ``float64``, shape (n, 2, 4).
        tiles: The windows of the views, and their places in the composite.
        mirrored: Which views are drawn to be mirrored, after they are turned; ``bool``, shape (n, 2). A caption may
            still forbid it.
        turns: The quarter turns of each view, counterclockwise, in [0, 4); ``int64``, shape (n, 2). Windows are those
            of views that are not turned, places those of turned ones.
        colour: Random numbers in [0, 1) for brightness, contrast and saturation, shape (n, 2, 3).

    Of a row that shows one half alone, the second source is the first again.
    """

    views: Float64s
    tiles: Tiles
    mirrored: Bools
    turns: Int64s
    colour: Float64s


def geometry(
    plans: Plans, plan: Plan, start: int, augmentation: Augmentation, may_turn: Bools | None = None
) -> Geometry:
    """The geometry of rows of a plan; it depends on their indices, not on the batch.

    Args:
        plans: The plans that the rows are part of.
        plan: The rows.
        start: The index of the first row in the concatenated plans.
        augmentation: How views are cropped.
        may_turn: Which rows' views may be turned (:attr:`~clipc.render.texts.Texts.may_turn`), shape (n,); None for
            none.
    """
    n = len(plan)

    def uniform(stream: str, width: int) -> Float64s:
        return rows_uniform(plans.seed, stream, start, start + n, width)

    draws = uniform("crop", 2 * DRAWS).reshape(n, 2, DRAWS)
    rows = np.stack([plan.left, np.where(plan.right < 0, plan.left, plan.right)], axis=1)
    sizes = plans.catalog.sizes[rows]
    scale = np.where((plan.layout == STRONG)[:, None], augmentation.strong_scale, augmentation.crop_scale)
    shapes, draws = draws[..., : 2 * TRIES].reshape(2 * n, TRIES, 2), draws[..., 2 * TRIES :]
    views = view_boxes(
        shapes,
        draws[..., :2].reshape(-1, 2),
        sizes.reshape(-1, 2),
        np.repeat(scale, 2, axis=0),
        augmentation.crop_ratio,
    ).reshape(n, 2, 4)
    entries = plans.entries.first[rows] + np.stack([plan.left_caption, plan.right_caption], axis=1)
    mirrored = draws[..., 2] < augmentation.flip
    may_mirror = np.ones((n, 2), dtype=np.bool_)
    if plans.inputs.compiled_rules is not None:
        may_mirror = plans.inputs.compiled_rules.mirror[entries]
    mirrored &= may_mirror
    turns = np.zeros((n, 2), dtype=np.int64)
    if may_turn is not None and augmentation.turns:
        chance, may = uniform("turn", 6).reshape(n, 2, 3), may_mirror & may_turn[:, None]
        turns += np.where(may & (chance[..., 1] < augmentation.quarter_turns), (4 * chance[..., 2]).astype(np.int64), 0)
        upside_down = may & (chance[..., 0] < augmentation.flip_vertical)
        # An image upside down as in a mirror is a mirrored one, turned by 180 degrees.
        turns, mirrored = (turns + 2 * upside_down) % 4, mirrored ^ upside_down
    source_views = _source_views(plans, views, sizes, rows, entries)
    if turns.any():
        bounds, region = (turn_boxes(boxes, turns) for boxes in (source_views.bounds, source_views.region))
        source_views = Views(bounds, region, source_views.whole)
    layout_name = plans.policy.layout
    # With regions marked by an expert, the halves move to keep them. Without regions both layouts are equal.
    name = "region" if layout_name == "centre-halves" and np.isfinite(source_views.region).any() else layout_name
    layout_draws = uniform("layout", 4).astype(np.float32)
    tiles = find_layout(name).tiles(plan.layout, layout_draws, source_views)
    tiles = uncut(tiles, source_views, plan.layout)
    if turns.any():
        tiles = Tiles(turn_boxes(tiles.window, -turns), tiles.place, tiles.opacity)
    if (alone := np.flatnonzero(plan.half_alone)).size:
        # Both halves show the same window, and the second is made grey. In composites an image stands in either half.
        swapped = alone[uniform("half", 1)[alone, 0] < 0.5]
        tiles.place[swapped] = tiles.place[swapped, ::-1]
        for values in (tiles.window, views, mirrored, turns):
            values[alone, 1] = values[alone, 0]
    return Geometry(views, tiles, mirrored, turns, draws[..., 3:])


def _source_views(plans: Plans, views: Float64s, sizes: Int32s, rows: Int32s, entries: Int64s) -> Views:
    """The edges and the regions of images in fractions of their views, and which images must stay whole."""
    corner, extent = np.tile(views[..., :2], 2), np.tile(views[..., 2:] - views[..., :2], 2)
    whole_image = np.concatenate([np.zeros_like(sizes), sizes], axis=-1)
    bounds = ((whole_image - corner) / extent).astype(np.float32)
    whole, region = marked(plans, rows, entries)
    view_region = ((region * np.tile(sizes, 2) - corner) / extent).astype(np.float32)
    return Views(bounds, view_region, whole)


def marked(plans: Plans, rows: Int32s, entries: Int64s) -> tuple[Bools, Float32s]:
    """What composites must show of images: all of it, or a region, as the rules and the policy's column say.

    Args:
        plans: The plans.
        rows: The images, shape (...).
        entries: The entries that they are shown with, shape (...).

    Returns:
        Whether an image must stay whole, shape (...); and its region, NaN where there is none, shape (..., 4).
    """
    inputs = plans.inputs
    no_region: Float32s = np.full((*rows.shape, 4), np.nan, dtype=np.float32)
    region = no_region if inputs.regions is None else inputs.regions[rows]
    whole = np.zeros(rows.shape, dtype=np.bool_)
    if inputs.compiled_rules is not None:
        whole = inputs.compiled_rules.whole[entries]
        if inputs.compiled_rules.regions is not None:
            from_rules = inputs.compiled_rules.regions[entries]
            region = np.where(np.isnan(from_rules), region, from_rules)
    return whole, region
