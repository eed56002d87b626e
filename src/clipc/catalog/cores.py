"""How many processor cores this process may use."""

import os


def cores() -> int:
    """The cores that the system lets this process run on, 1 or more."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
