"""The halves of a batch's composites: which, where, and with which captions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.layouts.layout import HALVES, Layout
from clipc.compose.layouts.tiles import Tiles, boxes, opaque
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.prepare.plans import make_plans
from clipc.progress import silent
from clipc.render import geometry
from clipc.render.batch import Halves
from clipc.render.crop import Augmentation
from clipc.render.loader import load
from clipc.render.pixels import Pixels
from clipc.render.resident import ResidentRenderer
from clipc.render.texts import text_id
from clipc.render.worker import WorkerRenderer
from render.test_resident import Words


def worker(catalog: Catalog, policy: Policy) -> WorkerRenderer:
    return WorkerRenderer(make_plans(policy, catalog.split("train"), 0), Augmentation(), 16, Words())


def halves_of(made: Any, start: int, stop: int) -> Halves:
    halves = made.render(start, stop).halves
    assert halves is not None
    return halves


@pytest.mark.parametrize("caption", ["join", "wrong", "first"])
def test_each_half_has_its_place_image_and_caption(tiny_catalog: Catalog, caption: str) -> None:
    made = worker(tiny_catalog, Policy(rho=0.5, halves=1, caption=caption))
    plan, halves, i = made.plans.rows(30, 70), halves_of(made, 30, 70), 0
    second, choice = plan.second_caption
    for row in np.flatnonzero(plan.right >= 0).tolist():
        across = plan.shapes[plan.layout[row]].name == "left-right"
        places = [(0, 0, 0.5, 1), (0.5, 0, 1, 1)] if across else [(0, 0, 1, 0.5), (0, 0.5, 1, 1)]
        shown = [(plan.left[row], plan.left[row], plan.left_caption[row]), (plan.right[row], second[row], choice[row])]
        for place, (image, pair, which) in zip(places, shown, strict=True):
            text = made.catalog.caption(int(pair), int(which))
            assert halves.rows[i] == row
            assert tuple(halves.places[i].tolist()) == place
            assert halves.sources[i].tolist() == [made.catalog.image_ids[image]]
            assert halves.texts[i].tolist() == [text_id(text)]
            assert torch.equal(halves.tokens[i], Words()([text])[0])
            i += 1
    assert i == len(halves) > 10


def test_renderers_workers_and_ranks_agree(tiny_catalog: Catalog) -> None:
    made = worker(tiny_catalog, Policy(rho=0.3, halves=1))
    pixels = Pixels.decode(made.plans, Augmentation(), 16, torch.device("cpu"), silent)
    resident = ResidentRenderer(made.plans, Augmentation(), 16, Words(), pixels)
    whole = halves_of(made, 8, 24)
    parts = [batch.halves for rank in (0, 1) for batch in load(made, 16, range(1), rank=rank, ranks=2)]
    helped = next(load(made, 16, range(1), workers=1)).halves
    first = halves_of(made, 0, 16)
    for name in ("rows", "places", "tokens", "sources", "texts"):
        assert torch.equal(getattr(whole, name), getattr(halves_of(resident, 8, 24), name))
        assert torch.equal(getattr(first, name), getattr(helped, name))
        for part, (start, stop) in zip(parts, ((0, 8), (8, 16)), strict=True):
            assert torch.equal(getattr(part, name), getattr(first.between(start, stop), name))
    assert sum(map(len, filter(None, parts))) == len(first)


def test_without_the_second_loss_there_are_none(tiny_catalog: Catalog) -> None:
    for policy in (Policy(rho=0.5), Policy(rho=0, halves=1), Policy(rho=0.5, treatment="augment", halves=1)):
        assert worker(tiny_catalog, policy).render(0, 16).halves is None


def test_parts_that_overlap_are_refused(tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def arrange(shape: Any, draws: Any, views: Any) -> Tiles:
        n = len(shape)
        return Tiles(boxes((0, 0, 1, 1), (0, 0, 0.6, 1), n), boxes((0, 0, 1, 1), (0.4, 0, 1, 1), n), opaque(n))

    made = worker(tiny_catalog, Policy(rho=1, halves=1))
    layout = Layout(HALVES, arrange)
    monkeypatch.setattr(geometry, "find_layout", {"centre-halves": layout}.get)
    with pytest.raises(UserError, match=r"overlap or are not shown; set policy\.halves=0"):
        made.render(0, 8)


def test_a_batch_is_divided_with_its_halves(tiny_catalog: Catalog) -> None:
    batch = worker(tiny_catalog, Policy(rho=0.4, halves=1)).render(0, 21)
    parts = batch.chunk(4)
    assert [len(part) for part in parts] == [6, 6, 6, 3]
    assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
    assert batch.halves is not None
    assert torch.equal(torch.cat([part.halves.tokens for part in parts if part.halves]), batch.halves.tokens)
    for part in parts:
        assert part.halves is not None
        owners = [part.sources[row, i % 2].item() for i, row in enumerate(part.halves.rows.tolist())]
        assert part.halves.sources[:, 0].tolist() == owners
    assert torch.equal(batch.all_tokens, torch.cat([batch.tokens, batch.halves.tokens]))
    assert replace(batch, halves=None).all_tokens is batch.tokens
