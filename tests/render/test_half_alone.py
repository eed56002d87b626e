"""The control that shows one half of a composite alone."""

from typing import Any

import numpy as np
import pytest
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.layouts.tiles import LEFT_RIGHT, TOP_BOTTOM
from clipc.compose.policy import Policy
from clipc.prepare.plans import make_plans
from clipc.progress import silent
from clipc.render.batch import Batch
from clipc.render.crop import Augmentation
from clipc.render.pixels import Pixels
from clipc.render.resample_matrix import paste_cuts_batched
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer
from render.test_resident import Words

HALF = Policy(rho=0.5, treatment="half")
COLOUR = Augmentation(flip=0.5, colour=0.4)


def shown(catalog: Catalog, policy: Policy, augmentation: Augmentation = COLOUR) -> Batch:
    plans = make_plans(policy, catalog.split("train"), 0)
    return WorkerRenderer(plans, augmentation, 16, Words()).render(0, 80)


def test_it_shows_the_half_that_the_composite_shows(tiny_catalog: Catalog) -> None:
    plain, composed, alone = (shown(tiny_catalog, policy) for policy in (Policy(rho=0), Policy(rho=0.5), HALF))
    plan = make_plans(HALF, tiny_catalog.split("train"), 0).rows(0, 80)
    treated, places = plan.half_alone, {0: 0, 1: 0}
    assert (plan.right == -1).all()
    assert torch.equal(alone.sources, plain.sources)
    assert torch.equal(alone.tokens, plain.tokens)
    assert torch.equal(alone.images[~treated], plain.images[~treated])
    assert alone.treated == composed.treated == treated.sum() > 20
    assert np.isin(plan.layout[treated], (LEFT_RIGHT, TOP_BOTTOM)).all()
    for row in np.flatnonzero(treated).tolist():
        halves = [image[row].float().chunk(2, dim=1 if plan.layout[row] == LEFT_RIGHT else 0) for image in (
            alone.images, composed.images)]  # fmt: skip
        ours, theirs = halves
        place = int(torch.equal(ours[1], theirs[0]))
        assert torch.equal(ours[place], theirs[0])
        grey = ours[1 - place]
        assert (grey == grey[0, 0, 0]).all()
        assert abs(float(grey[0, 0, 0]) - float(ours[place].mean())) < 30  # saturation and clipping move the mean
        places[place] += 1
    assert min(places.values()) > 5


def test_grey_is_the_mean_of_what_is_shown(tiny_catalog: Catalog) -> None:
    policy = HALF.model_copy(update={"axis": "left-right", "rho": 1.0})
    images = shown(tiny_catalog, policy, Augmentation()).images.float()
    for left, right in zip(images[:, :, :8], images[:, :, 8:], strict=True):
        flat, other = (left, right) if left.std() == 0 else (right, left)
        assert flat.std() == 0
        assert float(flat[0, 0, 0]) == pytest.approx(float(other.mean()), abs=0.51)


@pytest.mark.parametrize("layout", ["centre-halves", "squeezed-halves"])
def test_renderers_agree(tiny_catalog: Catalog, layout: str) -> None:
    plans = make_plans(HALF.model_copy(update={"layout": layout}), tiny_catalog.split("train"), 0)
    pixels = Pixels.decode(plans, COLOUR, 32, torch.device("cpu"), silent)
    resident = ResidentRenderer(plans, COLOUR, 32, Words(), pixels)
    worker = WorkerRenderer(plans, COLOUR, 32, Words()).render(0, 80).images
    assert torch.equal(resident.render(0, 80).images, worker)
    with pytest.MonkeyPatch.context() as patch:  # as on a GPU
        patch.setattr(
            "clipc.render.resident.paste_cuts", lambda images, cuts, _: paste_cuts_batched(images, pixels, cuts)
        )
        batched = resident.render(0, 80).images
    assert (batched.float() - worker.float()).abs().mean() < 2


def test_layouts_without_halves_are_refused() -> None:
    with pytest.raises(ValueError, match="layout blend has no halves"):
        Policy(treatment="half", layout="blend")


def test_regions_are_kept(tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The half is moved to its region as the composite's first half is."""
    pairs = tiny_catalog.split("train")
    regions: Any = {"regions": np.tile(np.array([0, 0, 0.3, 1], dtype=np.float32), (len(pairs), 1))}
    monkeypatch.setattr("clipc.prepare.plans.given_tables", lambda policy, pairs: regions)
    images = []
    for treatment in ("compose", "half"):
        policy = Policy(rho=1, treatment=treatment, layout="region", region="box", axis="left-right")
        images.append(WorkerRenderer(make_plans(policy, pairs, 0), Augmentation(), 16, Words()).render(0, 40).images)
    composed, alone = images
    for row in range(40):
        place = slice(0, 8) if torch.equal(composed[row, :, :8], alone[row, :, :8]) else slice(8, 16)
        assert torch.equal(composed[row, :, :8], alone[row, :, place])
