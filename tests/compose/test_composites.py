import numpy as np
import pytest
from scipy.stats import chisquare

from clipc.compose.composites import third_pairs
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.render.texts import texts

from .pairs import catalog_of


class Words:
    """A tokenizer that counts words."""

    context_length, max_text_tokens = 77, 75

    def count(self, text: str) -> int:
        return len(text.split())


def test_third_pairs_are_any_of_the_others() -> None:
    left, right = np.array([1, 3] * 6000, dtype=np.int32), np.array([3, 0] * 6000, dtype=np.int32)
    chance = np.random.Generator(np.random.Philox(0)).random(12000)
    third = third_pairs(left, right, chance, 5)
    for side, others in ((slice(0, None, 2), [0, 2, 4]), (slice(1, None, 2), [1, 2, 4])):
        values, counts = np.unique(third[side], return_counts=True)
        assert values.tolist() == others
        assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(("pairs", "third"), [(2, -1), (3, 2)])
def test_two_pairs_have_no_third(pairs: int, third: int) -> None:
    rows = third_pairs(np.array([0, 0], np.int32), np.array([1, -1], np.int32), np.array([0.9, 0.9]), pairs)
    assert rows.tolist() == [third, -1]


def test_a_wrong_caption_changes_nothing_but_the_words_of_the_second_half() -> None:
    catalog = catalog_of([[f"a{i}", f"b{i}"] for i in range(20)])
    right, wrong = (Plans(catalog, Policy(rho=0.5, caption=way), 0) for way in ("join", "wrong"))
    one, other = (plans.rows(0, 40) for plans in (right, wrong))
    for column in ("left", "right", "left_caption", "right_caption", "layout"):
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column))
    composed = other.right >= 0
    assert (other.third >= 0).tolist() == composed.tolist()
    assert not (other.third[composed] == other.left[composed]).any()
    assert not (other.third[composed] == other.right[composed]).any()
    correct, false = (texts(plans, plan, Words()).captions for plans, plan in ((right, one), (wrong, other)))  # pyright: ignore
    for row in range(40):
        first, _, second = false[row].partition(" and ")
        assert first == correct[row].partition(" and ")[0]
        assert (second != "") == composed[row]
        if second:
            assert int(second[1:]) == other.third[row]
