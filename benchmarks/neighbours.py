"""Time, memory and recall of finding each pair's nearest ones, against scikit-learn's exact search on a sample.

    python benchmarks/neighbours.py [--pairs 1000000] [--dims 256]

The vectors are a mixture of clusters, as captions' are: isotropic noise has no neighbours to speak of.
"""

import argparse
import resource
import time

import numpy as np
from sklearn.neighbors import NearestNeighbors

from clipc.compose.similarity.caption_vectors import unit_rows
from clipc.compose.similarity.neighbours import nearest
from clipc.progress import terminal


def clustered(n: int, dims: int) -> np.ndarray:
    """Unit vectors around one centre for every 200 of them, ``float32``, shape (n, dims)."""
    generator = np.random.Generator(np.random.Philox(0))
    centres = generator.standard_normal((max(1, n // 200), dims), dtype=np.float32)
    vectors = generator.standard_normal((n, dims), dtype=np.float32)
    vectors *= 0.7
    for start in range(0, n, 100_000):
        part = vectors[start : start + 100_000]
        part += centres[generator.integers(0, len(centres), len(part))]
    return unit_rows(vectors)


def main() -> None:
    """Prints one line a search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--sample", type=int, default=500)
    asked = parser.parse_args()
    vectors, k = clustered(asked.pairs, asked.dims), 10
    began = time.perf_counter()
    with terminal() as progress:
        found = nearest(vectors, k, progress=progress)
    minutes = (time.perf_counter() - began) / 60
    rows = np.linspace(0, len(vectors) - 1, asked.sample).astype(int)
    exact = NearestNeighbors(n_neighbors=k + 1, algorithm="brute", metric="cosine").fit(vectors)
    began = time.perf_counter()
    others = exact.kneighbors(vectors[rows], return_distance=False)
    peer = (time.perf_counter() - began) / 60 * len(vectors) / len(rows)
    right = [len(set(found[row]) & (set(line) - {row})) / k for row, line in zip(rows, others, strict=True)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{asked.pairs:,} pairs of {asked.dims} numbers, {k} nearest")
    print(f"clipc         {minutes:8.1f} minutes   recall@{k} {np.mean(right):.3f}   memory at most {memory:.2f} GB")
    print(f"scikit-learn  {peer:8.1f} minutes   exact, reckoned from {asked.sample} rows; ratio {peer / minutes:.1f}")


if __name__ == "__main__":
    main()
