import pytest

from clipc.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.report.words import words
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
