"""One image of the demo set: a part with a pose, a material and a state, lit by a lamp and photographed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from clipc.demo.backgrounds import BACKGROUNDS
from clipc.demo.defects import STATES, Surface
from clipc.demo.field import Field, axes, blend, blur, clouds, grain, pixels, rgb, rotate
from clipc.demo.shapes import SHAPES

SIDE = 80
"""The side of an image in pixels."""

_DRAWING_SIDE = 2 * SIDE
"""The side of the drawing in pixels, before it is downsampled to the image."""


@dataclass(frozen=True)
class Material:
    """A part's material: its colour (RGB, 0 to 1), its gloss (0 to 1), and whether it can rust."""

    rgb: tuple[float, float, float]
    gloss: float
    rusts: bool


MATERIALS = {
    "steel": Material((0.62, 0.64, 0.67), 0.8, rusts=True),
    "black": Material((0.18, 0.18, 0.19), 0.75, rusts=True),
    "brass": Material((0.78, 0.62, 0.28), 0.8, rusts=False),
    "copper": Material((0.78, 0.44, 0.31), 0.8, rusts=False),
    "blue": Material((0.16, 0.32, 0.72), 0.6, rusts=True),
    "red": Material((0.72, 0.14, 0.14), 0.6, rusts=True),
}
"""Every material by the label of its colour; blue and red are paint on steel."""


@dataclass(frozen=True)
class Scene:
    """The content of an image.

    Attributes:
        shape: A key of ``SHAPES``.
        state: A key of ``STATES``.
        colour: A key of ``MATERIALS``.
        background: A key of ``BACKGROUNDS``.
        centre: The position of the part's middle, from (-1, -1) at the upper left to (1, 1) at the lower right.
        scale: The part's radius as a fraction of half the image's side.
        angle: The part's rotation, in radians.
    """

    shape: str
    state: str
    colour: str
    background: str
    centre: tuple[float, float]
    scale: float
    angle: float


def scene(shape: str, state: str, rng: np.random.Generator) -> Scene:
    """A random scene with this shape and state: material, background and pose are drawn from ``rng``."""
    colours = [name for name, material in MATERIALS.items() if material.rusts or state != "rusty"]
    scale = rng.uniform(0.66, 0.9)
    slack = 0.94 - scale
    colour = colours[rng.integers(len(colours))]
    background = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
    centre = (rng.uniform(-slack, slack), rng.uniform(-slack, slack))
    return Scene(shape, state, colour, background, centre, scale, angle=rng.uniform(0, 2 * np.pi))


def draw(scene: Scene, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draws a scene at twice the image's size, lights it and photographs it.

    Args:
        scene: The content of the image.
        rng: The generator of everything else: details of the shape and the defects, texture, light and noise.

    Returns:
        RGB ``uint8`` of shape (SIDE, SIDE, 3).
    """
    surface = STATES[scene.state](_surface(scene, rng), rng)
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1.05)
    level = np.cos(elevation)
    lamp = np.array([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)], dtype=np.float32)
    part = _shade(surface, lamp, MATERIALS[scene.colour].gloss)
    floor = BACKGROUNDS[scene.background](_DRAWING_SIDE, rng)
    darkness = 0.3 if scene.background == "light_table" else 0.62
    cover = np.clip(0.5 - surface.distance, 0, 1)
    image = blend(floor * (1 - darkness * _shadow(surface, cover, lamp)), part, cover)
    return _photograph(image, rng)


def _surface(scene: Scene, rng: np.random.Generator) -> Surface:
    """The bare part in its pose: silhouette, relief, and brushed or painted colour."""
    u, v = axes(_DRAWING_SIDE)
    # The camera looks at an angle, which shortens the part vertically.
    slant = rng.uniform(1.0, 1.18)
    x, y = rotate(u - scene.centre[0], (v - scene.centre[1]) * slant, scene.angle)
    x, y = x / scene.scale, y / scene.scale
    relief = SHAPES[scene.shape](x, y, rng)
    size = scene.scale * _DRAWING_SIDE / 2
    material = MATERIALS[scene.colour]
    brushed = clouds(rng, _DRAWING_SIDE, 4, 96) * 0.05 + clouds(rng, _DRAWING_SIDE, 4) * 0.1
    colour = (rng.uniform(0.9, 1.1) + brushed) * relief.tone * rgb(*material.rgb)
    shine = np.broadcast_to(np.asarray(relief.tone, dtype=np.float32), (_DRAWING_SIDE, _DRAWING_SIDE))
    return Surface(relief.distance * size, relief.height * size, colour, shine, size)


def _shade(surface: Surface, lamp: Field, gloss: float) -> Field:
    """Blinn-Phong shading of the surface: ambient, diffuse and specular light; RGB, shape (3, n, n)."""
    slope_x, slope_y = np.zeros_like(surface.height), np.zeros_like(surface.height)
    slope_x[:, 1:-1] = (surface.height[:, 2:] - surface.height[:, :-2]) * 0.5
    slope_y[1:-1] = (surface.height[2:] - surface.height[:-2]) * 0.5
    length = 1 / np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
    facing = (lamp[2] - slope_x * lamp[0] - slope_y * lamp[1]) * length
    half = lamp + np.array([0, 0, 1], dtype=np.float32)
    half /= np.sqrt((half * half).sum())
    specular = np.clip((half[2] - slope_x * half[0] - slope_y * half[1]) * length, 0, 1)
    for _ in range(4):
        specular = specular * specular
    diffuse = 0.34 + 0.82 * np.clip(facing, 0, 1)
    highlight = specular * surface.shine * (gloss * 0.5)
    light = surface.colour * (diffuse + 0.5 * highlight)
    light += 0.5 * highlight
    return light


def _shadow(surface: Surface, cover: Field, lamp: Field) -> Field:
    """The soft shadow on the background, shape (n, n), 0 to 1: away from the lamp, and close around the part."""
    offset = -lamp[:2] / lamp[2] * (0.2 * surface.size)
    cast = np.roll(cover, (round(float(offset[1])), round(float(offset[0]))), axis=(0, 1))
    return blur(np.maximum(cast, cover * 0.7), 0.06 * surface.size)


def _photograph(image: Field, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Downsamples by 2, then applies exposure, tint, slight blur and sensor noise; RGB ``uint8``, (SIDE, SIDE, 3)."""
    rows = image[:, ::2] + image[:, 1::2]
    small = rows[..., ::2] + rows[..., 1::2]
    gain = rng.uniform(0.88, 1.12) / 4
    small = small * rgb(*rng.uniform(0.97 * gain, 1.03 * gain, 3))
    levels = (np.clip(small, 0, 1) * 255).astype(np.uint8)
    sharp = Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
    exposure = pixels(sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.5))))
    return np.clip(exposure + grain(rng, *exposure.shape) * rng.uniform(1.5, 4.5), 0, 255).astype(np.uint8)
