"""A constructed pilot: trials on curves whose multiple is known, with gates, costs and figures."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from clipc.evaluate.measurement import Measurement
from clipc.study.worth.figures import RoiFigures
from clipc.study.worth.tables import WorthInputs

METRIC = "zero_shot/label/top1"
SIZES = (125, 250, 500, 1000)
GATES: dict[str, Any] = {
    "meaning": {
        "broken": 0,
        "failed_examples": 0,
        "composites": 1240,
        "rules": {"name": "factory", "fingerprint": "9f3c61d2", "constraints": 3},
        "acceptance": {"accepted": 57, "decided": 60},
        "score": None,
    },
    "bias": {"tested": 84, "amplified": 0, "corrected": True},
}
FIGURES: dict[str, Any] = {
    "currency": "JPY",
    "pair": 400,
    "expert": {"hour": 9000, "rules": 4, "review": 2},
    "machine": {"hour": 50},
}


def metrics() -> list[dict[str, Any]]:
    """The one main metric."""
    common = {"chance": 0.1, "ceiling": None, "n": 300, "higher_is_better": True, "unit": "share"}
    return [{"key": METRIC, "main": True, "secondary": False, **common}]


def outcomes(values: np.ndarray) -> list[Any]:
    """What the tables read of trials: a seed and the items of the metric."""
    return [
        SimpleNamespace(
            trial=SimpleNamespace(recipe=SimpleNamespace(seed=seed)), measurements={METRIC: Measurement(METRIC, row)}
        )
        for seed, row in enumerate(values)
    ]


def hits(rng: np.random.Generator, logits: Any, seeds: int, difficulty: np.ndarray) -> np.ndarray:
    """The hits of trained models: shared difficulty, noise of each seed and each item."""
    own = rng.normal(0, 0.06, (seeds, 1)) + rng.normal(0, 0.4, (seeds, len(difficulty)))
    share = 1 / (1 + np.exp(-(logits + difficulty + own)))
    return (rng.random(share.shape) < share).astype(np.float64)


def constructed(
    multiple: float,
    *,
    seed: int = 0,
    seeds: int = 8,
    items: int = 200,
    slope: float = 0.5,
    probe: float = -1.2,
    figures: dict[str, Any] | None = FIGURES,
    gates: dict[str, Any] | None = None,
    credit: str | None = "own",
    **more: Any,
) -> WorthInputs:
    """A pilot in which n pairs with composition are worth ``multiple`` * n plain pairs.

    Args:
        multiple: The true multiple, at every size.
        seed: The seed of the construction.
        seeds: The number of training seeds.
        items: The number of test items.
        slope: How fast the logit of accuracy rises with the logarithm of the pairs.
        probe: The logit of the alternative, a linear probe; plain CLIP at all pairs has 0.
        figures: The user's figures.
        gates: The gates' tables; by default both pass.
        credit: What the gain is credited to.
        more: Other fields of the inputs.
    """
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 1.0, items)
    groups: dict[tuple[str, int], Any] = {}
    for size in SIZES:
        for arm, pairs in (("clip", size), ("clip-c", multiple * size)):
            groups[arm, size] = outcomes(hits(rng, slope * np.log(pairs / SIZES[-1]), seeds, difficulty))
    alternative = Measurement(METRIC, hits(rng, probe, 1, difficulty)[0])
    fields: dict[str, Any] = {
        "groups": groups,
        "metrics": metrics(),
        "baseline": "clip",
        "arm": "clip-c",
        "alternatives": {"linear-probe": alternative},
        "gates": GATES if gates is None else gates,
        "credit": credit,
        "costs": {"device": "cpu", "hours": 0.5, "cores": 2, "composition_ratio": 0.998},
        "figures": None if figures is None else RoiFigures.model_validate(figures),
    }
    return WorthInputs(**{**fields, **more})
