"""Numbers as text for readers: shares in percent, their differences in percentage points, other units as they are."""

from collections.abc import Mapping, Sequence
from typing import Any

MINUS, NONE = "\N{MINUS SIGN}", "\N{EN DASH}"
"""The minus sign, and the text for a missing value."""
SHARE, RANKS = "share", "ranks"
"""The units of metrics with their own number format; a metric may have any other unit."""


def unit_of(metric: str, data: Mapping[str, Any]) -> str:
    """The unit of a metric, from the table of metrics; :data:`SHARE` if the metric is not in the table."""
    return next((row["unit"] for row in data["metrics"] if row["key"] == metric), SHARE)


def scale(unit: str) -> float:
    """The factor by which values of a unit are multiplied for readers: 100 for shares, otherwise 1."""
    return 100.0 if unit == SHARE else 1.0


def level(unit: str, value: float | None) -> str:
    """A metric's value: ``51.2%``, ``14.0`` for a rank, three figures in any other unit."""
    if value is None:
        return NONE
    return f"{value * 100:.1f}%" if unit == SHARE else _minus(_number(unit, value))


def ceiling(unit: str, value: float | None) -> str | None:
    """A metric's ceiling as :func:`level` writes it; None without one, and for 100%."""
    text = None if value is None else level(unit, value)
    return None if text == level(SHARE, 1.0) else text


def few_captions_texts(few: Mapping[str, Any]) -> dict[str, str]:
    """The numbers of :func:`clipc.evaluate.ceiling.few_captions_facts` as text, the parameters of a sentence."""
    return {name: count(few[name]) for name in ("distinct", "captions")} | {"ceiling": percent(few["ceiling"])}


def signed(unit: str, value: float | None) -> str:
    """A difference of a metric with its sign, in percentage points or its own unit: ``+2.0``."""
    return NONE if value is None else _minus(_number(unit, value, "+"))


def plain(unit: str, value: float | None) -> str:
    """An unsigned width of a metric in percentage points or its own unit: ``1.2``."""
    return NONE if value is None else _number(unit, value)


def count(value: float | None) -> str:
    """A whole number with thousands separators: ``8,400``."""
    return NONE if value is None else f"{value:,.0f}"


def percent(share: float) -> str:
    """A share in [0, 1] as ``12.3%``; a positive one below 0.05% as ``<0.1%``."""
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def short(value: float) -> str:
    """A large number with at most three digits: ``2.4 M``, ``86.2 M``, ``950 k``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}\N{NO-BREAK SPACE}{unit}"
    return f"{value:.3g}"


def tidy(value: float | None) -> str:
    """A rate or duration with about three digits: ``0.98``, ``17.2``, ``412``."""
    if value is None:
        return NONE
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return _minus(f"{value:,.{places}f}")


def p_value(p: float | None) -> str:
    """A p value with two or three decimals: ``0.032``, ``0.41``, ``<0.001``."""
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def interval(comparison: Mapping[str, Any]) -> tuple[float, float] | None:
    """A comparison's interval over seeds; None where an end is missing."""
    low, high = comparison["interval"] or (None, None)
    return None if low is None or high is None else (low, high)


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None without values."""
    return sum(values) / len(values) if values else None


def _number(unit: str, value: float, sign: str = "") -> str:
    return format(value * scale(unit), f"{sign}.1f" if unit in (SHARE, RANKS) else f"{sign}.3g")


def _minus(text: str) -> str:
    """Replaces the hyphen of a negative number by a minus sign, and removes the sign of a zero."""
    if not any(digit in text for digit in "123456789"):
        return text.lstrip("+-")
    return text.replace("-", MINUS)
