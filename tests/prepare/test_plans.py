from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from clipc.catalog.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.prepare.plans import MIN_CLASS_SIZE, auto_group, group_of, make_plans
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
    assert auto_group(few) == {"column": None, "code": "small-classes"}
    assert auto_group(replace(pairs, about=replace(pairs.about, label_columns=())))["code"] == "no-labels"


def test_classes_of_one_caption_do_not_keep_partners_together(tiny_catalog: Catalog) -> None:
    """Captions made from class names: within a class a composite would say the same twice."""
    pairs = tiny_catalog.split("train")
    labels = pairs.column("label")

    def captioned(texts: list[list[str]]) -> Catalog:
        return replace(pairs, table=pairs.table.set_column(1, "captions", pa.array(texts)))

    classes = captioned([[f"a photo of a {label} plate"] for label in labels])
    assert group_of(Policy(group="auto"), classes) is None
    assert auto_group(classes)["code"] == "single-captions"
    assert group_of(Policy(group="label"), classes) == "label"
    plan = make_plans(Policy(rho=1, group="auto"), classes, 0).rows(0, 80)
    assert all(labels[a] != labels[b] for a, b in zip(plan.left, plan.right, strict=True))
    several = captioned([["an unknown plate"] if i < 8 else [f"a {label} plate"] * 2 for i, label in enumerate(labels)])
    assert group_of(Policy(group="auto"), several) == "label"
    one = captioned([["red"] if label == "red" else [f"{i}"] for i, label in enumerate(labels)])
    assert group_of(Policy(group="auto"), one) is None


@pytest.mark.parametrize("name", built_in("recipe"))
def test_recipes_draw_partners_from_all_classes_as_the_paper_does(name: str) -> None:
    assert read_recipe(name).policy.group is None
