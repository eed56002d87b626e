"""Previews: pictures, split_caption captions, shares that are seen, why a partner, which rules; statistics."""

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.compose.captions.joint import Wording
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import LAYOUTS
from clipc.compose.layouts.tiles import LEFT_RIGHT, TOP_BOTTOM
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.compose.rules.schema import CaptionRule, ImageRule, NeverRule, PairRule, Rules
from clipc.prepare.plan_statistics import statistics
from clipc.prepare.plans import make_plans
from clipc.prepare.preview import faded_thumbnail, preview, split_caption
from clipc.render.crop import Augmentation
from clipc.render.geometry import geometry
from clipc.render.worker import WorkerRenderer

WHOLE_VIEW = Augmentation(crop_scale=(1, 1), crop_ratio=(1, 1), flip=0)


class Words:
    """A tokenizer of words, for tests."""

    def __init__(self, context_length: int = 32) -> None:
        self.context_length, self.max_text_tokens = context_length, context_length - 2

    def count(self, text: str) -> int:
        return len(text.split())

    def __call__(self, texts: list[str]) -> torch.Tensor:
        return torch.zeros(len(texts), self.context_length, dtype=torch.int64)


def renderer(catalog: Catalog, augmentation: Augmentation = WHOLE_VIEW, **policy: Any) -> WorkerRenderer:
    plans = make_plans(Policy(rho=1, **policy), catalog, 0)
    return WorkerRenderer(plans, augmentation, 16, Words())


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))


def test_samples_are_the_first_composites_of_the_plan(tiny_catalog: Catalog) -> None:
    made = renderer(tiny_catalog.split("train"))
    plan = made.plans.rows(0, 40)
    samples = preview(made, 5, size=48)
    assert len(samples) == 5
    for i, sample in enumerate(samples):
        assert opened(sample["picture"]).size == (48, 48)
        assert opened(sample["left_image"]).size == (96, round(96 * (24 + int(plan.left[i]) % 5) / 32))
        assert sample["left_key"] == made.catalog.keys[plan.left[i]]
        assert sample["right_caption"] == made.catalog.caption(int(plan.right[i]), int(plan.right_caption[i]))
        assert "".join(piece["text"] for piece in sample["parts"]) == sample["caption"]
        assert [piece["of"] for piece in sample["parts"]] == ["first", "", "second"]
        assert sample["why"] == {"code": "random"}
        assert (sample["hits"], sample["passed"], sample["unreadable"], sample["shortened"]) == ((), 0, False, False)
    assert len(preview(made, 1000)) == 40
    assert preview(WorkerRenderer(Plans(made.catalog, Policy(rho=0), 0), WHOLE_VIEW, 16, Words()), 5) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_seen_of_each_source(tiny_catalog: Catalog, layout: str) -> None:
    region = {"region": "box"} if layout == "region" else {}
    catalog = tiny_catalog.split("train")
    boxes = catalog.table.append_column("box", [[None] * len(catalog)])
    made = renderer(replace(catalog, table=boxes), layout=layout, **region)
    catalog = made.catalog
    plan = made.plans.rows(0, 8)
    views = geometry(made.plans, plan, 0, WHOLE_VIEW).views
    images = catalog.sizes[np.stack([plan.left, plan.right], axis=1)].prod(axis=-1)
    for sample, crop in zip(preview(made, 8), (views[..., 2:] - views[..., :2]).prod(axis=-1) / images, strict=True):
        kept = sample["kept"] / crop
        if layout == "cutmix":
            assert sum(kept) == pytest.approx(1)
            assert 0.25 <= kept[1] <= 0.75
        else:
            share = {"squeezed-halves": (1, 1), "first-image": (1, 0)}.get(layout, (0.5, 0.5))
            assert kept == pytest.approx(share, abs=1e-6)


def test_what_is_cut_away_is_pale() -> None:
    pixels = np.full((50, 100, 3), 100, dtype=np.uint8)
    small = faded_thumbnail(pixels, np.array([25.0, 0.0, 75.0, 50.0]), 20)
    assert small.shape == (10, 20, 3)
    assert (small[:, 5:15] == 100).all()
    assert (small[:, :5] > 180).all()
    assert (small[:, 15:] > 180).all()
    assert (faded_thumbnail(pixels, np.zeros(4), 20) > 180).all()


CAPTIONS = st.text("ab c.。猫と", min_size=1, max_size=12).filter(lambda text: text.strip(" .。"))


