"""Rules that decisions so far suggest: paths of a shallow tree, counted on decisions that it has not seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations_with_replacement
from typing import Final

import numpy as np

from clipc.audit.calibration import clopper_pearson
from clipc.compose.arrays import Bools, Int64s
from clipc.compose.plan import Plans
from clipc.compose.rules.schema import PairRule, Rules
from clipc.evaluate.statistics.interval import Interval
from clipc.prepare.scores.composites import Composites
from clipc.review.columns import RuleColumn
from clipc.review.proposals import Condition, RuleProposal
from clipc.review.queue import as_candidates, removed

MIN_DECISIONS: Final = 40
"""The fewest decided composites from which rules are mined: half of them to find rules, half to count them."""

MIN_REJECTED: Final = 5
"""The fewest rejected ones among them."""

_DEPTH: Final = 3
_MIN_LEAF: Final = 4
_MOST_VALUES: Final = 40


@dataclass(frozen=True)
class MinedRule:
    """A rule that decisions suggest.

    Attributes:
        proposal: The rule.
        support: The decided composites that it removes, of those that it was not found on.
        rejected: How many of these experts rejected.
        precision: The share of rejected ones among them: the mean is ``rejected / support``; the exact interval holds
            for all mined rules together.
    """

    proposal: RuleProposal
    support: int
    rejected: int
    precision: Interval


def enough_decisions(accepted: Sequence[bool]) -> bool:
    """Whether decisions are enough to mine rules from."""
    return len(accepted) >= MIN_DECISIONS and len(accepted) - sum(accepted) >= MIN_REJECTED


def mine_rules(
    plans: Plans, columns: Sequence[RuleColumn], composites: Composites, accepted: Sequence[bool]
) -> list[MinedRule]:
    """The rules that experts seem to follow, as far as the columns of both pairs can say them.

    The decided composites are halved by a hash of their first pair's key. On one half a decision tree of depth three
    (CART; Breiman et al. 1984) tells rejected from accepted composites by whether both pairs have the same value of a
    column, whether either has a certain value, whether they have two certain values, and how far apart their numbers
    are. Each leaf with more rejected than accepted ones becomes a rule; a condition that adds nothing is dropped, as in
    C4.5 (Quinlan 1993). On the other half the rules are counted as the rule language evaluates them. A rule is given
    only if the lower bound of its precision (Clopper-Pearson, 95% for all rules together by Bonferroni) is above the
    share that is rejected without it, so that chance alone rarely makes one.

    Args:
        plans: The plans with the pairs.
        columns: The columns of the pairs.
        composites: The decided composites, m in number.
        accepted: Whether each is accepted, shape (m,).

    Returns:
        The rules, the most precise first; none where there are too few decisions, or nothing is found.
    """
    if not enough_decisions(accepted):
        return []
    rejected = ~np.asarray(accepted, dtype=np.bool_)
    finding = _first_half(plans, composites)
    tests = [test for column in columns for test in _tests(column, composites, finding)]
    if not tests or not rejected[finding].any() or rejected[finding].all() or finding.all():
        return []
    conditions = _expressions(tests, rejected, finding)
    if not conditions:
        return []
    rules = [PairRule(forbid=text) for text in conditions]
    rest = np.flatnonzero(~finding)
    hits = removed(Rules(pairs=tuple(rules)), plans, as_candidates(composites[rest]))
    support = np.array([hit.sum() for hit in hits], dtype=np.int64)
    refused = np.array([rejected[rest][hit].sum() for hit in hits], dtype=np.int64)
    level = 1 - 0.05 / len(rules)
    low, high = clopper_pearson(refused, np.maximum(support, 1), level)
    share = rejected[rest].mean()
    mined = [
        MinedRule(
            RuleProposal(rule, "mined", conditions=said),
            int(n),
            int(k),
            Interval(float(k / n), float(lo), float(hi), int(n), level),
        )
        for rule, said, n, k, lo, hi in zip(rules, conditions.values(), support, refused, low, high, strict=True)
        if n and lo > share
    ]
    return sorted(mined, key=lambda rule: -rule.precision.low)


@dataclass(frozen=True, eq=False)
class _Test:
    """A symmetric condition on two pairs: whether it holds for each composite, and both forms of it.

    A form is the text that a rule has, and the condition that a sentence says.
    """

    holds: Bools
    true: tuple[str, Condition]
    false: tuple[str, Condition]


def _first_half(plans: Plans, composites: Composites) -> Bools:
    keys = plans.catalog.keys
    bits = [blake2b(keys[row].encode(), digest_size=1).digest()[0] & 1 for row in composites.left.tolist()]
    return np.array(bits, dtype=np.bool_)


def _tests(column: RuleColumn, composites: Composites, finding: Bools) -> Iterator[_Test]:
    a, b = column.side("a"), column.side("b")
    if column.numbers is not None:
        yield from _number_tests(column, composites, finding)
        return
    one, other = column.codes[composites.left], column.codes[composites.right]
    known = (one >= 0) & (other >= 0)
    name = column.name
    yield _Test(
        known & (one != other), (f"{a} <> {b}", Condition("differ", name)), (f"{a} = {b}", Condition("equal", name))
    )
    if not column.has_kinds:
        return
    shown = np.concatenate([one[finding], other[finding]])
    values, counts = np.unique(shown[shown >= 0], return_counts=True)
    frequent = np.sort(values[np.argsort(-counts, kind="stable")][:_MOST_VALUES]).tolist()
    for code in frequent:
        value, said = column.literal(code), (column.readable[code],)
        yield _Test(
            (one == code) | (other == code),
            (f"({a} = {value} or {b} = {value})", Condition("either", name, said)),
            (f"({a} <> {value} and {b} <> {value})", Condition("neither", name, said)),
        )
    for x, y in combinations_with_replacement(frequent, 2):
        holds = ((one == x) & (other == y)) | ((one == y) & (other == x))
        if holds[finding].sum() < _MIN_LEAF:
            continue
        u, v = column.literal(x), column.literal(y)
        here, there = f"({a} = {u} and {b} = {v})", f"({a} = {v} and {b} = {u})"
        true, said = here if x == y else f"({here} or {there})", (column.readable[x], column.readable[y])
        yield _Test(holds, (true, Condition("both", name, said)), (f"not {true}", Condition("not_both", name, said)))


def _number_tests(column: RuleColumn, composites: Composites, finding: Bools) -> Iterator[_Test]:
    """Whether two numbers are further apart than some of the distances that were seen."""
    assert column.numbers is not None
    distance = np.abs(column.numbers[composites.left] - column.numbers[composites.right])
    seen = distance[finding & ~np.isnan(distance)]
    if not len(seen):
        return
    for limit in np.unique([float(f"{value:.3g}") for value in np.quantile(seen, np.linspace(0.1, 0.9, 9))]):
        text, said = f"abs({column.side('a')} - {column.side('b')})", (f"{limit:g}",)
        with np.errstate(invalid="ignore"):
            holds = distance > limit
        yield _Test(
            holds,
            (f"{text} > {limit:g}", Condition("farther", column.name, said)),
            (f"{text} <= {limit:g}", Condition("nearer", column.name, said)),
        )


def _expressions(tests: Sequence[_Test], rejected: Bools, finding: Bools) -> dict[str, tuple[Condition, ...]]:
    """The expressions of a tree's leaves in which most composites are rejected, with their needed conditions."""
    from sklearn.tree import DecisionTreeClassifier

    features = np.stack([test.holds for test in tests], axis=1)[finding]
    wrong = rejected[finding]
    tree = DecisionTreeClassifier(max_depth=_DEPTH, min_samples_leaf=_MIN_LEAF, random_state=0).fit(features, wrong)
    found: dict[str, tuple[Condition, ...]] = {}
    for path in _paths(tree.tree_):
        holds = [(tests[number].holds[finding] if true else ~tests[number].holds[finding]) for number, true in path]
        hits = np.logical_and.reduce(holds)
        if not path or 2 * wrong[hits].sum() <= hits.sum():
            continue
        kept = _pruned(path, holds, wrong)
        parts = [tests[number].true if true else tests[number].false for number, true in kept]
        text = " and ".join(text for text, _ in parts) if len(parts) > 1 else _bare(parts[0][0])
        found.setdefault(text, tuple(said for _, said in parts))
    return found


