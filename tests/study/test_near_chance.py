import pytest

from clipc.study.results import near_chance


@pytest.mark.parametrize(
    ("value", "chance", "near"), [(0.06, 0.01, False), (0.015, 0.01, True), (0.99, 0.5, False), (0.54, 0.5, True)]
)
def test_near_chance_is_said_of_two_classes_and_of_many(value: float, chance: float, near: bool) -> None:
    assert near_chance(value, chance) is near


def test_a_value_half_way_to_a_low_ceiling_is_not_near_chance() -> None:
    assert near_chance(0.13, 0.1)
    assert not near_chance(0.13, 0.1, ceiling=0.2)
