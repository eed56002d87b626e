"""Partner weights by raking: what one half shows and what the other half shows get stated joint shares.

Among all ways of choosing partners that reach the stated shares, raking takes the one nearest to the policy's own
choice in relative entropy. Its weights are products of one factor for each share (Deming and Stephan, "On a least
squares adjustment of a sampled frequency table when the expected marginal totals are known", Annals of Mathematical
Statistics 11, 1940; Deville, Särndal and Sautory, "Generalized raking procedures in survey sampling", JASA 88, 1993).
Iterative proportional fitting finds the factors one by one; here all are found at once from the dual problem, which is
convex and has the same solution.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Float64s, Int32s, Int64s
from clipc.compose.composites import compose_rows
from clipc.compose.entries import Entries
from clipc.compose.inputs import Inputs
from clipc.compose.partners.group_weights import GroupWeights
from clipc.compose.policy import Policy
from clipc.errors import UserError

MAX_FACTOR: Final = 50.0
"""The largest factor for one share; without a limit, shares that cannot be reached would take all partners away."""

MAX_GROUPS: Final = 1500
_MAX_FIRST_PAIRS, _MAX_CANDIDATES, _MAX_DRAWS, _MIN_DRAWS = 6000, 500_000, 256, 16
_FIRST_EPOCH: Final = 1 << 20
"""The candidates are drawn as in epochs that no training reaches, so that they are no partners of its plans."""


@dataclass(frozen=True, eq=False)
class Balance:
    """Partner weights, and how near they come to the stated shares.

    The joint shares of features are matrices of shape (F, F): element (a, b) is the share of composites whose first
    pair shows feature a and whose partner shows feature b.

    Attributes:
        weights: The weights.
        wanted: The stated joint shares; NaN where none is stated.
        before: The joint shares under the policy without the weights.
        after: The joint shares with the weights.
        fixed: Whether no choice of partners changes the share, ``bool``: all allowed partners of a pair are alike in b.
        efficiency: The effective number of allowed partners of a pair (Kish 1965) with the weights, as a share of their
            number; the mean over pairs, in (0, 1].
        acceptance: The share of drawn partners that the weights keep, in (0, 1].
        unused: The features that were left out to keep the number of groups small.
    """

    weights: GroupWeights
    wanted: Float64s
    before: Float64s
    after: Float64s
    fixed: Bools
    efficiency: float
    acceptance: float
    unused: tuple[int, ...] = ()


def balance_partners(
    policy: Policy,
    pairs: Catalog,
    inputs: Inputs,
    seed: int,
    features: Float64s,
    linked: Bools,
    shares: Float64s | None = None,
) -> Balance:
    """Weights under which the features of a composite's two pairs are independent, or have stated shares.

    The share of each feature among partners stays what it is under the policy. The policy's rules, groups and
    neighbours hold: weights only choose among the partners that are allowed.

    Args:
        policy: The policy; its partners are drawn at random, from neighbours or from a table of the user's.
        pairs: The training pairs.
        inputs: The policy's tables for these pairs.
        seed: The seed of the sample of candidates from which the weights are computed.
        features: How much of each pair's captions shows each feature, in [0, 1], ``float64``, shape (n, F).
        linked: Which combinations of a first pair's feature and a partner's feature are constrained, shape (F, F).
        shares: For a combination (a, b) the share of partners that show b, among composites whose first pair shows
            a; NaN for the share under independence. Shape (F, F); None for independence everywhere.

    Raises:
        UserError: The policy draws partners by another rule (``diverse``, ``self``), or no pair has a partner.
    """
    if policy.partner in ("diverse", "self"):
        raise UserError(
            f"partners cannot be weighted with policy.partner={policy.partner}, which does not draw them by chance; "
            "choose random or nearest."
        )
    inputs = replace(
        inputs, tables={k: v for k, v in inputs.tables.items() if k not in ("partner_groups", "group_weights")}
    )
    groups, centres, used = _groups(features, linked)
    linked = linked & used[:, None] & used[None, :]
    candidates = _candidates(policy, pairs, inputs, seed, groups)
    free = _movable(candidates, centres, linked)
    before = joint_shares(candidates, centres, None)
    wanted = np.full(linked.shape, np.nan)
    first, partner = before[1:, 0], before[0, 1:]
    independent = first[:, None] * partner[None, :]
    stated = independent if shares is None else np.where(np.isnan(shares), independent, first[:, None] * shares)
    wanted[linked] = stated[linked]
    solved = rake(candidates, centres, linked & free, wanted)
    after = joint_shares(candidates, centres, solved)
    table, acceptance = _scaled(solved, candidates)
    return Balance(
        GroupWeights(groups, table),
        wanted,
        before[1:, 1:],
        after[1:, 1:],
        linked & ~free,
        _efficiency(candidates, solved),
        acceptance,
        tuple(np.flatnonzero(~used).tolist()),
    )


@dataclass(frozen=True, eq=False)
class CandidateCounts:
    """How often first pairs drew partners of each group; one element for each combination that occurred.

    Attributes:
        row: The number of the first pair, from 0, ``int64``, shape (m,).
        first: The group of the first pair, ``int32``, shape (m,).
        second: The group of the partner, ``int32``, shape (m,).
        count: How often it was drawn, ``float64``, shape (m,).
    """

    row: Int64s
    first: Int32s
    second: Int32s
    count: Float64s

    @property
    def rows(self) -> int:
        """The number of first pairs."""
        return int(self.row.max(initial=-1)) + 1

    def probability(self, log_weights: Float64s | None) -> Float64s:
        """The probability of each element: each first pair has the same, divided among its partners by weight.

        Args:
            log_weights: Shape (groups, groups), the first pair's group by the partner's; None for equal weights.

        Returns:
            ``float64``, shape (m,), with the sum 1.
        """
        mass = self.count
        if log_weights is not None:
            exponent = log_weights[self.first, self.second]
            largest = np.full(self.rows, -np.inf)
            np.maximum.at(largest, self.row, exponent)
            mass = mass * np.exp(exponent - largest[self.row])
        return mass / np.bincount(self.row, mass)[self.row] / self.rows


def joint_shares(candidates: CandidateCounts, centres: Float64s, log_weights: Float64s | None) -> Float64s:
    """The joint shares of features, with the feature 0 that every pair shows; shape (F + 1, F + 1).

    Args:
        candidates: The candidates.
        centres: The features of each group, shape (groups, F).
        log_weights: The logarithms of the weights, shape (groups, groups); None for equal weights.
    """
    one = np.hstack([np.ones((len(centres), 1)), centres])
    cells = candidates.first.astype(np.int64) * len(centres) + candidates.second
    table = np.bincount(cells, candidates.probability(log_weights), len(centres) ** 2)
    return one.T @ table.reshape(len(centres), len(centres)) @ one


def rake(candidates: CandidateCounts, centres: Float64s, linked: Bools, wanted: Float64s) -> Float64s:
    """The logarithms of the weights that give the wanted joint shares, or the nearest ones within :data:`MAX_FACTOR`.

    Args:
        candidates: The candidates.
        centres: The features of each group, shape (groups, F).
        linked: The constrained combinations, shape (F, F).
        wanted: The joint shares of these combinations, shape (F, F).

    Returns:
        ``float64``, shape (groups, groups).
    """
    from scipy.optimize import minimize

    features = centres.shape[1]
    mask = np.zeros((features + 1, features + 1), dtype=np.bool_)
    mask[1:, 1:] = linked
    mask[0, 1:] = linked.any(axis=0)
    target = joint_shares(candidates, centres, None)
    target[1:, 1:] = np.where(linked, wanted, 0)
    mask &= target > 0
    one = np.hstack([np.ones((len(centres), 1)), centres])
    if not mask.any():
        return np.zeros((len(centres), len(centres)))
    cells = candidates.first.astype(np.int64) * len(centres) + candidates.second
    scale = 1 / np.sqrt(target[mask])

    def log_weights(steps: Float64s) -> Float64s:
        factors = np.zeros_like(target)
        factors[mask] = steps * scale
        return one @ factors @ one.T

    def dual(steps: Float64s) -> tuple[float, Float64s]:
        exponent = log_weights(steps)[candidates.first, candidates.second]
        largest = np.full(candidates.rows, -np.inf)
        np.maximum.at(largest, candidates.row, exponent)
        mass = candidates.count * np.exp(exponent - largest[candidates.row])
        sums = np.bincount(candidates.row, mass)
        probability = mass / sums[candidates.row] / candidates.rows
        table = np.bincount(cells, probability, len(centres) ** 2).reshape(len(centres), len(centres))
        gap = (one.T @ table @ one)[mask] - target[mask]
        value = float((np.log(sums) + largest).mean() - (steps * scale) @ target[mask])
        # The tiny ridge chooses among equally good factors.
        return value + 0.5e-7 * float(steps @ steps), gap * scale + 1e-7 * steps

    limit = np.log(MAX_FACTOR) / scale
    start = np.zeros(int(mask.sum()))
    options: dict[str, Any] = {"maxiter": 1000, "maxfun": 3000, "ftol": 1e-13, "gtol": 1e-7}
    bounds = np.stack([-limit, limit], axis=1)
    solution: Any = minimize(dual, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return log_weights(solution.x)


def _groups(features: Float64s, linked: Bools) -> tuple[Int32s, Float64s, Bools]:
    """Groups of pairs with about equal features: the group of each pair, the groups' features, the features in use."""
    used = np.logical_or(linked.any(axis=0), linked.any(axis=1))
    levels = [4, 2, 1]
    while True:
        coarse = np.ceil(features * levels[0]) / levels[0]
        coarse[:, ~used] = 0
        _, number = np.unique(coarse, axis=0, return_inverse=True)
        groups = number.reshape(-1).astype(np.int32)
        if (count := int(groups.max(initial=-1)) + 1) <= MAX_GROUPS:
            break
        if len(levels) > 1:
            levels.pop(0)
        else:
            rare = np.where(used, features.mean(axis=0), np.inf)
            used = np.logical_and(used, np.arange(len(used)) != int(rare.argmin()))
    sizes = np.bincount(groups, minlength=count)
    centres = np.stack([np.bincount(groups, column, count) for column in features.T], axis=1) / sizes[:, None]
    return groups, centres, used


