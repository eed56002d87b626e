"""Inputs of a plan besides catalog, policy and seed: precomputed tables, pools of partners, and compiled rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clipc.array_cache import arrays_digest
from clipc.catalog.catalog import Catalog
from clipc.catalog.sources.grid import read_grid
from clipc.compose.arrays import Float32s, Float64s, Int32s
from clipc.compose.partners.group_weights import GroupWeights
from clipc.compose.partners.pools import Pools, group_pools, neighbour_pools, single_pool
from clipc.compose.policy import COLUMN
from clipc.compose.similarity.lookalike import Lookalikes, lookalikes
from clipc.errors import UserError

if TYPE_CHECKING:
    from clipc.compose.rules.compiled import CompiledRules


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a policy needs to know of the training pairs, computed once for all epochs.

    Attributes:
        tables: Arrays by name, with one row for each pair in the catalog's order. Only the policy's tables are present.
            ``neighbours``: the rows of the nearest pairs, -1 for none, ``int32``, shape (n, k).
            ``vectors``: unit vectors for cosine similarity, ``float32``, shape (n, d).
            ``regions``: the box of each image that must stay visible, x0, y0, x1, y1 as fractions of the image's sides,
            NaN for none, ``float32``, shape (n, 4).
            ``weights``: the relative probability that a pair becomes a partner, ``float64``, shape (n,).
            ``partner_groups`` and ``group_weights``: the arrays of
            :class:`~clipc.compose.partners.group_weights.GroupWeights`, for weights that depend on both pairs.
            ``candidates``, ``candidate_layouts`` and ``candidate_weights``: candidate composites that were scored
            (``policy.score``): the rows of each pair's candidate partners, -1 for none, ``int32``, the shape of each
            one's composite, ``uint8``, and the relative probability that it is drawn, ``float64``, each of shape
            (n, K). Partners then come from there alone.
        pools: The pools from which partners are drawn; None for one pool of all pairs.
        alike: The test for look-alikes of an image, which never become its partners; None to make it from the catalog.
        compiled_rules: The expert's rules, compiled for these pairs; None without rules.
        caption_ids: The pairs' :attr:`~clipc.catalog.catalog.Catalog.caption_ids`; None to make them from the catalog.
        core_seconds: Processor seconds that tables took when they were computed, by name, where that is counted.
    """

    tables: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict[str, npt.NDArray[Any]])
    pools: Pools | None = None
    alike: Lookalikes | None = None
    compiled_rules: "CompiledRules | None" = None
    caption_ids: Int32s | None = None
    core_seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def of(
        cls, pairs: Catalog, tables: Mapping[str, npt.NDArray[Any]], compiled_rules: "CompiledRules | None" = None
    ) -> "Inputs":
        """Inputs with pools of the candidates, else of neighbours, else of the rules' groups, else of all pairs.

        Args:
            pairs: The training pairs.
            tables: The arrays for :attr:`tables`; members of pools are weighted by ``weights``, if given.
            compiled_rules: The compiled rules, or None.
        """
        counts, weights, pools = pairs.caption_counts, tables.get("weights"), None
        if (candidates := tables.get("candidates")) is not None:
            # The other tables decided which candidates there are.
            pools, weights = neighbour_pools(candidates, counts, tables["candidate_weights"]), None
        elif (near := tables.get("neighbours")) is not None:
            pools = neighbour_pools(near, counts)
        elif compiled_rules is not None and compiled_rules.groups is not None:
            pools = group_pools(compiled_rules.groups, counts)
        if weights is not None:
            pools = (pools or single_pool(counts)).weighted(weights)
        return cls(tables, pools, lookalikes(pairs), compiled_rules, pairs.caption_ids)

    @property
    def vectors(self) -> Float32s | None:
        """The table ``vectors``, or None."""
        return self.tables.get("vectors")

    @property
    def regions(self) -> Float32s | None:
        """The table ``regions``, or None."""
        return self.tables.get("regions")

    @property
    def candidates(self) -> Int32s | None:
        """The table ``candidates``, or None."""
        return self.tables.get("candidates")

    @property
    def group_weights(self) -> GroupWeights | None:
        """The weights that depend on the groups of both pairs, or None, as where candidates are drawn by them."""
        if self.candidates is not None:
            return None
        groups, weights = self.tables.get("partner_groups"), self.tables.get("group_weights")
        return None if groups is None or weights is None else GroupWeights(groups, weights)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """A hash of each table, by name; catalog, policy, seed and these hashes identify a plan."""
        return {name: arrays_digest(values) for name, values in sorted(self.tables.items())}


def keyed_values(file: str, pairs: Catalog, what: str) -> list[Any]:
    """The value of each pair in a user's table, which has a column ``key`` and one column of values.

    Keys that belong to none of the pairs are ignored, since the table may cover other splits too.

    Args:
        file: A CSV, TSV, JSON Lines or Parquet file, as :func:`~clipc.catalog.sources.grid.read_grid` takes it.
        pairs: The training pairs.
        what: The key of the policy that names the file, for messages.

    Returns:
        The values in the pairs' order; None for pairs that the table lacks.

    Raises:
        UserError: The file cannot be read, has other columns, repeats a key, or has no key of any of these pairs.
    """
    grid = read_grid(Path(file))
    value_columns = [name for name in grid.names if name != "key"]
    if "key" not in grid.names or len(value_columns) != 1:
        raise UserError(
            f"policy.{what}: {file} has the columns {', '.join(grid.names)}; it needs two: key and one with values."
        )
    by_key: dict[str, Any] = {}
    for record in grid.records:
        if isinstance(record.values, str):
            raise UserError(f"policy.{what}: {file}, row {record.number}: {record.values}.")
        key = str(record.values.get("key"))
        if key in by_key:
            raise UserError(f"policy.{what}: {file} names the key {key!r} twice.")
        by_key[key] = record.values.get(value_columns[0])
    if not by_key.keys() & set(pairs.keys):
        raise UserError(
            f"policy.{what}: {file} has no key of the {len(pairs)} training pairs; the pairs have keys such as "
            f"{pairs.keys[0]!r}{f', the file has keys such as {next(iter(by_key))!r}' if by_key else ''}."
        )
    return [by_key.get(key) for key in pairs.keys]


def partner_weights(name: str, pairs: Catalog) -> Float64s:
    """The relative probability that each pair becomes a partner.

    Args:
        name: ``column:NAME``, or a file as for :func:`keyed_values`.
        pairs: The training pairs.

    Returns:
        ``float64``, shape (n,); 1 for a pair without a weight.

    Raises:
        UserError: The column or file does not exist, or a value is not a finite number from 0 up.
    """
    values = (
        pairs.column(name.removeprefix(COLUMN)) if name.startswith(COLUMN) else keyed_values(name, pairs, "weights")
    )
    weights = np.ones(len(values))
    for row, value in enumerate(values):
        if value is None or value == "":
            continue
        try:
            weights[row] = value
        except (TypeError, ValueError):
            weights[row] = np.nan
        if not 0 <= weights[row] < np.inf:
            raise UserError(f"policy.weights: the weight of {pairs.keys[row]!r} is {value!r}, not a number from 0 up.")
    return weights
