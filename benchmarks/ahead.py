"""Who renders ahead best: processes, threads, or nobody; the worker renderer, pairs a second by the clock.

    python benchmarks/ahead.py [--source FOLDER --size 112] [--counts 1 2] [--quick]

No peer: PyTorch's loader is what the processes are. Threads are tried as they would be used, a pool that renders whole
batches; decoding and resizing release Python's lock, what lies between does not. Every way shows the same batches, and
the ways take turns; the figures are medians of rounds after a first one, which starts processes and fills caches.
"""

import argparse
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import median

import torch
from loader import BATCH, SCALE, draw_tars

from clipc import Policy, open_catalog
from clipc.models.tokenizer import load_tokenizer
from clipc.prepare.plans import make_plans
from clipc.render.batch import Batch
from clipc.render.crop import Augmentation
from clipc.render.loader import load
from clipc.render.worker import WorkerRenderer

Way = Callable[[range], Iterator[Batch]]


def by_threads(renderer: WorkerRenderer, count: int) -> Way:
    """Batches by a pool of threads, a few ahead, in order."""

    def way(steps: range) -> Iterator[Batch]:
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(count) as pool:
            for step in steps:
                waiting.append(pool.submit(renderer.render, step * BATCH, (step + 1) * BATCH))
                if len(waiting) > 4 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    return way


def ways(renderer: WorkerRenderer, counts: list[int]) -> dict[str, Way]:
    """Every way of rendering the same batches."""
    found: dict[str, Way] = {"in the training process": lambda steps: load(renderer, BATCH, steps)}
    for count in counts:
        found[f"{count} processes"] = lambda steps, count=count: load(renderer, BATCH, steps, workers=count)
        found[f"{count} threads"] = by_threads(renderer, count)
    return found


def rate(way: Way, steps: range) -> float:
    """Pairs a second from the second batch on: processes are started once a run."""
    batches = way(steps)
    next(batches)
    began = time.perf_counter()
    shown = sum(map(len, batches))
    return shown / (time.perf_counter() - began)


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="a folder of tars; drawn JPEGs of 500 x 375 px by default")
    parser.add_argument("--size", type=int, default=224, help="side of the pictures that come out, in pixels")
    parser.add_argument("--grain", type=float, default=11, help="noise of drawn JPEGs, as for loader.py")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2], help="how many processes and threads")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a few batches, one round, to see that it runs")
    parser.add_argument("--json", action="store_true", help="prints one JSON object")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source = asked.source or draw_tars(Path(folder), 320 if asked.quick else 2000, asked.grain)
        pairs = open_catalog(source).split("train")
        renderer = WorkerRenderer(
            make_plans(Policy(rho=0.3), pairs, 0),
            Augmentation(crop_scale=SCALE),
            asked.size,
            load_tokenizer("ViT-B-32"),
        )
        steps = range(3 if asked.quick else max(20, len(pairs) // BATCH))
        tried = ways(renderer, asked.counts)
        rates: dict[str, list[float]] = {name: [] for name in tried}
        for round_number in range(1 + (1 if asked.quick else asked.rounds)):
            for name, way in tried.items():
                found = rate(way, steps)
                if round_number:
                    rates[name].append(found)
    if asked.json:
        print(json.dumps({"cores": os.cpu_count(), "rates": rates}))
        return
    alone = rates["in the training process"]
    print(f"{len(pairs):,} pairs at {asked.size} px, rho 0.3; {os.cpu_count()} cores; medians of {len(alone)} rounds")
    print(f"{'':24s} {'pairs/s':>10s} {'ratio':>8s}")
    for name, found in rates.items():
        ratio = median(one / other for one, other in zip(found, alone, strict=True))
        print(f"{name:24s} {median(found):10.0f} {ratio:8.2f}")


if __name__ == "__main__":
    main()
