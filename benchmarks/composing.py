"""What composing costs training: the same recipe at two rates, step by step in turn, in one process.

    python benchmarks/composing.py --source flickr8k.tar --model small

A composite replaces a plain example, so pictures and batches stay what they were; what may cost is a longer caption and
a second source to cut from. Times on a CPU are processor seconds, so that other work on the machine counts little. On a
GPU (--device cuda --precision bf16 --compile --batch 1024) they are seconds of the clock, each step waited for, and the
share of the loader in them is what the GPU waits for at most: in a run batches are rendered ahead by other processes,
or on the GPU itself while this process prepares what comes next.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from clipc.catalog.open import open_catalog
from clipc.models.text_tower import computed_tokens
from clipc.recipe.recipe import make_recipe
from clipc.recipe.run import Run
from clipc.render.batch import Batch
from clipc.train.loop import Trainer
from clipc.train.train import make_trainer


def main() -> None:
    """Prints a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="demo", help="the pairs, as for clipc train")
    parser.add_argument("--model", default="small")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--image-size", type=int, default=None)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--compile", action="store_true", help="torch.compile; more steps are left out before timing")
    parser.add_argument("--renderer", default="resident", choices=("worker", "resident"))
    parser.add_argument("--quick", action="store_true", help="a few small steps, to see that it runs")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.model, asked.batch, asked.steps = "nano", 16, 2
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    catalog = open_catalog(asked.source)
    trainers: dict[float, Trainer] = {}
    with tempfile.TemporaryDirectory() as folder:
        for rate in (0.0, asked.rate):
            recipe = make_recipe(
                {
                    "model": asked.model,
                    "image_size": asked.image_size,
                    "batch_size": asked.batch,
                    "samples": asked.batch * (asked.steps + 11),
                    "renderer": asked.renderer,
                    "device": asked.device,
                    "precision": asked.precision,
                    "compile": asked.compile,
                    "augmentation": {"crop_scale": [0.5, 1.0], "flip": 0.5},
                    "policy": {"rho": rate},
                }
            )
            trainers[rate] = make_trainer(recipe, Run(Path(folder) / str(rate)), catalog)
    unmeasured = 10 if asked.compile else 2
    table = {rate: figures(steps) for rate, steps in timed(trainers, asked.steps, unmeasured).items()}
    plain, composed = table.values()
    lost = 1 - plain["step_seconds"] / composed["step_seconds"]
    found = {"source": catalog.about.name, **vars(asked), "rates": table, "lost": lost}
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{asked.model}, batch {asked.batch}, {asked.renderer} renderer, {catalog.about.name}; {device(trainers)}")
    print(f"{'rho':>5} {'tokens':>8} {'loader ms':>10} {'learning ms':>12} {'step ms':>9} {'pairs/s':>9}")
    for rate, row in table.items():
        loader, learning, step = (1e3 * row[f"{name}_seconds"] for name in ("loader", "learning", "step"))
        speed = asked.batch / row["step_seconds"]
        print(f"{rate:5.2f} {row['tokens']:8.1f} {loader:10.1f} {learning:12.1f} {step:9.1f} {speed:9.0f}")
    share = composed["loader_seconds"] / composed["step_seconds"]
    print(f"the loader's share of a step at rho {asked.rate:g}: {share:.1%}")
    print(
        f"composing {asked.rate:.0%} of the examples costs {lost:+.1%} of the speed (medians of {asked.steps} steps)."
    )


def timed(trainers: dict[float, Trainer], steps: int, unmeasured: int) -> dict[float, list[tuple[float, float, float]]]:
    """Loader seconds, learning seconds and tokens of each step; the rates take turns, the first steps do not count."""
    on_gpu = next(iter(trainers.values())).model.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    batches = {rate: trainer.batches() for rate, trainer in trainers.items()}
    found: dict[float, list[tuple[float, float, float]]] = {rate: [] for rate in trainers}
    for step in range(steps + unmeasured):
        for rate, trainer in trainers.items():
            began = clock()
            batch: Batch = next(batches[rate])
            if on_gpu:
                torch.cuda.synchronize()
            loaded = clock()
            trainer.learner.learn(batch, step).item()
            ended = clock()
            if step >= unmeasured:
                found[rate].append((loaded - began, ended - loaded, computed_tokens(trainer.model.clip, batch.tokens)))
    return found


def figures(steps: list[tuple[float, float, float]]) -> dict[str, float]:
    """Medians over steps."""
    loader, learning, tokens = (list(column) for column in zip(*steps, strict=True))
    whole = [a + b for a, b in zip(loader, learning, strict=True)]
    names = ("loader_seconds", "learning_seconds", "step_seconds", "tokens")
    return {name: median(values) for name, values in zip(names, (loader, learning, whole, tokens), strict=True)}


def device(trainers: dict[float, Trainer]) -> str:
    """What it ran on, in words."""
    first = next(iter(trainers.values())).model.device
    if first.type == "cuda":
        return torch.cuda.get_device_name(first)
    return f"CPU, {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"


if __name__ == "__main__":
    main()
