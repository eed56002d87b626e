"""The plans that an audit compares, and what their composites show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from clipc.audit.bias.association import Observations
from clipc.audit.bias.mentions import Mentions
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Int32s, Int64s
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.compose.score import Score
from clipc.prepare.plans import group_of, make_plans
from clipc.progress import Progress, silent

_MIN_COMPOSITES: Final = 20_000
_MAX_EPOCHS: Final = 40


@dataclass(frozen=True, eq=False)
class Composites:
    """The composites of several epochs of a plan.

    Attributes:
        left: The catalog rows of the first pairs, ``int32``, shape (composites,).
        right: The catalog rows of the second pairs, ``int32``, shape (composites,).
        epochs: The number of epochs.
        treated: How many examples were to be composed, those that stayed plain included.
        image: The number of each pair's image, from 0, ``int64``, shape (pairs,); equal images have equal numbers.
    """

    left: Int32s
    right: Int32s
    epochs: int
    treated: int
    image: Int64s

    @property
    def images(self) -> int:
        """The number of images."""
        return int(self.image.max(initial=-1)) + 1

    def within(self, groups: Mentions, concepts: Mentions) -> Observations:
        """Observations of the halves: what each half's own captions say."""
        rows = np.concatenate([self.left, self.right])
        return Observations.of_pairs(groups.of(rows), concepts.of(rows), self.image[rows], self.images)

    def across(self, groups: Mentions, concepts: Mentions) -> Observations:
        """Observations across halves: the groups of one half with the concepts of the other."""
        left, right = self.left, self.right
        return Observations.across(
            (groups.of(left), groups.of(right)),
            (concepts.of(left), concepts.of(right)),
            (self.image[left], self.image[right]),
            self.images,
        )

    @property
    def effective_partners(self) -> float:
        """The effective number of distinct second pairs (Kish 1965): ``(sum of uses)**2 / sum of uses**2``."""
        uses = np.bincount(self.right).astype(np.float64)
        return float(uses.sum() ** 2 / max(1.0, (uses**2).sum()))


def composites(plans: Plans) -> Composites:
    """The composites of as many epochs of a plan as give about 20,000 of them, at most 40 epochs."""
    pairs = len(plans.catalog)
    expected = max(1.0, pairs * plans.policy.rho)
    epochs = int(np.clip(np.ceil(_MIN_COMPOSITES / expected), 1, _MAX_EPOCHS))
    plan = plans.rows(0, epochs * pairs)
    composed = np.flatnonzero(plan.right >= 0)
    treated = len(composed) + int((plan.fallback > 0).sum())
    return Composites(plan.left[composed], plan.right[composed], epochs, treated, image_numbers(plans.catalog))


def image_numbers(pairs: Catalog) -> Int64s:
    """The number of each pair's image, from 0; equal images have equal numbers; shape (pairs,)."""
    return np.unique(pairs.image_ids, return_inverse=True)[1].astype(np.int64)


def variants(policy: Policy, pairs: Catalog) -> dict[str, Policy]:
    """The policies whose plans an audit compares, by name, each with more of what the policy restricts.

    ``random``: partners drawn from all pairs, without rules. ``rules``: the same with the policy's rules. ``group``:
    partners of the same class (``policy.group``). ``policy``: the policy as it is, where it differs from these.
    """
    plain: dict[str, object] = {"rules": None, "group": None, "partner": "random", "weights": None, "score": Score()}
    changes: dict[str, dict[str, object]] = {"random": plain}
    if policy.rules is not None:
        changes["rules"] = {**plain, "rules": policy.rules}
    if group_of(policy, pairs) is not None:
        changes["group"] = {**plain, "group": policy.group}
    named = {name: policy.model_copy(update=change) for name, change in changes.items()}
    policy = policy.without_baseline
    if policy.partner == "self":  # Its composites show one pair, so there is nothing across halves.
        return named
    if all(_differ(policy, other, pairs) for other in named.values()):
        named["policy"] = policy
    return named


def _differ(one: Policy, other: Policy, pairs: Catalog) -> bool:
    keys = ("rules", "partner", "weights", "score")
    same = all(getattr(one, key) == getattr(other, key) for key in keys)
    return not (same and group_of(one, pairs) == group_of(other, pairs))


def composites_of(
    policies: Mapping[str, Policy], pairs: Catalog, seed: int, progress: Progress = silent
) -> dict[str, tuple[Plans, Composites]]:
    """The plans and composites of several policies, by name.

    Args:
        policies: The policies by name; rates of 0 and the control without composition are shown as rate 0.3.
        pairs: The training pairs.
        seed: The seed of the plans.
        progress: Called while tables, such as neighbours, are made.
    """
    made: dict[str, tuple[Plans, Composites]] = {}
    for name, policy in policies.items():
        rate = policy.rho if policy.rho and policy.treatment == "compose" else 0.3
        composing = policy.without_baseline.model_copy(update={"rho": rate, "treatment": "compose"})
        plans = make_plans(composing, pairs, seed, progress=progress)
        made[name] = plans, composites(plans)
    return made
