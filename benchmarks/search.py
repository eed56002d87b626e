"""Processor time and memory of finding a query's best images among many embeddings, beside plain FAISS and plain NumPy.

    python benchmarks/search.py [--images 100000 1000000] [--dims 256]

The embeddings lie in a file, as the index keeps them, and are mapped into memory. FAISS searches a flat index, which is
exact too, and an inverted file, which is not; both hold a copy of the embeddings in memory.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np

from clipc.compose.similarity.caption_vectors import unit_rows
from clipc.inference.image_index import ImageIndex

TOP = 24


def embeddings(file: Path, n: int, dims: int) -> np.ndarray:
    """Unit vectors around one centre for every 200 of them, ``float32``, shape (n, dims), written in parts."""
    generator = np.random.Generator(np.random.Philox(0))
    centres = generator.standard_normal((max(1, n // 200), dims), dtype=np.float32)
    values: Any = np.memmap(file, np.float32, mode="w+", shape=(n, dims))
    for start in range(0, n, 50_000):
        part = 0.7 * generator.standard_normal((min(50_000, n - start), dims), dtype=np.float32)
        part += centres[generator.integers(0, len(centres), len(part))]
        values[start : start + len(part)] = unit_rows(part)
    values.flush()
    return np.memmap(file, np.float32, mode="r", shape=(n, dims))


def own_megabytes() -> float:
    """The memory of this process without files that are mapped into it."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1000


def milliseconds(work: Callable[[np.ndarray], Any], queries: np.ndarray) -> float:
    """The median processor time of one query."""
    work(queries[:1])
    times: list[float] = []
    for query in queries:
        began = time.process_time()
        work(query[None])
        times.append(1000 * (time.process_time() - began))
    return median(times)


def main() -> None:
    """Prints a table for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="few images, for a test")
    asked = parser.parse_args()
    faiss.omp_set_num_threads(1)
    for n in [2_000] if asked.quick else asked.images:
        with tempfile.TemporaryDirectory() as folder:
            compare(embeddings(Path(folder) / "values.bin", n, asked.dims), asked.queries)


def compare(values: np.ndarray, count: int) -> None:
    """Prints the table for one set of embeddings."""
    n, dims = values.shape
    rng = np.random.Generator(np.random.Philox(1))
    noise = 0.02 * rng.standard_normal((count, dims), dtype=np.float32)
    queries = unit_rows(np.asarray(values[rng.integers(0, n, count)]) + noise)
    before = own_megabytes()
    index = ImageIndex(None, None, values, np.arange(n))  # pyright: ignore - neither model nor catalog is used
    exact = [one.rows for one in index.nearest(queries[:1], TOP)]
    memory = own_megabytes() - before
    exact += [one.rows for one in index.nearest(queries[1:], TOP)]

    def plain(query: np.ndarray) -> np.ndarray:
        scores = (query @ values.T)[0]
        best = np.argpartition(-scores, TOP)[:TOP]
        return best[np.argsort(-scores[best])]

    print(f"{n:,} images of {dims} numbers, the {TOP} best, one query at a time, one thread")
    print(f"clipc, exact        {milliseconds(lambda q: index.nearest(q, TOP), queries):8.2f} ms")
    print(f"NumPy, exact        {milliseconds(plain, queries):8.2f} ms")
    flat = faiss.IndexFlatIP(dims)
    flat.add(np.ascontiguousarray(values))
    print(f"FAISS flat, exact   {milliseconds(lambda q: flat.search(q, TOP), queries):8.2f} ms")
    equal = np.mean([len({*a} & {*b}) / TOP for a, b in zip(exact, flat.search(queries, TOP)[1], strict=True)])
    began = time.process_time()
    lists = max(1, round(n**0.5))
    inverted = faiss.IndexIVFFlat(faiss.IndexFlatIP(dims), dims, lists, faiss.METRIC_INNER_PRODUCT)
    inverted.cp.min_points_per_centroid = 1
    inverted.train(np.ascontiguousarray(values[:: max(1, n // (40 * lists))]))
    inverted.add(np.ascontiguousarray(values))
    inverted.nprobe = 8
    built = time.process_time() - began
    took = milliseconds(lambda q: inverted.search(q, TOP), queries)
    recall = np.mean([len({*a} & {*b}) / TOP for a, b in zip(exact, inverted.search(queries, TOP)[1], strict=True)])
    print(f"FAISS inverted file {took:8.2f} ms, recall {recall:.3f}, {built:.0f} s to build")
    print(f"equal to FAISS flat {equal:.4f}; memory beside the mapped file {memory:.0f} MB\n")


if __name__ == "__main__":
    main()