@given(CAPTIONS, CAPTIONS, st.sampled_from(["join", "spatial", "both-orders", "one", "first", "second"]), st.booleans())
def test_pieces_of_any_joint_caption_add_up(first: str, second: str, strategy: Any, swapped: bool) -> None:
    text = Wording(strategy).text(first, second, TOP_BOTTOM, swapped)
    pieces = split_caption(text, first, second)
    assert "".join(piece["text"] for piece in pieces) == text
    for name in ("first", "second"):
        assert sum(piece["of"] == name for piece in pieces) <= 1


@pytest.mark.parametrize(
    ("text", "first", "second", "expected"),
    [
        ("a dog and a cat on a mat", "a dog.", "a cat on a mat", "first,,second"),
        ("a dog and a dog .", "a dog .", "a dog .", "first,,second"),
        ("a road by a wood and a road by a field .", "a road by a wood .", "a road by a field .", "first,,second"),
        ("a dog and a dog", "a dog.", "a dog", "first,,second"),
        ("a cat on and a dog", "a cat on the mat", "a dog", "first,,second"),
        ("left half: a dog; right half: a cat", "a dog", "a cat", ",first,,second"),
        ("a dog in the park", "a dog in the park", "a cat", "first"),
        ("a cat", "a dog in the park", "a cat", "second"),
        ("赤い車。また、白い家がある。", "赤い車。", "白い家がある。", "first,,second"),
        ("quite another thing", "a dog", "a cat", ""),
    ],
)
def test_parts_are_told_apart(text: str, first: str, second: str, expected: str) -> None:
    assert ",".join(piece["of"] for piece in split_caption(text, first, second)) == expected


def test_parts_of_captions_in_the_other_order() -> None:
    pieces = split_caption("a dog on a mat and a dog", "a dog", "a dog on a mat", swapped=True)
    assert [piece["of"] for piece in pieces] == ["second", "", "first"]


def test_a_shortened_caption_is_marked_and_still_parted(tiny_catalog: Catalog) -> None:
    made = replace(renderer(tiny_catalog.split("train")), tokenizer=Words(8))
    for sample in preview(made, 5):
        assert sample["shortened"]
        assert len(sample["caption"].split()) <= 6
        assert {"first", "second"} <= {piece["of"] for piece in sample["parts"]}


def test_why_this_partner(tiny_catalog: Catalog) -> None:
    catalog = tiny_catalog.split("train")
    group = preview(renderer(catalog, group="label"), 4)
    for sample in group:
        label = catalog.column("label")[catalog.keys.index(sample["left_key"])]
        assert sample["why"] == {"code": "group", "pairs": 10, "values": [("label", label)]}
        assert sample["passed"] == 0  # The group is said as the reason; it is no rule of the expert.
    n = len(catalog)
    nearest = (np.arange(n)[:, None] + [2, 1]).astype(np.int32) % n
    plans = Plans(catalog, Policy(rho=1, partner="nearest", neighbours=2), 0)
    inputs = Inputs.of(catalog, {"neighbours": nearest})
    made = WorkerRenderer(replace(plans, inputs=inputs), WHOLE_VIEW, 16, Words())
    for sample in preview(made, 6):
        step = (catalog.keys.index(sample["right_key"]) - catalog.keys.index(sample["left_key"])) % n
        assert sample["why"] == {"code": "nearest", "rank": 3 - step, "of": 2}
    vectors = np.eye(n, dtype=np.float32)
    diverse = Plans(catalog, Policy(rho=1, partner="diverse", draws=3), 0)
    diverse = replace(diverse, inputs=Inputs.of(catalog, {"vectors": vectors}))
    for sample in preview(WorkerRenderer(diverse, WHOLE_VIEW, 16, Words()), 3):
        assert sample["why"] == {"code": "diverse", "draws": 3, "similarity": 0.0}


