"""Weights of partners that depend on the groups of both pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipc.compose.arrays import Float64s, Int32s, Integers
from clipc.errors import UserError, first_line
from clipc.files import read_text
from clipc.json_files import parse_json
from clipc.limits import DOCUMENT_BYTES

KIND: Final = "clipc group weights"
"""The value of ``kind`` in a file of group weights."""


@dataclass(frozen=True, eq=False)
class GroupWeights:
    """The relative probability of a partner, by the group of the first pair and the group of the partner.

    Attributes:
        groups: The group of each pair, ``int32``, shape (n,); -1 for a pair without one, whose weight is always 1.
        weights: The weight of a partner, in [0, 1], ``float64``, shape (groups, groups): the row is the first pair's
            group, the column the partner's.
    """

    groups: Int32s
    weights: Float64s

    def __call__(self, rows: Integers, partners: Integers) -> Float64s:
        """The weight of each partner, in [0, 1], ``float64``, shape (m,).

        Args:
            rows: The catalog rows of the first pairs, shape (m,).
            partners: The catalog rows of their partners, shape (m,).
        """
        first, second = self.groups[rows], self.groups[partners]
        return np.where((first < 0) | (second < 0), 1.0, self.weights[first, second])


def group_weights_document(keys: Sequence[str], weights: GroupWeights, about: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file of group weights, ready for JSON; :func:`read_group_weights` reads it.

    Args:
        keys: The keys of the pairs.
        weights: The groups of these pairs, and the weights.
        about: What the weights are for, for people who read the file.
    """
    rounded = [[float(f"{value:.6g}") for value in row] for row in weights.weights.tolist()]
    groups = dict(zip(keys, weights.groups.tolist(), strict=True))
    return {"kind": KIND, "about": dict(about), "weights": rounded, "groups": groups}


def is_group_weights(file: str) -> bool:
    """Whether a file holds group weights: a JSON object whose first key is ``kind``, as clipc writes it."""
    if Path(file).suffix.lower() != ".json" or not Path(file).is_file():
        return False
    with Path(file).open(encoding="utf-8", errors="replace") as stream:
        return KIND in stream.read(200)


def read_group_weights(file: str, keys: Sequence[str]) -> GroupWeights:
    """The group weights of some pairs, from a file as :func:`group_weights_document` describes it.

    Args:
        file: The JSON file.
        keys: The keys of the pairs; those that the file lacks have no group.

    Returns:
        The weights; each row is divided by its largest value.

    Raises:
        UserError: The file is damaged, a weight is not a finite number from 0 up, or no key is one of these pairs.
    """
    try:
        content = parse_json(read_text(Path(file), DOCUMENT_BYTES))
        table = np.asarray(content["weights"], dtype=np.float64)
        named: dict[str, int] = {str(key): int(group) for key, group in content["groups"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(
            f"policy.weights: {file} holds no group weights ({first_line(error)}); make it again."
        ) from error
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not np.isfinite(table).all() or (table < 0).any():
        raise UserError(
            f"policy.weights: the weights in {file} must be a square table of finite numbers from 0 up, a row and a "
            f"column for each group; their shape is {table.shape}."
        )
    if wrong := next((key for key, group in named.items() if not -1 <= group < len(table)), None):
        raise UserError(f"policy.weights: {file} puts {wrong!r} into group {named[wrong]}; there are {len(table)}.")
    if not named.keys() & set(keys):
        raise UserError(f"policy.weights: {file} has no key of the {len(keys)} training pairs, such as {keys[0]!r}.")
    groups = np.asarray([named.get(key, -1) for key in keys], dtype=np.int32)
    largest = table.max(axis=1, keepdims=True, initial=0)
    return GroupWeights(groups, np.divide(table, largest, out=np.zeros_like(table), where=largest > 0))
