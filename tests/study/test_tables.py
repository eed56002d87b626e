import pytest

from clipc.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.report.words import words
from clipc.study.results import near_chance
from clipc.study.tables import _partners


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        (Policy(), "random-partners"),
        (Policy(partner="nearest"), "one-way-of-partners"),
        (Policy(group="label"), "one-way-of-partners"),
        (Policy(group="auto"), "one-way-of-partners"),
        (Policy.model_validate({"rules": "factory"}), "one-way-of-partners"),
    ],
)
def test_a_report_does_not_call_chosen_partners_random(policy: Policy, code: str, tiny_catalog: Catalog) -> None:
    assert _partners(policy, tiny_catalog) == code
    for lang in ("en", "ja"):
        assert any(key.endswith(f".{code}") for key in words(lang).table)


@pytest.mark.parametrize(
    ("value", "chance", "near"), [(0.06, 0.01, False), (0.015, 0.01, True), (0.99, 0.5, False), (0.54, 0.5, True)]
)
def test_near_chance_is_said_of_two_classes_and_of_many(value: float, chance: float, near: bool) -> None:
    assert near_chance(value, chance) is near
