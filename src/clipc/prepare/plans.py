"""From a policy to plans: makes, or finds in the cache, the tables that the policy needs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from clipc.catalog import Catalog
from clipc.compose.batches import Batches
from clipc.compose.entries import Entries, Proposed
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import LAYOUTS, Layout
from clipc.compose.partners.pools import groups, neighbourhoods
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.compose.rules.columns import CatalogColumns, boxes_of
from clipc.compose.rules.enact import enact
from clipc.compose.rules.law import Law
from clipc.compose.rules.schema import PairRule, Rules
from clipc.compose.similarity.lookalike import lookalikes
from clipc.compose.similarity.neighbours import neighbours
from clipc.errors import unknown_name
from clipc.progress import Progress, silent

MATES: Final = 10
"""How many pairs a class must hold on average for ``policy.group=auto`` to keep composites inside classes."""


def make_plans(
    policy: Policy,
    pairs: Catalog,
    seed: int,
    *,
    cache: Path | None = None,
    progress: Progress = silent,
    batches: Batches | None = None,
) -> Plans:
    """The plans of a policy on some pairs.

    Args:
        policy: What is composed, and how.
        pairs: The training split alone: no partner, neighbour or statistic ever comes from another one.
        seed: The run's seed.
        cache: Where neighbours and vectors are kept; the user's cache folder by default.
        progress: Told how far vectors and neighbours are.
        batches: How the order of an epoch fills batches; a plain shuffle by default.

    Raises:
        UserError: A rule names a column that the pairs lack or cannot be understood; a column holds no boxes or
            vectors; a model cannot be loaded.
    """
    law, batches = _law(policy, pairs), batches or Batches()
    known = Inputs(alike=lookalikes(pairs), law=law)
    if policy.rho == 0 or policy.treatment == "augment":
        return Plans(pairs, policy, seed, known, batches)
    pools = groups(law.groups, pairs.caption_counts) if law is not None and law.groups is not None else None
    vectors = None
    if policy.partner != "random":
        from clipc.prepare.vectors import partner_vectors

        vectors = partner_vectors(pairs, policy.embedding, policy.embedding_of, cache, progress)
        if policy.partner == "nearest":
            refused, by = None, ""
            if law is not None:
                refused = _Refused(law, Entries.of(pairs).first, LAYOUTS[policy.layout])
                by = _said(policy, pairs)
            nearest = neighbours(pairs, vectors, policy.neighbours, cache, progress, refused, by)
            pools, vectors = neighbourhoods(nearest, pairs.caption_counts), None
    known = replace(known, pools=pools, vectors=vectors, regions=_regions(policy, pairs, cache, progress))
    return Plans(pairs, policy, seed, known, batches)


@dataclass(frozen=True, eq=False)
class _Refused:
    """Which pairs are no neighbours because a law forbids to compose them, going by the first caption of each.

    Where a rule reads captions the plan asks again, about the captions that are shown.
    """

    law: Law
    first: npt.NDArray[np.int64]
    layout: Layout

    def __call__(self, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        a, b = self.first[rows], self.first[others]
        layout, fits = np.full(len(a), self.layout.codes[0], dtype=np.uint8), np.ones(len(a), dtype=np.bool_)
        if self.layout.has_axes:
            layout, fits = self.law.cut(a, b, layout)
        return ~(fits & self.law.lawful(Proposed(a, b, layout, np.zeros(len(a), dtype=np.bool_))))


def group_of(policy: Policy, pairs: Catalog) -> str | None:
    """The column whose value partners share.

    ``auto`` is the main column of labels, where there is one and its classes hold :data:`MATES` pairs each on average.
    """
    if policy.group != "auto":
        return policy.group
    column = next(iter(pairs.about.label_columns), None)
    if column is None or MATES * len(pairs.table[column].drop_null().unique()) > len(pairs):
        return None
    return column


def _said(policy: Policy, pairs: Catalog) -> str:
    """What a law is made of, as text."""
    rules = "" if policy.rules is None else policy.rules.model_dump_json()
    return f"{pairs.fingerprint} {group_of(policy, pairs)} {policy.layout} {policy.wording} {rules}"


def _law(policy: Policy, pairs: Catalog) -> Law | None:
    rules, group = policy.rules, group_of(policy, pairs)
    if group is not None:
        names = CatalogColumns(pairs).names
        if group not in names:
            raise unknown_name("column", group, names)
        quoted = group.replace('"', '""')
        same = PairRule(require=f'a."{quoted}" = b."{quoted}"', why=f"policy.group={group}")
        rules = rules.model_copy(update={"pairs": (*rules.pairs, same)}) if rules else Rules(pairs=(same,))
    return enact(rules, CatalogColumns(pairs), policy.wording) if rules is not None else None


def _regions(policy: Policy, pairs: Catalog, cache: Path | None, progress: Progress) -> npt.NDArray[np.float32] | None:
    if policy.layout != "region" or policy.region is None:
        return None
    if policy.region == "auto":
        from clipc.prepare.vectors import relevant_bands

        assert policy.reference is not None
        return relevant_bands(policy.reference, pairs, cache, progress)
    return boxes_of(pairs, policy.region)
