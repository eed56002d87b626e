"""Precomputed tables on which a plan depends besides catalog, policy and seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.catalog.sources.grid import read_grid
from clipc.compose.arrays import Float32s, Float64s
from clipc.compose.partners.pools import Pools, groups, neighbour_pools, single_pool
from clipc.compose.policy import COLUMN
from clipc.compose.similarity.lookalike import Lookalikes, lookalikes
from clipc.errors import UserError
from clipc.files import arrays_digest

if TYPE_CHECKING:
    from clipc.compose.rules.compiled import CompiledRules


@dataclass(frozen=True, eq=False)
class Inputs:
    """The tables on the training pairs that a policy needs, computed once for all epochs.

    Attributes:
        tables: Arrays of one row a pair, in the catalog's order, by name; only those that the policy needs.
            ``neighbours``: the rows of the nearest pairs, -1 for none, ``int32``, shape (n, k);
            ``vectors``: unit vectors for cosine similarity, ``float32``, shape (n, d);
            ``regions``: the box of each image to keep visible, x0, y0, x1, y1 as fractions of its sides, NaN for none,
            ``float32``, shape (n, 4);
            ``weights``: the relative probability of each pair to be a partner, ``float64``, shape (n,).
        pools: The pools from which partners are drawn; None for one pool of all pairs.
        alike: The test for near-copies, which never become partners.
        compiled_rules: The expert's rules, compiled for these pairs.
    """

    tables: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict[str, npt.NDArray[Any]])
    pools: Pools | None = None
    alike: Lookalikes | None = None
    compiled_rules: "CompiledRules | None" = None

    @classmethod
    def of(
        cls, pairs: Catalog, tables: Mapping[str, npt.NDArray[Any]], compiled_rules: "CompiledRules | None" = None
    ) -> "Inputs":
        """Inputs with their pools: neighbours, else the rules' groups, else all pairs; with the table's weights."""
        counts, weights, pools = pairs.caption_counts, tables.get("weights"), None
        if (near := tables.get("neighbours")) is not None:
            pools = neighbour_pools(near, counts)
        elif compiled_rules is not None and compiled_rules.groups is not None:
            pools = groups(compiled_rules.groups, counts)
        if weights is not None:
            pools = (pools or single_pool(counts)).weighted(weights)
        return cls(tables, pools, lookalikes(pairs), compiled_rules)

    @property
    def vectors(self) -> Float32s | None:
        """The table ``vectors``."""
        return self.tables.get("vectors")

    @property
    def regions(self) -> Float32s | None:
        """The table ``regions``."""
        return self.tables.get("regions")

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """A hash of each table; with catalog, policy and seed they identify a plan's inputs."""
        return {name: arrays_digest(values) for name, values in sorted(self.tables.items())}


def keyed_values(file: str, pairs: Catalog, what: str) -> list[Any]:
    """One value a pair from a user's table: a column ``key`` and one of values.

    Keys of no pair are ignored, since the table may cover other splits too.

    Args:
        file: A table, as :func:`~clipc.catalog.sources.grid.read_grid` reads them: CSV, TSV, JSON lines, Parquet.
        pairs: The training pairs.
        what: The policy's key, for messages.

    Returns:
        The values in the pairs' order, None for pairs that the table lacks.

    Raises:
        UserError: The file cannot be read, has other columns, repeats a key, or has no key of these pairs.
    """
    grid = read_grid(Path(file))
    values = [name for name in grid.names if name != "key"]
    if "key" not in grid.names or len(values) != 1:
        raise UserError(
            f"policy.{what}: {file} has the columns {', '.join(grid.names)}; it needs two, key and one of values."
        )
    by_key: dict[str, Any] = {}
    for record in grid.records:
        if isinstance(record.values, str):
            raise UserError(f"policy.{what}: {file}, row {record.number}: {record.values}.")
        key = str(record.values.get("key"))
        if key in by_key:
            raise UserError(f"policy.{what}: {file} names the key {key!r} twice.")
        by_key[key] = record.values.get(values[0])
    if not by_key.keys() & set(pairs.keys):
        raise UserError(
            f"policy.{what}: no key in {file} is one of the {len(pairs)} training pairs'"
            f"{f': there {next(iter(by_key))!r}' if by_key else ''}, here such as {pairs.keys[0]!r}."
        )
    return [by_key.get(key) for key in pairs.keys]


def partner_weights(name: str, pairs: Catalog) -> Float64s:
    """The relative probability of each pair to become a partner.

    Args:
        name: ``column:NAME``, or a file as for :func:`keyed_values`.
        pairs: The training pairs.

    Returns:
        Shape (n,); a pair without a weight has 1.

    Raises:
        UserError: There is no such column or file, or a value is no number from 0 up.
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
