"""Finished trials that were never trained: figures drawn around a level."""

from pathlib import Path

import numpy as np

from clipc.recipe.recipe import make_recipe
from clipc.study.results import Outcome
from clipc.study.trials import Trial

METRIC = "zero_shot/label/top1"


def outcome(arm: str, seed: int, level: float, *, noise: float = 0.0, n: int = 400, spread: float = 0.01) -> Outcome:
    """A trial whose items are right with a chance around ``level``: some for all arms, some for this one alone."""
    shared = np.random.Generator(np.random.Philox(key=[1, 0])).random(n)
    of_seed = np.random.Generator(np.random.Philox(key=[2, seed])).normal(0, spread)
    own = (
        np.random.Generator(np.random.Philox(key=[3, seed * 1000 + sum(map(ord, arm))])).normal(0, noise)
        if noise
        else 0
    )
    items = (shared < level + of_seed + own).astype(float)
    return Outcome(
        trial=Trial(arm, make_recipe({"model": "nano", "samples": 64, "seed": seed}), Path(f"{arm}-{seed}")),
        summary={
            "composite_share": 0.3,
            "core_seconds": 5.0,
            "validation_core_seconds": 1.0,
            "pairs_per_second": 100.0,
            "best": {"step": 9, "mean_recall": 0.5},
            **{"steps": 10, "samples": 640, "epochs": 2.0, "parameters": 1000, "image_size": 16},
        },
        metrics={METRIC: float(items.mean())},
        last_metrics={METRIC: float(items.mean())},
        context={"images": n, "captions": n, "columns": {"label": {"images": n}}, "chance": {METRIC: 0.1}},
        items={METRIC: items},
        records=[{"step": s, "loss": 3.0 - s / 10} for s in range(10)],
        evaluation_core_seconds=1.0,
        machine={"clipc": "0.1.0"},
    )
