"""Constructed pairs with known associations, without images.

Captions are numbered: partners with equal captions are avoided, which would itself be an association across halves.
"""

import numpy as np

from clipc.catalog.catalog import Catalog
from compose.pairs import catalog_of

CAMERAS = ("A", "B")
CLASSES = ("scratch", "dent", "stain", "crack")


def camera_set(n: int, lift: float, seed: int = 0) -> Catalog:
    """Pairs with a column ``camera`` of two values and four equally frequent classes.

    Camera A shows scratches ``lift`` times as often as by chance; the other classes do not depend on the camera beyond
    that. Captions name the class.
    """
    rng = np.random.default_rng(seed)
    camera = rng.integers(0, 2, n)
    scratch = rng.random(n) < np.where(camera == 0, 0.25 * lift, 0.25 * (2 - lift))
    other = rng.integers(1, 4, n)
    kind = np.where(scratch, 0, other)
    captions = [[f"a steel plate with a {CLASSES[k]}, number {i}"] for i, k in enumerate(kind)]
    return catalog_of(
        captions,
        camera=[CAMERAS[c] for c in camera],
        defect=[CLASSES[k] for k in kind],
        label=[CLASSES[k] for k in kind],
    )


def gender_set(n: int, lift: float, seed: int = 0, japanese: bool = False) -> Catalog:
    """Pairs whose captions name a woman or a man, and a sport; women play tennis ``lift`` times as often as chance."""
    rng = np.random.default_rng(seed)
    woman = rng.random(n) < 0.5
    tennis = rng.random(n) < np.where(woman, 0.2 * lift, 0.2 * (2 - lift))
    captions: list[list[str]] = []
    for i, (is_woman, is_tennis) in enumerate(zip(woman, tennis, strict=True)):
        if japanese:
            captions.append(
                [f"{'女性' if is_woman else '男性'}が{'テニス' if is_tennis else 'サッカー'}をしている。番号{i}"]
            )
        else:
            game = "tennis" if is_tennis else "soccer"
            captions.append([f"A {'woman' if is_woman else 'man'} plays {game}, number {i}.", "people at play"])
    return catalog_of(captions)
