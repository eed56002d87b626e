"""The queue of composites that experts decide on: rows of a plan, no pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count as numbers
from typing import Final

import numpy as np

from clipc.audit.quality import kept_views
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Float32s, Int64s
from clipc.compose.entries import Candidates
from clipc.compose.plan import Plan, Plans
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compile import compile_rules
from clipc.compose.rules.schema import Rules
from clipc.compose.score import BASELINE, RANDOM, Score
from clipc.errors import UserError
from clipc.prepare.contact_sheet import sheet_plans
from clipc.prepare.new_model import tokenizer_for
from clipc.prepare.scores.composites import Composites
from clipc.prepare.scores.pixels import FixedPlans
from clipc.prepare.scores.reference import make_scorer
from clipc.prepare.scores.table import Scorer, score_table
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.render.batch import Tokenizer

_IDLE_EPOCHS: Final = 3
_IDLE_ROWS: Final = 1000
"""Epochs, and rows, without a new composite after which there are hardly more."""


@dataclass(frozen=True, eq=False)
class ReviewQueue:
    """The composites that wait for a decision, in the order in which they are shown.

    Attributes:
        plans: Plans whose rows are the composites; m rows.
        scores: The score of each, ``float32``, shape (m,); None without a model.
        tokenizer: The tokenizer that limits joint captions.
    """

    plans: FixedPlans
    scores: Float32s | None
    tokenizer: Tokenizer

    def __len__(self) -> int:
        return len(self.plans.plan)

    @property
    def pairs(self) -> Catalog:
        """The training pairs."""
        return self.plans.catalog

    @cached_property
    def names(self) -> list[tuple[str, str, str]]:
        """What identifies each composite in a decisions file: the keys of both pairs, and the layout."""
        plan, keys = self.plans.plan, self.pairs.keys
        columns = zip(plan.left.tolist(), plan.right.tolist(), plan.layout.tolist(), strict=True)
        return [(keys[left], keys[right], plan.shapes[code].name) for left, right, code in columns]

    @cached_property
    def rows(self) -> dict[tuple[str, str, str], int]:
        """The row of each composite by what identifies it."""
        return {name: row for row, name in enumerate(self.names)}

    @cached_property
    def candidates(self) -> Candidates:
        """The composites as rules see them."""
        return as_candidates(Composites.of_plan(self.plans, self.plans.plan))


def as_candidates(composites: Composites) -> Candidates:
    """Composites as rules see them."""
    return Candidates(composites.first, composites.second, composites.layout, composites.swapped)


def removed(rules: Rules, plans: Plans, candidates: Candidates) -> list[Bools]:
    """Which composites each rule on two pairs, and each ``never``, removes.

    Args:
        rules: The rules.
        plans: The plans with the pairs and the wording.
        candidates: The composites, m in number.

    Returns:
        For each of ``rules.pairs``, then for each of ``rules.never``, whether it removes each composite, shape (m,).

    Raises:
        UserError: A rule does not fit the columns.
    """
    compiled = compile_rules(rules, CatalogColumns(plans.catalog), plans.policy.wording)
    own = compiled.constraints[: len(rules.pairs)]
    never = [rule.entries[candidates.first] | rule.entries[candidates.second] for rule in compiled.exclusions]
    return [*(rule.test.broken(candidates) for rule in own), *never]


def review_queue(
    recipe: Recipe, catalog: Catalog, count: int, *, score: str | None = None, progress: Progress = silent
) -> ReviewQueue:
    """The composites to decide on: as the plan draws them, or those that a score is least certain of first.

    Without a score they are the distinct composites of the first epochs, in the order of training, so that a share of
    accepted ones holds for the plan. With one they are candidates, of which training with a score draws
    (:class:`~clipc.prepare.scores.table.ScoreTable`): the nearest to 0.5, at which another pair's caption would fit as
    well, one of each first pair before any second one. Equal arguments give equal queues.

    Args:
        recipe: The recipe whose policy makes the composites; a rate of 0 is taken as 1.
        catalog: The data; only the training split is composed.
        count: The largest number of composites.
        score: What scores: a model, or ``checks``; None for the plan's own order.
        progress: Called while tables are computed.

    Raises:
        UserError: No composite can be made, or the policy, its rules or the scorer do not fit the data.
    """
    if score in (BASELINE, RANDOM):
        raise UserError(f"{score} cannot order composites; name a trained model, or checks.")
    changes = {"rho": recipe.policy.rho or 1.0, "treatment": "compose"}
    if score is not None:
        changes |= {"score": Score()}
    recipe = recipe.model_copy(update={"policy": recipe.policy.model_copy(update=changes)})
    pairs, tokenizer = catalog.split("train"), tokenizer_for(recipe, catalog)
    plans = sheet_plans(recipe, pairs, tokenizer, progress)
    scores = None
    if score is None:
        plan = _drawn(plans, count, progress)
    else:
        kept, cache = kept_views(score, recipe), recipe.data.cache
        scorer = make_scorer(score, recipe.seed, tokenizer=tokenizer, kept=kept, cache=cache, progress=progress)
        plan, scores = _uncertain(plans, scorer, count, recipe)
    if not len(plan):
        raise UserError(
            f"no composite of the {len(pairs):,} training pairs can be made under this policy and its rules; "
            "clipc compose says what keeps them plain."
        )
    return ReviewQueue(FixedPlans.showing(plans, plan), scores, tokenizer)


def _drawn(plans: Plans, count: int, progress: Progress) -> Plan:
    """The first distinct composites of the plan."""
    drawn: list[Plan] = []
    drawn_codes, idle = np.zeros(0, dtype=np.int64), 0
    for plan in _epochs(plans):
        composed = plan[np.flatnonzero(plan.right >= 0)]
        codes = _codes(composed, len(plans.catalog))
        _, first = np.unique(codes, return_index=True)
        new = np.sort(first[~np.isin(codes[first], drawn_codes)])[: count - len(drawn_codes)]
        drawn.append(composed[new])
        drawn_codes = np.concatenate([drawn_codes, codes[new]])
        progress("composites drawn", len(drawn_codes), count)
        idle = 0 if len(new) else idle + len(plan)
        if len(drawn_codes) >= count or idle >= max(_IDLE_ROWS, _IDLE_EPOCHS * len(plan)):
            break
    return Plan.concatenate(drawn)


def _epochs(plans: Plans) -> Iterator[Plan]:
    n = len(plans.catalog)
    for epoch in numbers():
        yield plans.rows(epoch * n, (epoch + 1) * n)


def _codes(plan: Plan, pairs: int) -> Int64s:
    """A number for each composite of two pairs in a layout."""
    return (plan.left.astype(np.int64) * pairs + plan.right) * 256 + plan.layout


def _uncertain(plans: Plans, scorer: Scorer, count: int, recipe: Recipe) -> tuple[Plan, Float32s]:
    """The candidates nearest to a score of 0.5, and their scores."""
    table = score_table(plans, scorer, recipe.data.cache)
    plan, scores = table.candidates.plan, table.scores
    doubt = np.abs(scores - np.float32(0.5))
    order = np.lexsort((doubt, plan.left))  # by first pair, then by doubt
    left = plan.left[order]
    place = np.arange(len(left)) - np.searchsorted(left, left)
    shown = order[np.lexsort((order, doubt[order], place))][:count]
    return plan[shown], scores[shown]
