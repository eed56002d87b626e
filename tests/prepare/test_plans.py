import numpy as np
import pytest

from clipc.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.prepare.plans import MIN_CLASS_SIZE, group_of, make_plans
from clipc.recipe.recipe import read_recipe
from clipc.recipe.yaml_table import built_in


def test_partners_share_the_main_label_where_there_is_one(tiny_catalog: Catalog) -> None:
    pairs = tiny_catalog.split("train")
    assert group_of(Policy(group="auto"), pairs) == "label"
    labels = np.array(pairs.column("label"))
    plan = make_plans(Policy(rho=1, group="auto"), pairs, 0).rows(0, 200)
    composed = plan.right >= 0
    assert composed.any()
    assert (labels[plan.left[composed]] == labels[plan.right[composed]]).all()


def test_without_labels_or_with_classes_too_small_any_pair_is_a_partner(tiny_catalog: Catalog) -> None:
    pairs = tiny_catalog.split("train")
    few = pairs.take(range(MIN_CLASS_SIZE - 1))
    assert group_of(Policy(group="auto"), few) is None
    assert group_of(Policy(group="label"), few) == "label"
    assert group_of(Policy(), pairs) is None


@pytest.mark.parametrize("name", built_in("recipe"))
def test_small_recipes_stay_within_classes_and_the_large_ones_do_as_the_paper(name: str) -> None:
    assert read_recipe(name).policy.group == ("auto" if name in ("small", "nano") else None)
