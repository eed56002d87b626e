"""The surface states of parts: each function draws one state onto a bare surface."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import pi

import numpy as np
import numpy.typing as npt

from clipc.demo.field import Field, blend, clouds, grain, norm, ramp, rgb, strokes


@dataclass(frozen=True)
class Surface:
    """A part's surface, one value per pixel of the drawing, before lighting.

    Attributes:
        distance: Signed distance from the silhouette in pixels, shape (n, n); negative inside.
        height: Height in pixels, shape (n, n).
        colour: Reflectance in red, green and blue, shape (3, n, n), 0 to 1.
        shine: The gloss as a fraction of the material's gloss, shape (n, n), 0 to 1.
        size: The part's radius in pixels; the size of defects is proportional to it.
    """

    distance: Field
    height: Field
    colour: Field
    shine: Field
    size: float


State = Callable[[Surface, np.random.Generator], Surface]
"""Draws a state onto a surface, with random details."""
Points = npt.NDArray[np.float64]
"""Columns and rows in pixels, shape (k, 2), or (2,) for one point."""


def _anchors(surface: Surface, rng: np.random.Generator, count: int, depth: tuple[float, float]) -> Points:
    """Random points of the part, shape (count, 2), whose depth below its edge lies in a range.

    The range ``depth`` is given in fractions of the largest depth; its lower end is excluded.
    """
    inside = -surface.distance / -surface.distance.min()
    rows, columns = np.nonzero((inside > depth[0]) & (inside <= depth[1]))
    picks = rng.integers(0, len(rows), count)
    return np.stack([columns[picks], rows[picks]], axis=1).astype(np.float64)


def _offsets(surface: Surface, point: Points) -> tuple[Field, Field]:
    """The offsets of columns and of rows from a point, in radii of the part; shapes (1, n) and (n, 1)."""
    n = surface.distance.shape[0]
    pixel = np.arange(n, dtype=np.float32)
    return (pixel - float(point[0]))[None] / surface.size, (pixel - float(point[1]))[:, None] / surface.size


def intact(surface: Surface, rng: np.random.Generator) -> Surface:
    """The bare surface, unchanged."""
    return surface


def scratched(surface: Surface, rng: np.random.Generator) -> Surface:
    """A few long bright grooves in about the same direction."""
    n, direction = surface.distance.shape[0], rng.uniform(0, pi)
    paths: list[tuple[Points, float]] = []
    for middle in _anchors(surface, rng, int(rng.integers(6, 10)), (0.3, 1)):
        angle, length = direction + rng.normal(0, 0.22), surface.size * rng.uniform(0.35, 0.75)
        t = np.linspace(-1, 1, 7)
        bow = rng.normal(0, 0.08) * length * (1 - t * t)
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        paths.append((middle + np.outer(t * length, along) + np.outer(bow, across), rng.uniform(1.8, 3.8)))
    mark = strokes(n, paths, 0.6)
    bare = surface.colour.mean(axis=0) * 0.2 + 0.85
    return replace(surface, height=surface.height - mark * 2.2, colour=blend(surface.colour, bare, mark))


def dented(surface: Surface, rng: np.random.Generator) -> Surface:
    """Two or three round hollows with a raised rim, a little darker inside."""
    height, colour = surface.height, surface.colour
    for middle in _anchors(surface, rng, int(rng.integers(2, 4)), (0.55, 1)):
        across, down = _offsets(surface, middle)
        reach = rng.uniform(0.2, 0.3)
        r2 = (across * across + down * down) / (reach * reach)
        bowl = np.exp(-r2 * 1.1)
        height = height - (bowl - 0.3 * np.exp(-((r2 - 2.2) ** 2))) * (surface.size * reach * rng.uniform(0.75, 1.0))
        colour = colour * (1 - 0.45 * bowl)
    return replace(surface, height=height, colour=colour)


def rusty(surface: Surface, rng: np.random.Generator) -> Surface:
    """Ragged orange-brown patches, rough and dull."""
    n = surface.distance.shape[0]
    crumbs = grain(rng, n, n)
    rough = clouds(rng, n, 7) + clouds(rng, n, 19) * 0.6 + crumbs * 0.12
    for middle in _anchors(surface, rng, 2, (0.2, 1)):
        across, down = _offsets(surface, middle)
        rough = rough + 0.8 * np.exp((across * across + down * down) * -9)
    patch = ramp((rough - 0.12) * 2.6)
    tint = blend(rgb(0.33, 0.13, 0.05), rgb(0.72, 0.34, 0.1), ramp(clouds(rng, n, 15) + crumbs * 0.25))
    height, colour = surface.height + patch * crumbs * 0.35, blend(surface.colour, tint, patch * 0.95)
    return replace(surface, height=height, colour=colour, shine=surface.shine * (1 - patch))


def cracked(surface: Surface, rng: np.random.Generator) -> Surface:
    """Dark jagged lines that begin at an edge and branch."""
    n = surface.distance.shape[0]
    paths: list[tuple[Points, float]] = []
    cores = _anchors(surface, rng, 12, (0.6, 1))
    for start in _anchors(surface, rng, int(rng.integers(2, 5)), (0, 0.25)):
        # A crack runs towards the nearest thick place, so that it does not leave thin parts at once.
        across, down = cores[((cores - start) ** 2).sum(axis=1).argmin()] - start
        heading = float(np.arctan2(down, across)) + rng.normal(0, 0.25)
        trunk = _jagged(rng, start, heading, surface.size * rng.uniform(0.7, 1.1))
        paths.append((trunk, rng.uniform(3.2, 4.4)))
        for knot in rng.choice(np.arange(2, len(trunk) - 1), 2, replace=False):
            turn = heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
            paths.append((_jagged(rng, trunk[knot], turn, surface.size * rng.uniform(0.25, 0.45)), 2.2))
    mark = strokes(n, paths, 0.5)
    height, colour = surface.height - mark * 3, surface.colour * (1 - 0.93 * mark)
    return replace(surface, height=height, colour=colour, shine=surface.shine * (1 - mark))


def _jagged(rng: np.random.Generator, start: Points, heading: float, length: float) -> Points:
    """A line with random turns, shape (9, 2).

    Args:
        rng: The generator of the turns.
        start: The first point.
        heading: The mean direction, in radians.
        length: The approximate length in pixels.
    """
    steps = 8
    angles = heading + rng.normal(0, 0.55, steps)
    legs = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (length / steps * rng.uniform(0.6, 1.4, (steps, 1)))
    return np.concatenate([start[None], start + np.cumsum(legs, axis=0)])


def chipped(surface: Surface, rng: np.random.Generator) -> Surface:
    """Pieces are broken out of the edge; around each gap is a bright rough fracture."""
    n = surface.distance.shape[0]
    ragged = clouds(rng, n, 22) * 0.05
    bite = np.full((n, n), 9, dtype=np.float32)
    reach = min(max(-0.9 * float(surface.distance.min()) / surface.size, 0.075), 0.19)
    for middle in _anchors(surface, rng, int(rng.integers(2, 4)), (0, 0.15)):
        across, down = _offsets(surface, middle)
        bite = np.minimum(bite, norm(across, down) - reach * rng.uniform(0.85, 1.15))
    bite = (bite + ragged) * surface.size
    fracture = ramp(1.9 - bite / (0.07 * surface.size))
    facets = clouds(rng, n, 26)
    broken = rgb(0.8, 0.79, 0.77) + facets * 0.16
    distance, shine = np.maximum(surface.distance, -bite), surface.shine * (1 - fracture)
    height = surface.height - fracture * (0.06 * surface.size) + fracture * facets * 2.5
    return Surface(distance, height, blend(surface.colour, broken, fracture * 0.95), shine, surface.size)


def stained(surface: Surface, rng: np.random.Generator) -> Surface:
    """Blots of liquid with a sharp darker rim: dark oil on a bright part, pale residue on a dark one."""
    n = surface.distance.shape[0]
    blot = np.full((n, n), -9, dtype=np.float32)
    for middle in _anchors(surface, rng, int(rng.integers(3, 6)), (0.3, 1)):
        across, down = _offsets(surface, middle)
        blot = np.maximum(blot, rng.uniform(0.18, 0.36) - norm(across, down))
    blot = blot + clouds(rng, n, 11) * 0.05
    inside, rim = ramp(blot * 14), ramp(1 - np.abs(blot - 0.03) * 28)
    dark = float(surface.colour.mean()) > 0.3
    tint = rgb(0.13, 0.06, 0.2) if dark else rgb(0.8, 0.8, 0.72)
    colour = blend(surface.colour, tint, inside * 0.75 + rim * 0.2)
    return replace(surface, colour=colour, shine=surface.shine * (1 - 0.4 * inside))


_ALL = (intact, scratched, dented, rusty, cracked, chipped, stained)
STATES: dict[str, State] = {state.__name__: state for state in _ALL}
"""Every surface state by its label."""
