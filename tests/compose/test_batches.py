import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.compose.batches import Batches, deal
from clipc.compose.plan import plan_epoch
from clipc.compose.policy import Policy


def most_in_a_batch(classes: np.ndarray, order: np.ndarray, size: int, start: int) -> int:
    batch = (start + np.arange(len(order))) // size
    return max(np.unique(classes[order][batch == b], return_counts=True)[1].max() for b in np.unique(batch))


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=80),
    st.integers(1, 20),
    st.integers(0, 1000),
    st.integers(0, 2**32),
)
def test_members_of_a_class_are_spread(members: list[int], size: int, start: int, seed: int) -> None:
    classes = np.array(members)
    order = deal(classes, size, start, np.random.Generator(np.random.Philox(seed)))
    assert sorted(order.tolist()) == list(range(len(classes)))
    batches = (start % size + len(classes) - 1) // size + 1
    whole = max(1, batches - 2)
    largest = int(np.bincount(classes).max())
    assert most_in_a_batch(classes, order, size, start) <= min(largest, -(-largest // whole) + (batches > whole))


def test_every_pair_comes_to_every_place() -> None:
    classes = np.array([0, 0, 0, 1, 1, 2])
    generator = np.random.Generator(np.random.Philox(0))
    places = np.zeros((6, 6))
    for _ in range(6000):
        places[np.arange(6), deal(classes, 2, 0, generator)] += 1
    np.testing.assert_allclose(places / 6000, 1 / 6, atol=0.03)


def test_distinct_batches_repeat_no_caption_and_balanced_ones_hold_each_label(tiny_catalog: Catalog) -> None:
    pairs, policy = tiny_catalog.split("train"), Policy(rho=0)
    plain = plan_epoch(pairs, policy, 0, 0)
    for sampling in ("distinct", "balanced"):
        plan = plan_epoch(pairs, policy, 0, 0, batches=Batches(sampling, 8))
        assert sorted(plan.left.tolist()) == sorted(plain.left.tolist())
        # What a pair says does not hang on when it comes.
        said = dict(zip(plan.left.tolist(), plan.left_caption.tolist(), strict=True))
        assert said == dict(zip(plain.left.tolist(), plain.left_caption.tolist(), strict=True))
    labels = np.array(pairs.column("label"))
    plan = plan_epoch(pairs, policy, 0, 0, batches=Batches("balanced", 8))
    for begin in range(0, len(pairs) - 7, 8):
        _, counts = np.unique(labels[plan.left[begin : begin + 8]], return_counts=True)
        assert counts.max() - counts.min() <= 1 or len(counts) == 4
    distinct = plan_epoch(pairs, policy, 0, 0, batches=Batches("distinct", 4))
    captions = [pairs.caption(int(r), int(c)) for r, c in zip(distinct.left, distinct.left_caption, strict=True)]
    for begin in range(0, len(pairs) - 3, 4):
        assert len(set(captions[begin : begin + 4])) == 4


def test_balance_needs_labels(tiny_catalog: Catalog) -> None:
    bare = tiny_catalog.split("train")
    index = bare.table.schema.get_field_index("label")
    nulls = bare.table.set_column(index, "label", [[None] * len(bare)])
    from dataclasses import replace

    from clipc.errors import UserError

    with pytest.raises(UserError, match="balanced"):
        plan_epoch(replace(bare, table=nulls), Policy(rho=0), 0, 0, batches=Batches("balanced", 4))