def test_which_rules_shaped_a_composite(tiny_catalog: Catalog) -> None:
    rules = Rules(
        pairs=(PairRule(forbid="a.key = b.key"),),
        images=(
            ImageRule(when="label = 'red'", axis="left-right", why="red lies flat"),  # pyright: ignore
            ImageRule(whole=True),
            ImageRule(when="label = 'blue'", mirror=False),
        ),
        captions=(
            CaptionRule(forbid="never said"),
            CaptionRule(when="a.label = 'red'", joiner="; ", why="red lists"),
            CaptionRule(template="{a} beside {b}"),
        ),
        never=(NeverRule(when="label = 'white'"),),
    )
    catalog = tiny_catalog.split("train")
    labels = dict(zip(catalog.keys, catalog.column("label"), strict=True))
    for sample in preview(renderer(catalog, Augmentation(flip=1), rules=rules), 30):
        both = [labels[sample[f"{side}_key"]] for side in ("left", "right")]
        assert "white" not in both
        assert sample["passed"] == 3
        hits = {hit["code"]: hit for hit in sample["hits"]}
        assert hits["whole"] == {"code": "whole", "of": "both", "text": "whole: true", "why": ""}
        assert ("axis" in hits) == ("red" in both)
        if "red" in both:
            assert sample["layout"] == "left-right"
            assert hits["axis"]["text"] == "axis: vertical (when label = 'red')"
            assert hits["axis"]["why"] == "red lies flat"
        if "blue" in both:
            assert (
                hits["mirror"]["of"]
                == {(0, 1): "second", (1, 0): "first", (1, 1): "both"}[both[0] == "blue", both[1] == "blue"]
            )
        assert sample["mirrored"] == tuple(label != "blue" for label in both)
        assert ("joiner" in hits) == (both[0] == "red")
        assert ("template" in hits) == (both[0] != "red")


def test_an_unreadable_source_is_told(tiny_source: Path, tmp_path: Path) -> None:
    for file in tiny_source.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    catalog = open_catalog(tmp_path / "pairs.jsonl").split("train")
    broken = tmp_path / "03.png"
    broken.write_bytes(broken.read_bytes()[:60].ljust(broken.stat().st_size, b"\0"))
    samples = preview(renderer(catalog), 40)
    key = catalog.keys[3]
    assert [key in (s["left_key"], s["right_key"]) for s in samples] == [s["unreadable"] for s in samples]


def test_statistics_are_what_a_slow_reference_counts(tiny_catalog: Catalog) -> None:
    catalog = tiny_catalog.split("train")
    made = renderer(catalog, axis="left-right")
    made = replace(made, plans=make_plans(Policy(rho=0.5, axis="left-right"), catalog, 0), tokenizer=Words(9))
    plan = made.plans.rows(0, 40)
    found = statistics(made, rows=30)
    composed = [i for i in range(30) if plan.right[i] >= 0]
    assert (plan.layout[composed] == LEFT_RIGHT).all()
    assert found | plan.statistics() == found
    assert (found["counted"], found["context_length"], found["room"]) == (30, 9, 7)
    first = [catalog.caption(int(plan.left[i]), int(plan.left_caption[i])) for i in range(30)]
    second = {i: catalog.caption(int(plan.right[i]), int(plan.right_caption[i])) for i in composed}
    joined = [len(f"{first[i].rstrip('.')} and {second[i]}".split()) for i in composed]
    single = [len(text.split()) for text in [*first, *second.values()]]
    assert found["tokens"]["single"]["max"] == max(single)
    assert found["tokens"]["joined"]["max"] == max(joined)
    assert found["tokens"]["joined"]["median"] == sorted(joined)[len(joined) // 2]
    assert found["tokens"]["read"]["max"] <= 7
    assert found["shortened"] == sum(length > 7 for length in joined)
    assert found["shortened_share"] == found["shortened"] / 30
    assert found["kept"] == {"first": 0.5, "second": 0.5}
    assert 0.5 * 24 / 32 < found["seen"]["first"] < 0.5


def test_equal_captions_that_are_joined_are_counted(tiny_catalog: Catalog) -> None:
    pairs = tiny_catalog.split("train")
    classes = pa.array([[f"a {label} plate"] for label in pairs.column("label")])
    catalog = replace(pairs, table=pairs.table.set_column(1, "captions", classes))
    assert statistics(renderer(catalog))["equal_captions"] == 0
    assert statistics(renderer(catalog, group="label"), rows=5)["equal_captions"] == 40
    assert statistics(renderer(catalog, group="label", caption="wrong"))["equal_captions"] < 20


def test_statistics_without_composites(tiny_catalog: Catalog) -> None:
    plain = WorkerRenderer(Plans(tiny_catalog.split("train"), Policy(rho=0), 0), WHOLE_VIEW, 16, Words())
    found = statistics(plain)
    assert (found["tokens"]["joined"], found["tokens"]["read"], found["kept"], found["seen"]) == (None,) * 4
    assert found["tokens"]["single"]["max"] == 5
