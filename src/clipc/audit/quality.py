"""The quality of the composites that a policy would make: their scores, how far to trust these, the worst ones."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipc.audit.calibration import MIN_ACCEPTED, calibrate_threshold, self_calibration
from clipc.audit.decisions import Decision, agreement, consensus, read_decisions
from clipc.catalog.catalog import Catalog
from clipc.catalog.summary import summary
from clipc.compose.layouts import find_layout
from clipc.compose.plan import Plans
from clipc.compose.score import BASELINE, CHECKS, RANDOM, Score
from clipc.errors import UserError, unknown_name
from clipc.models.fingerprints import scorer_fingerprint
from clipc.prepare.new_model import tokenizer_for
from clipc.prepare.plans import make_plans
from clipc.prepare.preview import preview
from clipc.prepare.scores.composites import Composites
from clipc.prepare.scores.pixels import WHOLE, FixedPlans
from clipc.prepare.scores.reference import KeptViewsOf, make_scorer
from clipc.prepare.scores.table import Scorer, ScoreTable, least, score_table
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe, recipe_of_run
from clipc.render.worker import WorkerRenderer

SHARES: Final = (0.9, 0.8, 0.7, 0.6, 0.5, 0.3)
"""Shares of the composites for which the page names the threshold that keeps them."""

_IMAGE_SIZE: Final = 192
_BEST: Final = 4


@dataclass(frozen=True)
class QualityOptions:
    """What a quality audit does.

    Attributes:
        by: The scorer: a model, or ``checks``.
        decisions: Experts' decisions (:func:`~clipc.audit.decisions.read_decisions`); None without any.
        precision: The share of accepted composites that the threshold must keep, in (0, 1).
        split: The split on which the score is tried with swapped captions.
        count: The number of the worst composites that are shown.
    """

    by: str
    decisions: Path | None = None
    precision: float = 0.9
    split: str = "test"
    count: int = 24


def audit_quality(
    catalog: Catalog, recipe: Recipe, options: QualityOptions, progress: Progress = silent
) -> dict[str, Any]:
    """Scores the candidate composites of the training pairs, and tries the score.

    Args:
        catalog: The data.
        recipe: The recipe whose policy makes the composites.
        options: What to do.
        progress: Called while composites are scored.

    Returns:
        Tables ready for JSON: ``source``, ``created``, ``clipc``; ``by``; ``scores`` (the number of ``candidates`` and
        ``pairs``, how many ``pairs_without``, ``core_seconds``, ``per_second``, quantiles of the score and its parts,
        and the ``thresholds`` that keep stated shares); ``calibration`` (see
        :func:`~clipc.audit.calibration.self_calibration`; None for a scorer that reads no captions or without the
        split); ``experts`` (decisions, agreement, area under the curve and threshold; None without decisions); and
        ``samples``, composites for the page, the worst first, then the best.

    Raises:
        UserError: The scorer cannot be used here, the decisions cannot be read, or name pairs that do not exist.
    """
    if options.by in (BASELINE, RANDOM):
        raise UserError(f"{options.by} is no model that can be audited; name a trained one, or {CHECKS}.")
    decisions = None if options.decisions is None else read_decisions(options.decisions)
    changes = {"rho": recipe.policy.rho or 1.0, "treatment": "compose", "score": Score()}
    policy = recipe.policy.model_copy(update=changes)
    cache, pairs = recipe.data.cache, catalog.split("train")
    tokenizer = tokenizer_for(recipe, catalog)
    scorer = make_scorer(
        options.by,
        recipe.seed,
        tokenizer=tokenizer,
        kept=kept_views(options.by, recipe),
        cache=cache,
        progress=progress,
    )
    plans = make_plans(policy, pairs, recipe.seed, cache=cache, progress=progress)
    begin = time.perf_counter()
    table = score_table(plans, scorer, cache)
    seconds = time.perf_counter() - begin
    calibration = None
    if options.by != CHECKS and options.split in catalog.splits:
        calibration = self_calibration(scorer, Plans(catalog.split(options.split), policy, recipe.seed))
    experts = None
    if decisions is not None:
        whole = make_plans(policy, catalog, recipe.seed, cache=cache, progress=progress)
        experts = _experts(scorer, whole, decisions, options)
    return {
        "kind": "quality",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "clipc": version("clipc"),
        "source": summary(catalog),
        "by": options.by,
        "fingerprint": scorer_fingerprint(options.by),
        "scores": _score_facts(table, seconds),
        "calibration": None if calibration is None else {"split": options.split, **calibration},
        "experts": experts,
        "samples": _samples(plans, table, tokenizer, options.count),
    }


def kept_views(by: str, recipe: Recipe) -> KeptViewsOf | None:
    """The views whose features a scorer reads: those of the recipe, or those that the model's own run kept."""
    if (own := KeptViewsOf.of(recipe)) is not None:
        return own
    if (Path(by) / "recipe.yaml").is_file() and recipe.policy.layout == "centre-halves":
        return KeptViewsOf.of(recipe_of_run(Path(by)))
    return None


