"""Composition inside a batch."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from clipc import CompositePairs, Policy, compose_batch, shared_sources
from clipc.compose.layouts import LAYOUTS
from clipc.errors import UserError

WORDS = ["red", "green", "blue", "white", "black", "pink", "brown", "grey"]


def flat(n: int, size: int = 8) -> torch.Tensor:
    """Pictures of one value each, their position: a composite shows whose pixels it has."""
    return torch.arange(n, dtype=torch.float32)[:, None, None, None].expand(n, 3, size, size).clone()


def captions(n: int) -> list[str]:
    return [f"pair <{i}>." for i in range(n)]


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(2, 40),
    size=st.integers(8, 17),  # In fewer pixels a box may round to all of the picture.
    rho=st.floats(0, 1),
    layout=st.sampled_from([name for name in sorted(LAYOUTS) if name != "region"]),
    caption=st.sampled_from(["join", "spatial", "both-orders"]),
    seed=st.integers(0, 2**31),
    step=st.integers(0, 2**40),
    keyed=st.booleans(),
    data=st.data(),
)
def test_any_batch(
    n: int, size: int, rho: float, layout: str, caption: Any, seed: int, step: int, keyed: bool, data: st.DataObject
) -> None:
    keys = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)) if keyed else None
    policy = Policy(rho=rho, layout=layout, caption=caption)
    images, texts = flat(n, size), captions(n)
    made = compose_batch(images, texts, policy=policy, seed=seed, step=step, keys=keys)

    assert torch.equal(images, flat(n, size))
    assert texts == captions(n)
    assert made.images.shape == images.shape
    assert made.sources.dtype == made.texts.dtype == torch.int64
    composed = made.texts[:, 1] >= 0
    assert torch.equal(composed, made.sources[:, 1] >= 0)
    assert made.treated == int(composed.sum())
    of = {int(text): i for i, text in enumerate(compose_batch(images, texts, policy=Policy(rho=0)).texts[:, 0])}
    assert len(of) == n
    for i in range(n):
        first, second = (of.get(int(text), -1) for text in made.texts[i])
        assert first == i
        assert made.sources[i].tolist() == [keys[j] if keys and j >= 0 else j for j in (first, second)]
        if second < 0:
            assert torch.equal(made.images[i], images[i])
            assert made.captions[i] == texts[i]
            continue
        assert second != i
        assert keys is None or keys[first] != keys[second]
        assert f"<{first}>" in made.captions[i]
        assert f"<{second}>" in made.captions[i]
        values = set((made.images[i].unique() * 1000).round().div(1000).tolist())  # Resizing rounds.
        shown = {
            "first-image": {float(first)},
            "blend": {(first + second) / 2},
        }.get(layout, {float(first), float(second)})
        assert values == shown

    again = compose_batch(images, texts, policy=policy, seed=seed, step=step, keys=keys)
    assert torch.equal(again.images, made.images)
    assert again.captions == made.captions
    assert torch.equal(again.sources, made.sources)


def test_composites_are_made_of_what_was_given_and_not_of_composites() -> None:
    """With every row composed, in place, a partner that lies before its row would already be a composite."""
    n = 16
    made = compose_batch(flat(n), captions(n), policy=Policy(rho=1, axis="left-right"), seed=3)
    assert made.treated == n
    assert (made.sources[:, 1] < made.sources[:, 0]).any()
    for i, (first, second) in enumerate(made.sources.tolist()):
        assert (made.images[i, :, :, :4] == first).all()
        assert (made.images[i, :, :, 4:] == second).all()


def test_every_lawful_partner_has_the_same_chance() -> None:
    keys = ["a", "b", "a", "c", "b", "a", "d"]
    drawn: list[Counter[int]] = [Counter() for _ in keys]
    texts = captions(len(keys))
    for step in range(500):
        made = compose_batch(flat(7, 4), texts, policy=Policy(rho=1), step=step, keys=keys)
        number = {int(text): i for i, text in enumerate(made.texts[:, 0])}
        for i, text in enumerate(made.texts[:, 1].tolist()):
            drawn[i][number[text]] += 1
    for i, key in enumerate(keys):
        allowed = [j for j, other in enumerate(keys) if other != key]
        assert set(drawn[i]) == set(allowed)
        assert chisquare([drawn[i][j] for j in allowed]).pvalue > 1e-4


def test_the_share_is_rho_and_low_rates_are_part_of_high_ones() -> None:
    shares = {rho: [] for rho in (0.1, 0.3, 0.8)}
    for step in range(100):
        made = {rho: compose_batch(flat(50, 4), captions(50), policy=Policy(rho=rho), step=step) for rho in shares}
        low, high = (made[rho].sources[:, 1] for rho in (0.3, 0.8))
        assert torch.equal(low[low >= 0], high[low >= 0])
        for rho, batch in made.items():
            shares[rho].append(batch.treated / 50)
    for rho, found in shares.items():
        assert np.mean(found) == pytest.approx(rho, abs=0.02)


def test_steps_and_seeds_differ() -> None:
    several = [
        compose_batch(flat(32, 4), captions(32), policy=Policy(rho=0.5), seed=seed, step=step).captions
        for seed, step in ((0, 0), (0, 1), (1, 0))
    ]
    assert several[0] != several[1]
    assert several[0] != several[2]


def test_what_has_no_partner_stays_plain() -> None:
    for n, keys in ((1, None), (0, None), (4, ["same"] * 4)):
        made = compose_batch(flat(n), captions(n), policy=Policy(rho=1), keys=keys)
        assert made.treated == 0
        assert made.captions == captions(n)
        assert torch.equal(made.images, flat(n))
        assert made.sources.shape == made.texts.shape == (n, 2)


def test_the_mask_is_one_call() -> None:
    texts = ["a gear", "a gear", "a bolt", "a nut", "a ring", "a pin"]
    made = compose_batch(flat(6), texts, policy=Policy(rho=0.7), seed=1)
    same = shared_sources(made.sources, made.texts)
    for i in range(6):
        for j in range(6):
            shows = [{k for k in made.sources[r].tolist() if k >= 0} for r in (i, j)]
            says = [{texts[k] for k in rows} for rows in shows]
            assert bool(same[i, j]) == bool(shows[0] & shows[1] or says[0] & says[1])
    assert same[0, 1]


def test_keys_may_be_a_tensor_or_texts() -> None:
    made = compose_batch(flat(3), captions(3), policy=Policy(rho=0), keys=torch.tensor([7, 5, 7]))
    assert made.sources.tolist() == [[7, -1], [5, -1], [7, -1]]
    named = compose_batch(flat(3), captions(3), policy=Policy(rho=0), keys=["x", "y", "x"]).sources[:, 0].tolist()
    assert named[0] == named[2] != named[1]
    # Ranks that name a pair alike give it one number.
    assert named[1] == int(compose_batch(flat(1), ["z"], keys=["y"]).sources[0, 0])


def test_long_captions_keep_both_parts() -> None:
    import open_clip

    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    texts = [f"{word} " * 30 for word in WORDS]
    made = compose_batch(flat(8), texts, policy=Policy(rho=0.6), tokenizer=tokenizer)
    assert made.treated > 0
    assert made.shortened == 8
    for text, (first, second) in zip(made.captions, made.sources.tolist(), strict=True):
        assert len(tokenizer.encode(text)) <= 14
        assert WORDS[first] in text
        assert second < 0 or WORDS[second] in text
    short = compose_batch(flat(8), WORDS, policy=Policy(rho=0.6), tokenizer=tokenizer)
    assert short.shortened == 0


@pytest.mark.parametrize("layout", [name for name in sorted(LAYOUTS) if name != "region"])
def test_everything_stays_on_the_images_device(layout: str) -> None:
    """Of PyTorch's devices the one without numbers is everywhere, and refuses others' tensors as a GPU does."""
    made = compose_batch(flat(9, 7).to("meta"), captions(9), policy=Policy(rho=0.7, layout=layout))
    assert made.images.device == made.sources.device == made.texts.device == torch.device("meta")
    assert made.treated > 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"partner": "nearest"}, "partner: nearest"),
        ({"group": "view"}, "group"),
        ({"layout": "region", "region": "box"}, "layout: region"),
        ({"pairing": "fixed", "partner": "diverse"}, "partner: diverse and pairing: fixed"),
    ],
)
def test_policies_that_need_more_than_a_batch_point_to_the_dataset(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=f"{words} .*{CompositePairs.__name__}") as told:
        compose_batch(flat(4), captions(4), policy=Policy(**fields))
    assert str(told.value).count(".") <= 2


def test_rules_point_to_the_dataset(tmp_path: Any) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("name: views\npairs:\n  - require: a.view = b.view\n    why: they are read differently\n")
    with pytest.raises(UserError, match=r"rules .*CompositePairs"):
        compose_batch(flat(4), captions(4), policy=Policy(rules=str(rules)))  # pyright: ignore[reportArgumentType]


def test_wrong_inputs_are_told() -> None:
    with pytest.raises(UserError, match="4 images but 3 captions"):
        compose_batch(flat(4), captions(3))
    with pytest.raises(UserError, match="4 images but 2 keys"):
        compose_batch(flat(4), captions(4), keys=[1, 2])
    with pytest.raises(UserError, match="square"):
        compose_batch(torch.zeros(4, 3, 8, 9), captions(4))
    with pytest.raises(UserError, match="not -2"):
        compose_batch(flat(2), captions(2), keys=[1, -2])
    with pytest.raises(UserError, match="'augment'"):
        compose_batch(flat(2), captions(2), policy=Policy(treatment="augment"))
    with pytest.raises(UserError, match=r"policy\.until is a share of a run"):
        compose_batch(flat(2), captions(2), policy=Policy(until=0.7))
    with pytest.raises(UserError, match="list is no tokenizer"):
        compose_batch(flat(2), captions(2), tokenizer=[])
