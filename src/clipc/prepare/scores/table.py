"""The table of scores of candidate composites, computed once for all epochs, and the time that it took."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clipc.array_cache import arrays_digest, cached_array
from clipc.compose.arrays import Float32s
from clipc.compose.plan import Plans
from clipc.compose.score import Score, candidate_weights
from clipc.compose.streams import candidate_generator
from clipc.prepare.scores.candidates import CandidateComposites, draw_candidates
from clipc.prepare.scores.composites import Composites


class Scorer(Protocol):
    """Scores composites."""

    @property
    def fingerprint(self) -> str:
        """What the scores depend on, pairs and composites apart."""
        ...

    def __call__(self, plans: Plans, composites: Composites) -> dict[str, Float32s]:
        """The parts of the scores, by name, each in [0, 1], ``float32``, shape (m,); a score is the least of them.

        Args:
            plans: The plans with the pairs, rules and wordings.
            composites: The composites of these pairs.
        """
        ...


@dataclass(frozen=True, eq=False)
class RandomScorer:
    """The control: scores by chance, which no quality of a composite decides.

    Attributes:
        seed: The seed of the scores.
    """

    seed: int

    @property
    def fingerprint(self) -> str:
        """What the scores depend on, pairs and composites apart."""
        return f"random {self.seed}"

    def __call__(self, plans: Plans, composites: Composites) -> dict[str, Float32s]:
        """Uniform numbers as the part ``chance``; see :class:`Scorer`."""
        generator = candidate_generator(self.seed, "mask", 0)
        return {"chance": generator.random(len(composites), dtype=np.float32)}


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """The scores of the candidate composites of n pairs: a table keyed by the first pair, the partner and the layout.

    Attributes:
        candidates: The candidates.
        parts: The parts of their scores, by name, each of shape (m,).
        core_seconds: Processor seconds in which the scores were computed, when that was.
    """

    candidates: CandidateComposites
    parts: Mapping[str, Float32s]
    core_seconds: float

    @cached_property
    def scores(self) -> Float32s:
        """The score of each candidate, in [0, 1]: the least of its parts, ``float32``, shape (m,)."""
        return least(self.parts)

    def inputs(self, score: Score) -> dict[str, npt.NDArray[Any]]:
        """The tables for :class:`~clipc.compose.inputs.Inputs`.

        Args:
            score: How the plan uses the scores.
        """
        right = self.candidates.right
        weights = candidate_weights(self.candidates.table(self.scores, np.nan), right, score)
        return {
            "candidates": right,
            "candidate_layouts": self.candidates.layouts,
            "candidate_weights": weights,
        }


def least(parts: Mapping[str, Float32s]) -> Float32s:
    """The least of the parts of scores, shape (m,)."""
    return np.min(np.stack(list(parts.values())), axis=0)


def score_table(plans: Plans, scorer: Scorer, cache: Path | None = None) -> ScoreTable:
    """Draws the candidate composites of a policy and scores them, or finds their scores in the cache.

    Args:
        plans: The plans without scores: their pairs, policy, seed and tables.
        scorer: The scorer.
        cache: The cache folder; None for the default one.
    """
    candidates = draw_candidates(plans.policy, plans.catalog, plans.inputs, plans.seed)
    composites = Composites.of_plan(plans, candidates.plan)
    columns = [getattr(composites, name) for name in ("left", "right", "layout", "first", "second", "swapped")]
    rules = "" if plans.policy.rules is None else plans.policy.rules.model_dump_json()
    shown = f"{plans.policy.layout} {plans.policy.wording} {rules} {plans.policy.own_code or ''}"
    pairs = f"{plans.catalog.fingerprint} {plans.inputs.fingerprints} {arrays_digest(*columns)}"
    fingerprint = f"{scorer.fingerprint} {pairs} {shown}"
    computed: list[tuple[list[str], float]] = []

    def make() -> npt.NDArray[Any]:
        start = time.process_time()
        parts = scorer(plans, composites)
        computed.append((list(parts), time.process_time() - start))
        table = np.zeros(len(composites), dtype=[(name, np.float32) for name in parts])
        for name, values in parts.items():
            table[name] = values
        return table

    table = cached_array("composite-scores", fingerprint, make, cache)
    # Computed earlier, a table cost what it cost then.
    seconds = cached_array(
        "composite-scores-time", fingerprint, lambda: np.array([computed[0][1] if computed else np.nan]), cache
    )
    names = table.dtype.names or ()
    return ScoreTable(candidates, {name: np.asarray(table[name]) for name in names}, float(seconds[0]))
