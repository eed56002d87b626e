"""Runs one pilot whole, and kills others at random moments until 20 were killed; then all of them are finished.

It is run as a module from the folder of all tests, with the source, the model and a folder for the pilots as arguments,
and prints one JSON object. Each pilot runs in a fork that has imported everything already, so that moments lie within
the pilot and not within imports.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import sklearn.linear_model  # noqa: F401  The probe imports it only when it is used.

from clipc.recipe.data import Data
from clipc.study.pilot import pace
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pilot import STAGES, run_pilot
from clipc.study.pilot.stages import curve

from ..in_process import in_process

KILLS: Final = 20
VALUES: Final = (
    *("metrics", "comparisons", "verdict", "curves", "power", "training", "confirmation", "untrained"),
    *("doctor", "preview", "meaning", "bias", "bias_gate"),
)
"""The tables of the page that hold no times, and no dates but those of the audits."""

WORTH: Final = ("curve", "equivalence", "gain", "alternatives", "gates", "model", "composition", "to_decide")


def start(source: str, model: str, folder: Path) -> int:
    """Starts a pilot on kept features, with all stages, in a process of its own; returns its number."""
    if child := os.fork():
        return child
    code = 1
    try:
        os.setsid()
        overrides = (f"model={model}", "renderer=features", "tune.image=1", "tune.text=1", "precision=fp32")
        options = PilotOptions(
            data=Data(source=source, cache=folder / "cache"),
            recipe="nano",
            overrides=(*overrides, "samples=160", "batch_size=8", "device=cpu", "checkpoint_seconds=0.1"),
            arms=("clip", "clip-c-guarded"),
            seeds=3,
            jobs=1,
            minutes=240,
            pictures=False,
            go_on=True,
        )
        with in_process():
            tables = run_pilot(options, folder / "pilot")
        values: dict[str, Any] = {name: tables[name] for name in VALUES} | {n: tables["worth"][n] for n in WORTH}
        for audit in ("doctor", "bias"):
            values[audit] = {name: value for name, value in values[audit].items() if name != "created"}
        values["trials"] = [[t["metrics"] for r in arm["results"] for t in r["trials"]] for arm in tables["arms"]]
        (folder / "values.json").write_text(json.dumps(values))
        code = 0
    finally:
        os._exit(code)


def finish(source: str, model: str, folder: Path) -> dict[str, Any]:
    """Runs a pilot to its end, and returns its values."""
    _, state = os.waitpid(start(source, model, folder), 0)
    assert state == 0, f"the pilot in {folder} failed."
    return json.loads((folder / "values.json").read_text())


def kill_at_random(source: str, model: str, root: Path, seconds: float) -> Counter[str]:
    """Kills pilots at random moments; returns how many were killed in each stage, and leaves their folders."""
    generator, killed, number = random.Random(0), Counter[str](), 0
    while killed.total() < KILLS:
        folder = root / f"killed-{number}"
        child, until = start(source, model, folder), time.monotonic() + generator.uniform(0, seconds / 3)
        while (state := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
            time.sleep(0.002)
        if state != (0, 0):
            number += 1  # It ended before its moment came, so the next one begins anew.
            continue
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        stages = (folder / "pilot" / "stages" / f"{name}.json" for name in STAGES)
        killed[next((file.stem for file in stages if not file.exists()), "page")] += 1
    return killed


if __name__ == "__main__":
    curve.LEAST_CURVE_PAIRS, pace.TRAINING_SECONDS = 20, 0.2  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue]
    arguments, root = (sys.argv[1], sys.argv[2]), Path(sys.argv[3])
    begin = time.monotonic()
    whole = finish(*arguments, root / "whole")
    seconds = time.monotonic() - begin
    killed = kill_at_random(*arguments, root, seconds)
    different: list[str] = []
    for folder in sorted(root.glob("killed-*")):
        values = finish(*arguments, folder)
        different += [f"{folder.name}: {name}" for name in whole if values[name] != whole[name]]
    print(json.dumps({"killed": killed, "different": different, "seconds": seconds}))