def _score_facts(table: ScoreTable, seconds: float) -> dict[str, Any]:
    scores, right = table.scores, table.candidates.right
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    named = {"score": scores, **table.parts}
    quantiles = {
        name: [round(float(q), 4) for q in np.quantile(values, levels)] if len(values) else []
        for name, values in named.items()
    }
    thresholds = [
        {"keep": share, "threshold": float(np.quantile(scores, 1 - share))} for share in SHARES if len(scores)
    ]
    return {
        "pairs": table.candidates.pairs,
        "pairs_without": int((right < 0).all(axis=1).sum()),
        "candidates": len(scores),
        "core_seconds": table.core_seconds,
        "seconds": seconds,
        "levels": levels,
        "quantiles": quantiles,
        "thresholds": thresholds,
    }


def _experts(scorer: Scorer, plans: Plans, decisions: Sequence[Decision], options: QualityOptions) -> dict[str, Any]:
    """What the experts' decisions say of the score."""
    from clipc.evaluate.statistics.auc import auc

    composites, accepted = decided_composites(plans, decisions, options.decisions)
    scores = least(scorer(plans, composites)) if len(composites) else np.zeros(0, dtype=np.float32)
    good = np.asarray(accepted, dtype=np.bool_)
    area = auc(scores[good], scores[~good]).as_dict() if 0 < good.sum() < len(good) else None
    threshold = None
    if len(good) >= MIN_ACCEPTED:
        found = calibrate_threshold(scores.tolist(), accepted, options.precision)
        threshold = {**asdict(found), "precision": found.precision.as_dict()}
    return {
        "decisions": len(decisions),
        "composites": len(good),
        "accepted": int(good.sum()),
        "agreement": agreement(decisions),
        "area": area,
        "threshold": threshold,
        "wanted": options.precision,
        "needed": MIN_ACCEPTED,
    }


def decided_composites(plans: Plans, decisions: Sequence[Decision], file: Path | None) -> tuple[Composites, list[bool]]:
    """The composites that experts decided on, with each pair's first caption, and whether they are accepted.

    Args:
        plans: Plans of all pairs.
        decisions: The decisions.
        file: The file that they come from, for messages.

    Raises:
        UserError: A pair or a layout does not exist.
    """
    row_of = {key: row for row, key in enumerate(plans.catalog.keys)}
    votes = consensus(decisions)
    layout_type = find_layout(plans.policy.layout)
    shapes = [shape.name for shape in layout_type.all_shapes]
    composed = [shapes[code] for code in layout_type.codes]
    for left, right, layout in votes:
        for key in (left, right):
            if key not in row_of:
                raise UserError(
                    f"{file} decides on the pair {key!r}, which {plans.catalog.about.name} does not have; its pairs "
                    f"have keys such as {plans.catalog.keys[0]!r}."
                )
        if layout not in composed:
            raise UserError(f"{file}: {unknown_name('layout', layout, composed)}")
    left = np.array([row_of[left] for left, _, _ in votes], dtype=np.int32)
    right = np.array([row_of[right] for _, right, _ in votes], dtype=np.int32)
    codes = np.array([shapes.index(layout) for _, _, layout in votes], dtype=np.uint8)
    first, zero = plans.entries.first, np.zeros(len(left), dtype=np.uint8)
    made = Composites(left, right, codes, first[left], first[right], zero.astype(np.bool_), zero)
    return made, list(votes.values())


def _samples(plans: Plans, table: ScoreTable, tokenizer: Any, count: int) -> list[dict[str, Any]]:
    """The worst composites, each with a pair of its own as the first one, then the best."""
    order = np.argsort(table.scores, kind="stable")
    left = table.candidates.plan.left

    def distinct(rows: np.ndarray[Any, np.dtype[np.int64]], number: int) -> list[int]:
        _, first = np.unique(left[rows], return_index=True)
        return rows[np.sort(first)][:number].tolist()

    shown = [*distinct(order, count), *distinct(order[::-1], _BEST if len(order) > count else 0)]
    fixed = FixedPlans.showing(plans, table.candidates.plan[np.array(shown, dtype=np.int64)])
    renderer = WorkerRenderer(fixed, WHOLE, _IMAGE_SIZE, tokenizer)
    rows = preview(renderer, len(shown), size=_IMAGE_SIZE)
    worst = min(count, len(shown))
    return [
        {**row, "score": float(table.scores[i]), "worst": number < worst, "parts_of_score": _parts(table.parts, i)}
        for number, (row, i) in enumerate(zip(rows, shown, strict=True))
    ]


def _parts(parts: Mapping[str, Any], row: int) -> dict[str, float]:
    return {name: float(values[row]) for name, values in parts.items()}
