"""A pilot on the tiny set: its scope, which is given, and a pace that is not measured."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pace import Pace
from clipc.study.pilot.pilot import run_pilot

from ..in_process import in_process

ARMS = ["clip", "clip-c-guarded"]
PACE = {"pairs_per_second": 96.0, "validation_seconds": 0.0, "fixed_seconds": 1.0}
SETTLED = {"pairs": 40, "arms": ARMS, "seeds": 3, "renderer": "worker", "pace": PACE}
SETTLED |= {"minutes": 1.0, "feature_minutes": 0.0}


class Measured:
    """Stands for the measurement of the pace: counts how often it is asked for."""

    def __init__(self, pace: Pace) -> None:
        self.pace, self.count = pace, 0

    def __call__(self, *_: Any) -> Pace:
        self.count += 1
        return self.pace


def plan_of(options: PilotOptions, folder: Path) -> dict[str, Any]:
    """What the experiment would run; its trials are stopped by :func:`measured`."""
    plans: list[Any] = []
    only = replace(options, stages=("experiment",))
    with pytest.raises(InterruptedError), in_process():
        run_pilot(only, folder, announce=lambda name, facts: plans.append(facts) if name == "plan" else None)
    return plans[0]
