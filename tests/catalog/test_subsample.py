import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.catalog.subsample import stratified_order, subsample
from clipc.errors import UserError
from clipc.recipe.data import Data


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=200), st.integers(0, 99))
def test_every_beginning_holds_each_class_in_its_share(members: list[str], seed: int) -> None:
    classes = np.array(members)
    order = stratified_order(classes, seed)
    assert sorted(order.tolist()) == list(range(len(classes)))
    for name in set(members):
        seen = np.cumsum(classes[order] == name)
        share = np.arange(1, len(classes) + 1) * (classes == name).mean()
        # Each class is within one of its share of its own places; the others' draws add as much again at most.
        assert np.abs(seen - share).max() <= 1 + len(set(members)) / 2


def test_smaller_sets_lie_inside_larger_ones_and_only_training_pairs_go(tiny_catalog: Catalog) -> None:
    before = tiny_catalog.splits
    sets = {n: subsample(tiny_catalog, n) for n in (5, 12, 24, 40)}
    keys = {n: set(found.split("train").keys) for n, found in sets.items()}
    assert keys[5] < keys[12] < keys[24] < keys[40] == set(tiny_catalog.split("train").keys)
    for n, found in sets.items():
        assert found.splits == {**before, "train": n}
        assert found.split("test").keys == tiny_catalog.split("test").keys
    _, counts = np.unique(sets[12].split("train").column("label"), return_counts=True)
    assert counts.min() >= 2
    assert len({found.fingerprint for found in sets.values()}) == 4
    assert subsample(tiny_catalog, 12).fingerprint == sets[12].fingerprint


def test_the_order_of_the_rows_changes_no_subset(tiny_catalog: Catalog) -> None:
    turned = tiny_catalog.take(np.arange(len(tiny_catalog))[::-1])
    assert set(subsample(turned, 10).split("train").keys) == set(subsample(tiny_catalog, 10).split("train").keys)


def test_a_recipe_may_ask_for_fewer(tiny_source: object, tiny_catalog: Catalog) -> None:
    assert Data(source=str(tiny_source), pairs=7).open().splits["train"] == 7
    with pytest.raises(UserError, match=r"40 training pairs, fewer than data\.pairs=41"):
        subsample(tiny_catalog, 41)
