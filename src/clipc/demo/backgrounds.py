"""The backgrounds on which parts lie."""

from collections.abc import Callable
from math import pi

import numpy as np

from clipc.demo.field import Field, axes, blend, clouds, grain, lines, norm, rgb, rotate, wrap

Background = Callable[[int, np.random.Generator], Field]
"""Draws a background: from its side n in pixels to RGB colours from about 0 to 1, shape (3, n, n)."""


def _brightness(rng: np.random.Generator, n: int) -> Field:
    """A smooth factor around 1, shape (n, n): surfaces in use are not equally bright everywhere."""
    return 1 + clouds(rng, n, 4) * 0.07


def conveyor_belt(n: int, rng: np.random.Generator) -> Field:
    """A grey rubber belt with cross ribs."""
    u, _ = rotate(*axes(n), rng.uniform(-0.15, 0.15) + int(rng.integers(2)) * pi / 2)
    rib = lines(u + rng.uniform(0, 1), rng.uniform(0.34, 0.5), 0.05, 0.02)
    lip = lines(u + rng.uniform(0, 1), 0.085, 0.035, 0.03)
    worn = clouds(rng, n, 3, 24) * 0.04
    tone = _brightness(rng, n) * (1 - rib * 0.28 - lip * 0.05) + grain(rng, n, n) * 0.06 + worn
    return tone * rgb(0.42, 0.42, 0.435)


def green_mat(n: int, rng: np.random.Generator) -> Field:
    """A green cutting mat with a printed grid."""
    u, v = rotate(*axes(n), rng.uniform(-0.4, 0.4))
    step = rng.uniform(0.3, 0.42)
    grid = np.maximum(*(lines(t + rng.uniform(0, 1), step, 0.014, 0.012) for t in (u, v)))
    green = (_brightness(rng, n) + grain(rng, n, n) * 0.035) * rgb(0.15, 0.43, 0.29)
    return blend(green, rgb(0.62, 0.78, 0.6), grid * 0.5)


def wooden_bench(n: int, rng: np.random.Generator) -> Field:
    """A wooden bench: long grain, and sometimes a gap between two boards."""
    _, v = rotate(*axes(n), rng.uniform(-0.12, 0.12))
    drift = clouds(rng, n, 3) * 0.12
    rings = np.sin((v + drift) * rng.uniform(24, 40)) * 0.07
    fibre = clouds(rng, n, 4, 60) * 0.09
    gap = lines(v + rng.uniform(0, 2), 1.3, 0.022, 0.015)
    return (_brightness(rng, n) + rings + fibre) * (1 - gap * 0.6) * rgb(0.66, 0.48, 0.31)


def light_table(n: int, rng: np.random.Generator) -> Field:
    """A white glass plate lit from below; its edges are a little darker."""
    u, v = axes(n)
    u, v = u - rng.uniform(-0.3, 0.3), v - rng.uniform(-0.3, 0.3)
    tone = 1 - (u * u + v * v) * 0.07 + clouds(rng, n, 5) * 0.012
    return tone * rgb(0.93, 0.94, 0.95)


def blue_tray(n: int, rng: np.random.Generator) -> Field:
    """A blue plastic tray with round perforations."""
    u, v = rotate(*axes(n), rng.uniform(-0.5, 0.5))
    step = rng.uniform(0.24, 0.32)
    x, y = wrap(u + rng.uniform(0, 1), step), wrap(v + rng.uniform(0, 1), step)
    hole = np.clip((0.055 - norm(x, y)) * 60 + 0.5, 0, 1)
    return (_brightness(rng, n) + grain(rng, n, n) * 0.02) * (1 - hole * 0.55) * rgb(0.25, 0.4, 0.66)


_ALL = (conveyor_belt, green_mat, wooden_bench, light_table, blue_tray)
BACKGROUNDS: dict[str, Background] = {background.__name__: background for background in _ALL}
"""Every background by its name."""
