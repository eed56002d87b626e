"""Captions: how two become one, in their language, within what the model reads."""

from clipc.compose.captions.joint import CONJUNCTION, Wording

__all__ = ["CONJUNCTION", "Wording", "join"]


def join(first: str, second: str, joiner: str = CONJUNCTION) -> str:
    """The joint caption: the first caption without its final full stop, the joiner, the second caption."""
    return Wording(joiner=joiner).text(first, second, 0, False)
