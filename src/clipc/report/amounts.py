"""Amounts as text: money in the reader's manner, person-days, and values that may lie beyond what was measured."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from clipc.report import readable
from clipc.report.words import Words

_SIGNS: Final = {"JPY": "¥", "USD": "$", "EUR": "€", "GBP": "£"}
_HOURS_A_DAY: Final = 8

Estimate = Mapping[str, Any]
"""``value``, ``low``, ``high``, ``side``, ``open_low`` and ``open_high``, as :mod:`clipc.study.worth` gives them."""

Format = Callable[[float], str]
"""Writes a number with its unit."""


def money(value: float, currency: str, lang: str) -> str:
    """An amount of money; yen without decimals, in Japanese in 万円 or 億円 from ten thousand yen on.

    >>> money(1_234_567, "JPY", "ja"), money(-1_234_567, "JPY", "en"), money(12.5, "EUR", "en")
    ('123万円', '−¥1,234,567', '€12.50')
    """
    size, minus = abs(value), readable.MINUS if value < 0 else ""
    if currency == "JPY" and lang == "ja":
        for unit, name in ((1e8, "億円"), (1e4, "万円")):
            if round(size) >= unit:
                scaled = size / unit
                return f"{minus}{scaled:,.0f}{name}" if scaled >= 100 else f"{minus}{_trim(scaled)}{name}"
        return f"{minus}{size:,.0f}円" if round(size) else "0円"
    text = f"{size:,.0f}" if currency == "JPY" or size >= 100 or size == round(size) else f"{size:,.2f}"
    sign = "" if not any(digit in text for digit in "123456789") else minus
    return f"{sign}{_SIGNS[currency]}{text}" if currency in _SIGNS else f"{sign}{currency}\N{NO-BREAK SPACE}{text}"


def hours(value: float, say: Words) -> str:
    """Hours of people with the person-days that they are."""
    days = value / _HOURS_A_DAY
    return say("worth.hours", h=_trim(value), days=_trim(days) if days >= 1 else f"{days:.2g}")


def times(value: float, say: Words) -> str:
    """A multiple: ``1.86×``."""
    return say("worth.times", x=f"{value:.2f}".replace("-", readable.MINUS))


def difference(unit: str, value: float, say: Words) -> str:
    """A difference of a metric with its sign and unit: ``+2.3 points``."""
    if unit == readable.SHARE:
        return say("worth.points", x=readable.signed(unit, value))
    return say("worth.other_unit", x=readable.signed(unit, value), unit=say.unit(unit, "difference"))


def estimate(e: Estimate, write: Format, say: Words) -> str:
    """The value of an estimate; where it lies beyond the measured range, the bound that it lies beyond."""
    return _side(e["value"], e["side"], write, say)


def interval(e: Estimate, write: Format, say: Words, *, first: Format | None = None) -> str:
    """The interval of an estimate; an end beyond the measured range says so.

    Args:
        e: The estimate.
        write: Writes a number with its unit.
        say: The words of a language.
        first: Writes the lower end, where its unit need not be repeated.
    """
    if e["low"] is None:
        return say("worth.never")
    low = _side(e["low"], "below" if e["open_low"] else "inside", first or write, say, "no_limit")
    high = _side(e["high"], "above" if e["open_high"] else "inside", write, say, "no_limit")
    return say("worth.range", low=low, high=high)


def _side(value: float | None, side: str, write: Format, say: Words, without: str = "never") -> str:
    if value is None:
        return say(f"worth.{without}")
    text = write(value)
    return text if side == "inside" else say("worth.more_than" if side == "above" else "worth.less_than", x=text)


def _trim(value: float) -> str:
    """One decimal, left out where it is zero."""
    return f"{value:,.1f}".removesuffix(".0")
