"""Time and memory of binding six rules to many pairs and planning epochs under them.

    python benchmarks/plan.py [--pairs 1000000] [--rho 0.3]

The pairs have captions and metadata as x-rays do, but no pictures. The figures are for one process and its sandbox; set
OMP_NUM_THREADS=1 and run it on one core (taskset -c 0) to compare.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from clipc import About, Catalog, Policy, make_plans
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
    words = np.array(WORDS)[generator.integers(0, len(WORDS), (n, 6))]
    captions = pa.array([" ".join(row) for row in words.tolist()])
    table = pa.table(
        {
            "key": [str(i) for i in range(n)],
            "captions": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32), captions),
            "label": pa.nulls(n, pa.string()),
            "split": pa.array(["train"] * n),
            "file": pa.array(["film.png"] * n),
            "offset": np.zeros(n, np.int64),
            "size": np.ones(n, np.int64),
            "width": np.full(n, 224, np.int32),
            "height": np.full(n, 224, np.int32),
            "content": generator.integers(0, 2**63, n).astype(np.uint64),
            "dhash": generator.integers(0, 2**63, n).astype(np.uint64),
            "view": np.array(["PA", "AP", "lateral"])[generator.integers(0, 3, n)],
            "patient": [f"p{i}" for i in generator.integers(0, n // 5, n).tolist()],
            "age": generator.integers(0, 90, n),
        }
    )
    return Catalog(table, Path(), "benchmark", About("benchmark"))


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--rho", type=float, default=0.3)
    asked = parser.parse_args()
    catalog = pairs_like_xrays(asked.pairs)
    policies = {
        "no rules": Policy(rho=asked.rho),
        "six rules": Policy(rho=asked.rho, rules=Rules.model_validate(RULES)),
    }
    print(f"{asked.pairs:,} pairs, rho {asked.rho}")
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
    print(f"largest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
