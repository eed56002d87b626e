"""Identity: a hash of the configuration keys that change the result of a run.

A key is hashed if its value differs from its neutral value, under which the key has no effect. The neutral value is
declared with the field and never changes, even if the default does. So a new key leaves the hashes of old runs as they
are. A new default leaves them too, and gives new runs another hash than old ones.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from typing import Any, Final

from pydantic import BaseModel

SCHEME: Final = 2
"""The version of the scheme; increased whenever the same recipe would get another hash."""


@dataclass(frozen=True)
class Neutral:
    """Marks a field that is hashed if it differs from a fixed value.

    Attributes:
        value: The value under which the field has no effect.
    """

    value: Any


class Hashed(Enum):
    """Marks of fields without a neutral value."""

    ALWAYS = auto()
    NEVER = auto()


ALWAYS: Final = Hashed.ALWAYS
"""Marks a field that has no value without effect."""

NEVER: Final = Hashed.NEVER
"""Marks a field that cannot change the result."""


def hashing_mark(model: type[BaseModel], name: str) -> Neutral | Hashed | None:
    """The mark of a field; None for a section, whose own fields are marked."""
    return next((m for m in model.model_fields[name].metadata if isinstance(m, Neutral | Hashed)), None)


def identity_keys(model: BaseModel, without: Collection[str] = ()) -> dict[str, Any]:
    """The keys to hash and their values; sections are nested, and empty ones are left out.

    Args:
        model: The configuration.
        without: Names of fields to leave out.
    """
    keys: dict[str, Any] = {}
    for name in type(model).model_fields:
        hashing, value = hashing_mark(type(model), name), getattr(model, name)
        if hashing is NEVER or name in without or (isinstance(hashing, Neutral) and value == hashing.value):
            continue
        if isinstance(value, BaseModel):
            value = identity_keys(value)
            if not value and hashing is None:
                continue
        keys[name] = value
    return keys


def hash_keys(keys: dict[str, Any]) -> str:
    """A hash of keys, values and the scheme's version, ten hexadecimal digits."""
    text = json.dumps({**keys, "scheme": SCHEME}, sort_keys=True, default=_plain)
    return blake2b(text.encode(), digest_size=5).hexdigest()


def _plain(value: Any) -> Any:
    return identity_keys(value) if isinstance(value, BaseModel) else str(value)
