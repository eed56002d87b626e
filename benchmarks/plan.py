"""What comes before training: indexing pairs, planning epochs of 1,000 to 10,000,000 of them, and planning under rules.

    python benchmarks/plan.py [--sizes 1000 10000 100000 1000000 10000000] [--pairs 1000000] [--rho 0.3] [--quick]

The pairs have captions and metadata as x-rays do, but no pictures: a table in memory becomes a catalog (fingerprint,
written, opened from the cache), and then a plan. Reading tars and looking at every picture in them is measured on fewer
pairs, since it is the pictures that cost. The first table's figures are processor seconds; each size has a process of
its own, whose memory stands beside that of the pairs alone. The rules' figures are for one process and its sandbox; set
OMP_NUM_THREADS=1 and run it on one core (taskset -c 0) to compare.
"""

import argparse
import io
import multiprocessing
import resource
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from clipc import About, Catalog, Policy, make_plans, open_catalog
from clipc.catalog.cache import through_cache
from clipc.catalog.catalog import fingerprint
from clipc.catalog.images import inspect_images
from clipc.catalog.rows import Source
from clipc.compose.plan import plan_epoch
from clipc.compose.rules.schema import Rules

RULES = {
    "name": "six rules",
    "fields": {"side": r"regexp_extract(lower(caption), '\b(left|right)\b', 1)"},
    "pairs": [
        {"require": "a.view = b.view"},
        {"forbid": "a.patient = b.patient", "unknown": "refuse"},
        {"forbid": "a.side <> b.side"},
        {"require": "abs(a.age - b.age) < 30"},
        {"forbid": "word(a.caption, 'clear', 'normal') <> word(b.caption, 'clear', 'normal')"},
    ],
    "captions": [{"forbid": r"\bsmall nodule\b.*\blarge nodule\b"}],
}
WORDS = (
    *("left", "right", "lower", "upper", "lobe", "opacity", "clear", "effusion"),
    *("small", "large", "nodule", "chest", "film", "normal", "bilateral"),
)


