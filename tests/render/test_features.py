"""The feature renderer follows the plan as the other renderers do; features of composites are means."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.compose.entries import Entries
from clipc.compose.policy import Policy
from clipc.compose.rules.schema import Rules
from clipc.errors import UserError
from clipc.prepare.plans import make_plans
from clipc.render.crop import Augmentation
from clipc.render.features import FeatureRenderer, KeptCaptions, KeptImages, check_policy
from clipc.render.kept_views import HALVES
from clipc.render.texts import names_a_side
from clipc.render.worker import WorkerRenderer

VIEWS = 3


class Words:
    """A tokenizer of words with room for them all."""

    context_length, max_text_tokens = 64, 62

    def count(self, text: str) -> int:
        return len(text.split())

    def __call__(self, texts: list[str]) -> torch.Tensor:
        tokens = torch.zeros((len(texts), self.context_length), dtype=torch.int64)
        for row, text in enumerate(texts):
            ids = [1 + sum(word.encode()) % 1000 for word in text.split()]
            tokens[row, : len(ids)] = torch.tensor(ids)
        return tokens


def renderer(catalog: Catalog, *, captions: bool = True, mirrored: Any = None, **policy: Any) -> FeatureRenderer:
    """A renderer whose features say what they are of: image i, view v (-1: whole), half h (-1: none)."""
    pairs = catalog.split("train")
    n = len(pairs)
    row = np.arange(n)[::-1].copy()  # rows of the arrays are in another order than the catalog
    whole = np.stack([row, np.full(n, -1), np.full(n, -1)], axis=1).astype(np.float16)
    views = np.stack([np.stack([row, np.full(n, v), np.full(n, -1)], axis=1) for v in range(VIEWS)], axis=1)
    halves = np.stack([np.concatenate([views[..., :2], np.full((n, VIEWS, 1), h)], axis=2) for h in (0, 1)], axis=2)
    shown = np.zeros((n, VIEWS), dtype=np.bool_) if mirrored is None else mirrored
    strong, grey = views.astype(np.float16) + np.float16(100), np.full((2, 3), 500, dtype=np.float16)
    images = KeptImages(
        whole, row, views.astype(np.float16), row, halves.astype(np.float16), row, shown, strong, row, grey
    )
    entries = len(Entries.of(pairs))
    features = np.arange(entries, dtype=np.float32)[:, None]
    kept = KeptCaptions(features, np.arange(entries), np.arange(entries) % 5 + 1)
    return FeatureRenderer(make_plans(Policy(**policy), pairs, 5), Words(), images, kept if captions else None)


@pytest.mark.parametrize(
    "policy", [{"rho": 0}, {"rho": 0.6}, {"rho": 1, "caption": "wrong"}, {"rho": 0.5, "until": 0.3}]
)
def test_ids_and_tokens_are_those_of_the_pixel_renderers(policy: dict[str, Any], tiny_catalog: Catalog) -> None:
    features = renderer(tiny_catalog, captions=False, **policy)
    pixels = WorkerRenderer(features.plans, Augmentation(), 16, Words())
    for start in (0, 30):  # the second batch reaches into another epoch
        one, other = features.render(start, start + 24), pixels.render(start, start + 24)
        assert torch.equal(one.tokens, other.tokens)
        for name in ("sources", "texts"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert (one.treated, one.shortened) == (other.treated, other.shortened)
    assert torch.equal(renderer(tiny_catalog, **policy).render(0, 24).texts, pixels.render(0, 24).texts)


def test_plain_examples_show_each_view_and_the_whole_image(tiny_catalog: Catalog) -> None:
    features = renderer(tiny_catalog, rho=0)
    batch, plan = features.render(0, 400), features.plans.rows(0, 400)
    assert batch.images.dtype == torch.float32
    assert torch.equal(batch.images[:, 0].int(), torch.from_numpy(plan.left))
    counts = torch.bincount(batch.images[:, 1].int() + 1, minlength=VIEWS + 1)
    assert (counts > 60).all()
    again = FeatureRenderer(features.plans, features.tokenizer, features.images, features.captions).render(100, 140)
    assert torch.equal(again.images, batch.images[100:140])  # whatever the batch


def test_composites_are_the_means_of_their_halves(tiny_catalog: Catalog) -> None:
    features = renderer(tiny_catalog, rho=1)
    batch, plan = features.render(0, 40), features.plans.rows(0, 40)
    assert torch.equal(batch.images[:, 0], torch.from_numpy((plan.left + plan.right) / 2).float())
    assert batch.images[:, 1].max() <= VIEWS - 1  # the whole image has no halves
    assert torch.equal(batch.images[:, 2].int(), torch.from_numpy(np.searchsorted(HALVES, plan.layout)).int())


def test_controls_show_strong_views_or_one_half_beside_grey(tiny_catalog: Catalog) -> None:
    strong = renderer(tiny_catalog, rho=1, treatment="augment")
    images, left = strong.render(0, 40).images, torch.from_numpy(strong.plans.rows(0, 40).left)
    assert torch.equal(images[:, 0].int(), left + 100)
    assert set(images[:, 1].tolist()) == {100.0, 101.0, 102.0}
    alone = renderer(tiny_catalog, rho=1, treatment="half")
    images, left = alone.render(0, 40).images, torch.from_numpy(alone.plans.rows(0, 40).left)
    assert torch.equal(images[:, 0], (left + 500) / 2)


def test_layouts_without_halves(tiny_catalog: Catalog) -> None:
    blend = renderer(tiny_catalog, rho=1, layout="blend")
    plan = blend.plans.rows(0, 40)
    assert torch.equal(blend.render(0, 40).images[:, 0], torch.from_numpy((plan.left + plan.right) / 2).float())
    first = renderer(tiny_catalog, rho=1, layout="first-image")
    assert torch.equal(first.render(0, 40).images[:, 0].int(), torch.from_numpy(first.plans.rows(0, 40).left))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 9)), min_size=1, max_size=20))
def test_joint_captions_are_means_weighted_by_tokens(pairs: list[tuple[int, int]]) -> None:
    generator = np.random.default_rng(0)
    kept = KeptCaptions(
        generator.normal(size=(5, 3)).astype(np.float32), np.arange(10) % 5, generator.integers(1, 20, 5)
    )
    first, second = np.array(pairs).T
    expected = [
        kept.features[a % 5]
        if b < 0
        else np.average(kept.features[[a % 5, b % 5]], axis=0, weights=kept.tokens[[a % 5, b % 5]])
        for a, b in pairs
    ]
    assert np.allclose(kept.joint(first, second), expected, atol=1e-6)


@pytest.mark.parametrize("caption", ["join", "both-orders", "first", "second", "one", "wrong"])
def test_captions_of_each_strategy(caption: str, tiny_catalog: Catalog) -> None:
    features = renderer(tiny_catalog, rho=1, caption=caption)
    assert features.captions is not None
    plan, start = features.plans.rows(0, 40), features.plans.entries.first
    row, choice = plan.second_caption
    first, second = start[plan.left] + plan.left_caption, start[row] + choice
    expected = {
        "first": first.astype(np.float64),
        "second": second,
        "one": np.where(plan.swapped, second, first),
    }.get(caption, features.captions.joint(first, second)[:, 0])
    assert torch.allclose(features.render(0, 40).tokens[:, 0], torch.from_numpy(np.asarray(expected)).float())
    if caption == "wrong":
        assert (row == plan.third).all()


def test_captions_that_name_a_side_never_have_a_mirrored_view(tiny_catalog: Catalog) -> None:
    captions = [["the left plate"], ["a plate"]] * 30
    table = tiny_catalog.table.set_column(tiny_catalog.table.column_names.index("captions"), "captions", [captions])
    catalog = replace(tiny_catalog, table=table)
    mirrored = np.tile([False, True, True], (40, 1))
    features = renderer(catalog, rho=0.5, mirrored=mirrored)
    batch, plan = features.render(0, 400), features.plans.rows(0, 400)
    view = batch.images[:, 1].numpy()
    sided = np.array(
        [
            any(row >= 0 and names_a_side(features.plans.catalog.caption(row, 0)) for row in pair)
            for pair in zip(plan.left.tolist(), plan.right.tolist(), strict=True)
        ]
    )
    assert set(view[sided]) == {-1.0, 0.0}
    assert {1.0, 2.0} <= set(view[~sided & (plan.right < 0)])


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"layout": "cutmix"}, "policy.layout=cutmix has none"),
        ({"caption": "spatial"}, "policy.caption=spatial has none"),
    ],
)
def test_what_has_no_features_is_refused_in_one_sentence(policy: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        check_policy(Policy(rho=0.5, **policy), captions_kept=True)
    assert "\n" not in str(caught.value)
    check_policy(Policy(rho=0, **policy), captions_kept=True)
    if "caption" in policy:
        check_policy(Policy(rho=0.5, **policy), captions_kept=False)  # the text tower reads these captions itself


@pytest.mark.parametrize("rule", [{"whole": True}, {"region": "box"}])
def test_images_that_are_not_cut_stand_whole_in_composites(rule: dict[str, Any], tiny_catalog: Catalog) -> None:
    boxes = [[0.0, 0.0, 20.0, 20.0] if row % 3 == 0 else None for row in range(len(tiny_catalog))]
    kind = ["kept" if box else "cut" for box in boxes]
    table = tiny_catalog.table.append_column("box", pa.array(boxes, pa.list_(pa.float32())))
    catalog = replace(tiny_catalog, table=table.append_column("kind", pa.array(kind)))
    rules = Rules.model_validate({"images": [{"when": "kind = 'kept'", **rule}]})
    features = renderer(catalog, rho=1, rules=rules)
    batch, plan = features.render(0, 60), features.plans.rows(0, 60)
    is_kept = np.array([value == "kept" for value in features.catalog.column("kind")])
    half = np.searchsorted(HALVES, plan.layout)
    shown = np.where(is_kept[np.stack([plan.left, plan.right])], -1, half)  # -1: a whole view
    composed = plan.right >= 0
    assert np.allclose(batch.images[composed, 2], shown.mean(axis=0)[composed])
    assert np.allclose(batch.images[composed, 0], ((plan.left + plan.right) / 2)[composed])
    assert (is_kept[plan.left] & composed).any()
    # A rule that no image meets changes nothing.
    idle = Rules.model_validate({"images": [{"when": "kind = 'none'", **rule}]})
    same, plain = (renderer(catalog, rho=1, **policy).render(0, 60).images for policy in ({"rules": idle}, {}))
    assert torch.equal(same, plain)
