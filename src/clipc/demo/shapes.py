"""The shapes of parts: each function gives a silhouette (a signed distance) and a relief (heights)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sin

import numpy as np

from clipc.demo.field import Field, norm, ramp, wrap


@dataclass(frozen=True)
class Relief:
    """A part seen from above, in units in which it fits into a circle of radius 1.

    Attributes:
        distance: The signed distance of each pixel from the silhouette, shape (n, n); negative inside.
        height: The surface's height, shape (n, n); only its slope matters for the light.
        tone: A factor for the brightness, 0 to 1, shape (n, n); below 1 where little light reaches the surface.
    """

    distance: Field
    height: Field
    tone: Field | float = 1.0


Shape = Callable[[Field, Field, np.random.Generator], Relief]
"""Draws a shape: from the x and y of each pixel in the part's own coordinates, with random proportions."""


def _disc(x: Field, y: Field, radius: float) -> Field:
    """The signed distance from a disc around the origin."""
    return norm(x, y) - radius


def _box(x: Field, y: Field, half: tuple[float, float], corner: float = 0.0) -> Field:
    """The signed distance from a rectangle with half sides ``half`` and corners rounded by the radius ``corner``."""
    dx, dy = np.abs(x) - (half[0] - corner), np.abs(y) - (half[1] - corner)
    outside = norm(np.maximum(dx, 0), np.maximum(dy, 0))
    return outside + np.minimum(np.maximum(dx, dy), 0) - corner


def _hexagon(x: Field, y: Field, inner: float) -> Field:
    """The signed distance from a hexagon with an inner circle of radius ``inner``; approximate near its corners."""
    s, c = sin(pi / 3), 0.5
    return np.maximum(np.maximum(np.abs(y), np.abs(x * s + y * c)), np.abs(x * s - y * c)) - inner


def _subtract(part: Field, hole: Field) -> Field:
    """The signed distance from a part with a hole."""
    return np.maximum(part, -hole)


def _bevel(distance: Field, width: float) -> Field:
    """The height of a flat face whose rounded edge is ``width`` wide."""
    t = np.clip(-distance / width, 0, 1)
    return t * (2 - t) * (width * 0.9)


def _rod(distance: Field, radius: float) -> Field:
    """The height of a rod, tube or ball at a ``distance`` from its axis."""
    return np.sqrt(np.maximum(radius * radius * 1.02 - distance * distance, 0))


def _sector(x: Field, y: Field, count: int) -> tuple[Field, Field]:
    """Coordinates within each of ``count`` equal sectors, whose x axis runs along the sector's middle."""
    radius, angle = norm(x, y), wrap(np.arctan2(y, x), 2 * pi / count)
    return radius * np.cos(angle), radius * np.sin(angle)


