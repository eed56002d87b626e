"""Amounts as text: yen, other currencies, person-days, and values beyond the measured range."""

from typing import Any

import pytest

from clipc.report.amounts import estimate, hours, interval, money, times
from clipc.report.words import words

EN, JA = words("en"), words("ja")


@pytest.mark.parametrize(
    ("value", "currency", "lang", "text"),
    [
        (0, "JPY", "ja", "0円"),
        (9_999.4, "JPY", "ja", "9,999円"),
        (9_999.7, "JPY", "ja", "1万円"),
        (125_000, "JPY", "ja", "12.5万円"),
        (-1_234_567, "JPY", "ja", "−123万円"),
        (250_000_000, "JPY", "ja", "2.5億円"),
        (1_234.5, "JPY", "en", "¥1,234"),
        (-0.2, "JPY", "en", "¥0"),
        (12.5, "EUR", "en", "€12.50"),
        (1_234.5, "USD", "ja", "$1,234"),
        (1_000, "CHF", "en", "CHF\N{NO-BREAK SPACE}1,000"),
    ],
)
def test_money(value: float, currency: str, lang: str, text: str) -> None:
    assert money(value, currency, lang) == text


def test_hours_are_person_days_too() -> None:
    assert hours(12, JA) == "12時間（1.5人日）"
    assert hours(2, EN) == "2 h (0.25 person-days)"


def make(
    value: float | None, low: float | None, high: float | None, side: str = "inside", **ends: bool
) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "side": side, "open_low": False, "open_high": False, **ends}


def test_what_lies_beyond_the_range_says_so() -> None:
    above = make(2.0, 1.6, 2.0, "above", open_high=True)
    assert estimate(above, lambda x: times(x, EN), EN) == "more than 2.00×"
    assert interval(above, lambda x: times(x, JA), JA) == "1.60倍～2.00倍超"
    below = make(0.5, 0.5, 0.8, "below", open_low=True)
    assert interval(below, lambda x: times(x, EN), EN) == "less than 0.50× to 0.80×"


def test_a_break_even_that_is_never_reached() -> None:
    def yen(value: float) -> str:
        return money(value, "JPY", "en")

    assert interval(make(None, 117.0, None), yen, EN) == "¥117 to no upper limit"
    assert interval(make(None, None, None), yen, EN) == "no cost"
