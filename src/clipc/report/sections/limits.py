"""The limitations of an experiment, and how many seeds a difference needs."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report.page import fragment
from clipc.report.words import Words


def limits(data: Mapping[str, Any], say: Words) -> Markup:
    """What was not tested, a sentence each."""
    return fragment("limits.html", say, limits=data["not_shown"])


def power(data: Mapping[str, Any], say: Words) -> Markup:
    """The seeds that a difference would take, given the measured noise; nothing where none was measured."""
    return fragment("power.html", say, data=data) if data["power"] else Markup()