def _candidates(policy: Policy, pairs: Catalog, inputs: Inputs, seed: int, groups: Int32s) -> CandidateCounts:
    """A sample of the partners that the policy would draw, for at most a few thousand first pairs."""
    count = min(len(pairs), _MAX_FIRST_PAIRS)
    rows = (np.arange(count) * len(pairs) // count).astype(np.int32)
    draws = int(np.clip(_MAX_CANDIDATES // count, _MIN_DRAWS, _MAX_DRAWS))
    drawn = policy.model_copy(update={"pairing": "dynamic", "caption": "join"})
    entries, number = Entries.of(pairs), int(groups.max()) + 1
    cells: list[Int64s] = []
    for draw in range(draws):
        right = compose_rows(rows, pairs, entries, drawn, inputs, seed, _FIRST_EPOCH + draw)["right"]
        has_partner = np.flatnonzero(right >= 0)
        cells.append(has_partner * number + groups[right[has_partner]])
    cell, times = np.unique(np.concatenate(cells), return_counts=True)
    if not len(cell):
        raise UserError("no pair has an allowed partner, so there is nothing to weight; loosen the rules.")
    row, second = np.divmod(cell, number)
    kept, dense = np.unique(row, return_inverse=True)
    first = groups[rows[kept]][dense]
    return CandidateCounts(dense.astype(np.int64), first, second.astype(np.int32), times.astype(np.float64))


def _movable(candidates: CandidateCounts, centres: Float64s, linked: Bools) -> Bools:
    """Which joint shares depend on the choice among the candidates; shape (F, F)."""
    totals = np.bincount(candidates.row, candidates.count)
    free = np.zeros_like(linked)
    for b in np.flatnonzero(linked.any(axis=0)):
        value = centres[candidates.second, b]
        mean = np.bincount(candidates.row, candidates.count * value) / totals
        spread = candidates.count * (value - mean[candidates.row]) ** 2
        free[:, b] = (centres[candidates.first] * spread[:, None]).sum(axis=0) > 1e-9 * candidates.count.sum()
    return free


def _scaled(log_weights: Float64s, candidates: CandidateCounts) -> tuple[Float64s, float]:
    """The weights, divided in each row by the largest that occurred, and the share of candidates that they keep."""
    largest = np.full(len(log_weights), -np.inf)
    np.maximum.at(largest, candidates.first, log_weights[candidates.first, candidates.second])
    largest = np.where(np.isfinite(largest), largest, log_weights.max(axis=1))
    weights = np.exp(np.minimum(log_weights - largest[:, None], 0.0))
    kept = candidates.count @ weights[candidates.first, candidates.second]
    return weights, float(kept / candidates.count.sum())


def _efficiency(candidates: CandidateCounts, log_weights: Float64s) -> float:
    exponent = log_weights[candidates.first, candidates.second]
    largest = np.full(candidates.rows, -np.inf)
    np.maximum.at(largest, candidates.row, exponent)
    weights = np.exp(exponent - largest[candidates.row])
    sums = np.bincount(candidates.row, candidates.count * weights)
    squares = np.bincount(candidates.row, candidates.count * weights**2)
    totals = np.bincount(candidates.row, candidates.count)
    return float((sums**2 / (squares * totals)).mean())
