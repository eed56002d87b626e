"""Identity: which keys of a model's fields make a run another run, and a hash of them.

A key counts where it differs from its neutral value, the one under which it does nothing. That value stands beside the
field and never changes, whatever the default becomes: so a new key renames no old run, and a new default neither
renames an old run nor lets it answer for a new one.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from typing import Any, Final

from pydantic import BaseModel

SCHEME: Final = 2
"""The version of the scheme; raised whenever equal recipes get other names."""


@dataclass(frozen=True)
class Neutral:
    """Marks a field that counts where it differs from a frozen value.

    Attributes:
        value: What the key is where it does nothing.
    """

    value: Any


class Hashed(Enum):
    """How a field counts that has no neutral value."""

    ALWAYS = auto()
    NEVER = auto()


ALWAYS: Final = Hashed.ALWAYS
"""Marks a field that has no value under which it does nothing."""

NEVER: Final = Hashed.NEVER
"""Marks a field that cannot change the result."""


def hashing_of(model: type[BaseModel], name: str) -> Neutral | Hashed | None:
    """How a field counts; None for a section, whose own fields are marked."""
    return next((m for m in model.model_fields[name].metadata if isinstance(m, Neutral | Hashed)), None)


def identity_keys(model: BaseModel, without: Collection[str] = ()) -> dict[str, Any]:
    """The keys that count and their values; sections as nested ones, left out where nothing in them counts.

    Args:
        model: What is named.
        without: Names of its fields that are not to count.
    """
    keys: dict[str, Any] = {}
    for name in type(model).model_fields:
        hashing, value = hashing_of(type(model), name), getattr(model, name)
        if hashing is NEVER or name in without or (isinstance(hashing, Neutral) and value == hashing.value):
            continue
        if isinstance(value, BaseModel):
            value = identity_keys(value)
            if not value and hashing is None:
                continue
        keys[name] = value
    return keys


def hash_keys(keys: dict[str, Any]) -> str:
    """Ten hexadecimal digits for some keys and their values, under the scheme's version."""
    text = json.dumps({**keys, "scheme": SCHEME}, sort_keys=True, default=_plain)
    return blake2b(text.encode(), digest_size=5).hexdigest()


def _plain(value: Any) -> Any:
    return identity_keys(value) if isinstance(value, BaseModel) else str(value)
