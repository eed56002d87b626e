"""Numbers as readers see them."""

from clipc.report import readable


def test_shares_are_percent_and_ranks_are_ranks() -> None:
    assert readable.level("share", 0.5123) == "51.2%"
    assert readable.level("ranks", 14.0) == "14.0"
    assert readable.level("share", None) == "–"


def test_differences_have_a_true_sign_and_zero_has_none() -> None:
    assert readable.signed("share", 0.02) == "+2.0"
    assert readable.signed("share", -0.02) == "\N{MINUS SIGN}2.0"
    assert readable.signed("share", -0.0001) == "0.0"


def test_any_other_unit_is_shown_in_three_figures() -> None:
    assert readable.level("ells", 0.01234) == "0.0123"
    assert readable.level("ells", -1234.5) == "\N{MINUS SIGN}1.23e+03"
    assert readable.signed("ells", 0.5) == "+0.5"
    assert readable.plain("ells", 2.0) == "2"


def test_large_numbers_are_short() -> None:
    assert readable.short(2_400_000) == "2.4\N{NO-BREAK SPACE}M"
    assert readable.count(8400) == "8,400"
    assert [readable.tidy(v) for v in (0.983, 17.24, 411.6, None)] == ["0.98", "17.2", "412", "–"]