def pairs_like_xrays(n: int) -> Catalog:
    """Pairs without pictures: 6 words a caption, 3 views, 5 films a patient."""
    generator = np.random.Generator(np.random.Philox(0))
    different = min(n, 1 << 16)
    words = np.array(WORDS)[generator.integers(0, len(WORDS), (different, 6))]
    sentences = pa.array([" ".join(row) for row in words.tolist()])
    captions = sentences.take(pa.array(generator.integers(0, different, n)))
    numbers = pa.array(np.arange(n))
    patients = pa.array(generator.integers(0, max(1, n // 5), n))
    views = pa.array(["PA", "AP", "lateral"]).take(pa.array(generator.integers(0, 3, n)))
    table = pa.table(
        {
            "key": pc.cast(numbers, pa.string()),
            "captions": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32), captions),
            "label": pa.nulls(n, pa.string()),
            "split": pa.repeat("train", n),
            "file": pa.repeat("film.png", n),
            "offset": np.zeros(n, np.int64),
            "size": np.ones(n, np.int64),
            "width": np.full(n, 224, np.int32),
            "height": np.full(n, 224, np.int32),
            "content": generator.integers(0, 2**63, n).astype(np.uint64),
            "dhash": generator.integers(0, 2**63, n).astype(np.uint64),
            "view": views,
            "patient": pc.binary_join_element_wise("p", pc.cast(patients, pa.string()), ""),
            "age": generator.integers(0, 90, n),
        }
    )
    return Catalog(table, Path(), "benchmark", About("benchmark"))


def cost(n: int, rho: float) -> tuple[list[float], float, float]:
    """Processor seconds of keeping, opening and planning so many pairs, and memory in GB before and after."""
    made = pairs_like_xrays(n)
    before = memory()
    with tempfile.TemporaryDirectory() as folder:
        source = Source(Path(folder), "benchmark", [], lambda told: iter(()))
        times = [time.process_time()]
        through_cache(source, {}, Path(folder), lambda: replace(made, fingerprint=fingerprint(made.table)))
        times.append(time.process_time())
        opened = through_cache(source, {}, Path(folder), lambda: made).split("train")
        times.append(time.process_time())
        for epoch in (0, 1):
            plan_epoch(opened, Policy(rho=rho), 0, epoch)
            times.append(time.process_time())
    return np.diff(times).tolist(), before, memory()


def memory() -> float:
    """The most that this process has held, in GB."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / (1e9 if sys.platform == "darwin" else 1e9 / 1024)


def sizes_table(sizes: list[int], rho: float) -> None:
    """Prints one line for each number of pairs."""
    stages = ("keep", "open", "plan", "next plan")
    print(f"{'pairs':>12s}" + "".join(f"{name:>11s}{'pairs/s':>13s}" for name in stages) + "    memory (pairs)")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as processes:
        for n in sizes:
            seconds, before, after = processes.submit(cost, n, rho).result()
            line = "".join(f"{s:10.3f}s{n / s:13,.0f}" for s in seconds)
            print(f"{n:12,}{line}   {after:.2f} GB ({before:.2f})", flush=True)


def tar_line(n: int) -> None:
    """Prints what indexing a real tar costs, in processor seconds."""
    generator = np.random.Generator(np.random.Philox(0))
    shapes = Image.fromarray(generator.integers(0, 256, (15, 20, 3), dtype=np.uint8))
    picture = io.BytesIO()
    shapes.resize((500, 375), Image.Resampling.BICUBIC).save(picture, "JPEG", quality=90)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(Path(folder) / "train-0.tar", "w") as tar:
            for number in range(n):
                for ending, body in (("jpg", picture.getvalue()), ("txt", f"a film, number {number}".encode())):
                    entry = tarfile.TarInfo(f"{number:06d}.{ending}")
                    entry.size = len(body)
                    tar.addfile(entry, io.BytesIO(body))
        most = inspect_images.DECODED_UP_TO
        for what, limit in ((f"decoded, as up to {most:,}", most), ("headers alone, as above that", 0)):
            with mock.patch.object(inspect_images, "DECODED_UP_TO", limit):
                began = time.process_time()
                assert len(open_catalog(folder, cache=Path(folder, str(limit)))) == n
                seconds = time.process_time() - began
            print(f"index a tar of {n:,} JPEGs (500 x 375 px; {what}): {seconds:.2f} s, {n / seconds:,.0f} pairs/s")


def rules_table(n: int, rho: float) -> None:
    """Prints what planning under rules costs."""
    catalog = pairs_like_xrays(n)
    policies = {
        "no rules": Policy(rho=rho),
        "six rules": Policy(rho=rho, rules=Rules.model_validate(RULES)),
    }
    print(f"{n:,} pairs, rho {rho}")
    print(f"{'':12s} {'bind':>8s} {'epoch':>8s} {'next':>8s} {'composed':>10s} {'stayed plain':>13s}")
    for name, policy in policies.items():
        began = time.perf_counter()
        plans = make_plans(policy, catalog, 0)
        bound = time.perf_counter()
        statistics = plans.rows(0, len(catalog)).statistics()
        first = time.perf_counter()
        plans.rows(len(catalog), 2 * len(catalog))
        second = time.perf_counter()
        stayed = sum(statistics["fallbacks"].values())
        times = f"{bound - began:7.2f}s {first - bound:7.2f}s {second - first:7.2f}s"
        print(f"{name:12s} {times} {statistics['composed']:10,} {stayed:13,}")
    print(f"largest memory of this process: {memory():.2f} GB")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10**i for i in range(3, 8)])
    parser.add_argument("--pairs", type=int, default=1_000_000, help="pairs that are planned under rules")
    parser.add_argument("--rho", type=float, default=0.3)
    parser.add_argument("--quick", action="store_true", help="few pairs, to see that it runs")
    asked = parser.parse_args()
    if asked.quick:
        asked.sizes, asked.pairs = [1000], 1000
    sizes_table(asked.sizes, asked.rho)
    tar_line(100 if asked.quick else 2000)
    rules_table(asked.pairs, asked.rho)


if __name__ == "__main__":
    main()