def _paths(tree: object, node: int = 0) -> Iterator[list[tuple[int, bool]]]:
    """The conditions of each leaf of a scikit-learn tree: the test's number, and whether it holds."""
    left: Int64s = getattr(tree, "children_left")  # noqa: B009 - the tree's type has no stubs
    right: Int64s = getattr(tree, "children_right")  # noqa: B009
    feature: Int64s = getattr(tree, "feature")  # noqa: B009
    if left[node] < 0:
        yield []
        return
    for child, true in ((left[node], False), (right[node], True)):
        for path in _paths(tree, int(child)):
            yield [(int(feature[node]), true), *path]


def _pruned(path: list[tuple[int, bool]], holds: list[Bools], wrong: Bools) -> list[tuple[int, bool]]:
    """The conditions without those whose removal does not lower the lower bound of the precision."""
    kept = list(range(len(path)))

    def bound(which: Sequence[int]) -> float:
        hits = np.logical_and.reduce([holds[i] for i in which])
        counts = np.array([wrong[hits].sum()]), np.array([hits.sum()])
        return float(clopper_pearson(*counts)[0][0])

    while len(kept) > 1:
        without = [[i for i in kept if i != leave] for leave in kept]
        best = max(without, key=bound)
        if bound(best) < bound(kept):
            break
        kept = best
    return [path[i] for i in kept]


def _bare(text: str) -> str:
    """A condition that stands alone, without the brackets around it."""
    if not text.startswith("("):
        return text
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if position == len(text) - 1 else text
    return text