def gear(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A spur gear: 9 to 14 teeth, a bore, and either a hub or lightening holes."""
    count = int(rng.integers(9, 15))
    r, angle = norm(x, y), np.arctan2(y, x)
    tooth = np.clip(np.cos(angle * count) * 1.7, -1, 1) * 0.115
    disc = (r - 0.845 - tooth) * 0.75
    bore = r - rng.uniform(0.17, 0.28)
    outline = _subtract(disc, bore)
    if rng.random() < 0.5:
        hx, hy = _sector(x, y, int(rng.integers(4, 7)))
        outline = _subtract(outline, _disc(hx - 0.5, hy, 0.13))
        return Relief(outline, _bevel(outline, 0.06))
    rim = ramp((np.abs(r - 0.54) - 0.1) * 12) * 0.06
    return Relief(outline, _bevel(outline, 0.06) + rim)


def hex_nut(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A hexagonal nut from above: chamfered corners, a threaded hole."""
    r = norm(x, y)
    body = _hexagon(x, y, 0.82)
    hole = r - rng.uniform(0.38, 0.45)
    outline = _subtract(body, hole)
    chamfer = np.maximum(r - 0.78, 0) * 0.7
    thread = np.sin(hole * 75) * ramp(1 - hole * 9) * 0.018
    return Relief(outline, _bevel(outline, 0.07) - chamfer + thread, 1 - 0.45 * ramp(1.6 - hole * 16))


def washer(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A flat ring."""
    outline = _subtract(_disc(x, y, 0.92), _disc(x, y, rng.uniform(0.5, 0.62)))
    return Relief(outline, _bevel(outline, 0.05))


def bolt(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A hexagon bolt from its side: head, plain shank, thread, chamfered tip."""
    thick, start = rng.uniform(0.19, 0.25), rng.uniform(-0.35, 0.15)
    pitch = np.sin((x + y * 0.18) * (2 * pi / 0.1))
    groove = pitch * ramp((x - start) * 30) * 0.022
    tip = np.maximum(x - 0.86, 0) * 0.9
    shank = np.maximum(_box(x - 0.15, y, (0.85, thick + 0.02)), np.abs(y) - thick - groove + tip)
    head = _box(x + 0.78, y, (0.2, 0.47), 0.05)
    facet = np.maximum(np.abs(y) - 0.235, 0) * -0.9
    standing = np.where(shank < 0, _rod(y, thick) + groove * 1.2, 0)
    height = np.where(head < 0, _bevel(head, 0.09) + facet + 0.25, standing)
    return Relief(np.minimum(shank, head), height)


def bracket(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """An L-shaped plate with two holes in each arm."""
    arm = rng.uniform(0.21, 0.27)
    long = _box(x + 0.55, y, (arm, 0.85), 0.08)
    short = _box(x - 0.05, y - (0.85 - arm), (0.8, arm), 0.08)
    slope = (x - y + (1.08 - 3 * arm)) * 0.7
    web = np.maximum(slope, _box(x + 0.3, y - 0.3, (0.5, 0.5)))
    outline = np.minimum(np.minimum(long, short), web)
    for px, py in ((-0.55, -0.6), (-0.55, -0.05), (0.1, 0.85 - arm), (0.6, 0.85 - arm)):
        outline = _subtract(outline, _disc(x - px, y - py, 0.105))
    return Relief(outline, _bevel(outline, 0.06))


def spring(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A coil spring from its side: a zigzag of wire, every second strand behind."""
    turns, wide, wire = int(rng.integers(5, 8)), rng.uniform(0.36, 0.46), rng.uniform(0.08, 0.095)
    pitch = 1.6 / turns
    phase = wrap(x + 0.8 - pitch / 2, pitch)
    # Reflecting each turn at its middle leaves one slanted strand to measure the distance to.
    fold, run = np.abs(phase), pitch / 2
    along = np.clip((fold * run + (y + wide) * 2 * wide) / (run * run + 4 * wide * wide), 0, 1)
    off = norm(fold - along * run, y + wide - along * 2 * wide)
    ends = _box(np.abs(x) - 0.84, y, (0.02, wide), 0.02) + 0.02
    off = np.minimum(np.where(np.abs(x) < 0.8, off, 9), np.maximum(ends, 0))
    behind = (phase > 0) & (np.abs(y) < wide * 0.85) & (np.abs(x) < 0.78)
    tone = np.where(behind, 0.62, 1.0).astype(np.float32)
    return Relief(off - wire, _rod(off, wire), tone)


def bearing(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A ball bearing: two races and the balls between them."""
    count = int(rng.integers(7, 11))
    r = norm(x, y)
    outline = np.maximum(r - 0.93, rng.uniform(0.28, 0.36) - r)
    outer = np.maximum(r - 0.93, 0.75 - r)
    inner = np.maximum(r - 0.5, 0.3 - r)
    bx, by = _sector(x, y, count)
    off = norm(bx - 0.625, by)
    height = np.maximum(np.maximum(_bevel(outer, 0.06), _bevel(inner, 0.06)), _rod(off, 0.115))
    gap = np.minimum(np.minimum(outer, inner), off - 0.115)
    return Relief(outline, height, 1 - 0.72 * ramp(gap * 40))


def pipe_elbow(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A tube bent by a right angle between two short legs, a collar at each end."""
    tube, bend, leg = rng.uniform(0.26, 0.31), 0.7, rng.uniform(0.3, 0.45)
    x, y = x * 1.05 + 0.2, y * 1.05 + 0.2
    off = np.where(x < 0, np.abs(y - bend), np.where(y < 0, np.abs(x - bend), np.abs(norm(x, y) - bend)))
    off = np.where((np.minimum(x, y) > -leg) & (np.maximum(x, y) > 0), off, 9)
    first = _box(x + leg, y - bend, (0.11, tube + 0.12), 0.04)
    second = _box(x - bend, y + leg, (tube + 0.12, 0.11), 0.04)
    lip = np.where(first < 0, _rod(y - bend, tube + 0.12), np.where(second < 0, _rod(x - bend, tube + 0.12), 0))
    body = off - tube
    height = np.maximum(np.where(body < 0, _rod(off, tube), 0), lip)
    return Relief(np.minimum(body, np.minimum(first, second)), height)


def flange(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A disc with a raised neck around its bore and a circle of bolt holes."""
    r = norm(x, y)
    hx, hy = _sector(x, y, int(rng.integers(4, 8)))
    bore = rng.uniform(0.24, 0.34)
    outline = np.maximum(r - 0.93, bore - r)
    outline = _subtract(outline, _disc(hx - 0.72, hy, 0.105))
    neck = np.maximum(r - (bore + 0.18), bore - r)
    return Relief(outline, _bevel(outline, 0.05) + _bevel(neck, 0.09) * 1.6)


def connecting_rod(x: Field, y: Field, rng: np.random.Generator) -> Relief:
    """A big eye and a small eye joined by a tapered beam with a recess along it."""
    big, small = rng.uniform(0.43, 0.48), rng.uniform(0.26, 0.3)
    left, right = _disc(x + 0.5, y, big), _disc(x - 0.7, y, small)
    taper = 0.24 - (x + 0.5) * 0.06
    beam = np.maximum(np.abs(y) - taper, np.abs(x - 0.1) - 0.6)
    bores = np.minimum(_disc(x + 0.5, y, big - 0.18), _disc(x - 0.7, y, small - 0.14))
    outline = _subtract(np.minimum(np.minimum(left, right), beam), bores)
    slot = np.maximum(np.abs(y) - taper + 0.08, np.abs(x - 0.2) - 0.24)
    height = _bevel(outline, 0.06) - ramp(slot * -20) * 0.05
    return Relief(outline, height)


_ALL = (gear, hex_nut, washer, bolt, bracket, spring, bearing, pipe_elbow, flange, connecting_rod)
SHAPES: dict[str, Shape] = {shape.__name__: shape for shape in _ALL}
"""Every shape by its label."""
