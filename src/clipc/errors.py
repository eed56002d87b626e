"""The user's mistakes, each told in one clear sentence."""

from collections.abc import Iterable
from difflib import get_close_matches

_COMPARED = 10_000
_LISTED = 60


class UserError(Exception):
    """A wrong input: what is wrong, where (file, row, key), and what to do.

    The command line prints the message alone and ends with exit code 2; any other exception is
    our mistake (exit code 1).
    """


def unknown_name(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: the nearest one, or the list of those that do.

    Args:
        what: The kind of thing that was named, such as ``"recipe key"``.
        name: The name that was given.
        known: The names that exist.
    """
    names = sorted(known)
    near = get_close_matches(name, names[:_COMPARED], n=1, cutoff=0.6)
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names[:_LISTED]) or 'none'}{more}."
    return UserError(f"unknown {what} {name!r}; {hint}")
