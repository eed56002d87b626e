"""Numbers for captions, so that equal ones can be found in a batch and across machines."""

from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1 << 16)
def text_id(text: str) -> int:
    """A 56-bit hash of a text, never negative: the same text has the same number everywhere."""
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())
