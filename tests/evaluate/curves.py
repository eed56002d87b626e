"""Constructed learning curves whose multiple is known."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SIZES = np.array([125.0, 250.0, 500.0, 1000.0])


def experiment(
    rng: np.random.Generator,
    multiple: float,
    n: float,
    *,
    seeds: int = 8,
    items: int = 250,
    slope: float = 0.5,
    sizes: Floats = SIZES,
) -> tuple[Floats, Floats]:
    """The hits of plain models at each size, and of models with ``n`` pairs that are worth ``multiple * n`` plain ones.

    Items differ in difficulty, which all models share; each seed and each trained model has noise of its own, for all
    items and for single ones. In expectation the other method lies exactly on the plain curve at ``multiple * n``.
    """
    difficulty, by_seed = rng.normal(0, 1.2, items), rng.normal(0, 0.08, (seeds, 1))

    def hits(pairs: float) -> Floats:
        own = rng.normal(0, 0.08, (seeds, 1)) + rng.normal(0, 0.5, (seeds, items))
        share = 1 / (1 + np.exp(-(slope * np.log(pairs / sizes[-1]) + difficulty + by_seed + own)))
        return (rng.random(share.shape) < share).astype(np.float64)

    return np.stack([hits(size) for size in sizes]), hits(multiple * n)
