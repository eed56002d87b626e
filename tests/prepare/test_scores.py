"""Scorers: a model's preference, who judges what, what needs no model, and the table that is made once."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.compose.score import Score
from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.prepare.kept_features import KeptFeatures
from clipc.prepare.plans import make_plans
from clipc.prepare.scores.by_model import SWAPS, ModelScorer, caption_bank, preference
from clipc.prepare.scores.candidates import draw_candidates
from clipc.prepare.scores.checks import CheckScorer
from clipc.prepare.scores.composites import Composites
from clipc.prepare.scores.kept import KeptCompositeEncoder
from clipc.prepare.scores.pixels import FixedPlans, PixelCompositeEncoder
from clipc.prepare.scores.reference import make_scorer
from clipc.prepare.scores.table import RandomScorer, least, score_table
from clipc.render.crop import Augmentation
from compose.pairs import catalog_of

cosines = st.floats(-1, 1, width=32)


@given(cosines, st.lists(st.tuples(cosines, st.booleans()), min_size=1, max_size=8), st.floats(1, 100))
def test_preference_is_the_probability_beside_one_other(own: float, others: Any, scale: float) -> None:
    values, valid = np.array([[c for c, _ in others]], np.float32), np.array([[v for _, v in others]])
    found = preference(np.array([own], np.float32), values, valid, scale)[0]
    kept = [c for c, v in others if v]
    if not kept:
        assert found == 0.5
        return
    mean = np.mean(np.exp(scale * np.array(kept, dtype=np.float64)))
    assert found == pytest.approx(np.exp(scale * own) / (np.exp(scale * own) + mean), rel=1e-6, abs=1e-9)


@dataclass
class Knowing:
    """An encoder that knows which captions belong to which pair, except for the pairs that it mistakes."""

    mistaken: frozenset[int] = frozenset()
    scale: float = 20.0
    fingerprint: str = "knowing"
    asked: list[int] = field(default_factory=list[int])

    def _rows(self, plans: Plans, entries: Any) -> Any:
        return plans.entries.rows()[entries]

    def _vectors(self, plans: Plans, rows: Any) -> Any:
        return np.eye(len(plans.catalog) + 1, dtype=np.float32)[rows]

    def halves(self, plans: Plans, rows: Any, layouts: Any) -> Any:
        self.asked += rows.tolist()
        wrong = np.isin(rows, list(self.mistaken))
        return self._vectors(plans, np.where(wrong, len(plans.catalog), rows))

    def images(self, plans: Plans, composites: Composites) -> Any:
        both = self.halves(plans, composites.left, composites.layout)
        both = both + self.halves(plans, composites.right, composites.layout)
        return both / np.linalg.norm(both, axis=1, keepdims=True)

    def captions(self, plans: Plans, entries: Any) -> Any:
        return self._vectors(plans, self._rows(plans, entries))

    def joint_captions(self, plans: Plans, composites: Composites) -> Any:
        both = self.captions(plans, composites.first) + self.captions(plans, composites.second)
        return both / np.linalg.norm(both, axis=1, keepdims=True)


def composites_of(plans: Plans) -> Composites:
    return Composites.of_plan(plans, draw_candidates(plans.policy, plans.catalog, plans.inputs, plans.seed).plan)


def test_halves_that_are_not_recognised_score_low() -> None:
    plans = make_plans(Policy(rho=1), catalog_of([2] * 30), 0)
    composites = composites_of(plans)
    parts = ModelScorer([Knowing(frozenset({4}))])(plans, composites)
    for side, rows in (("left", composites.left), ("right", composites.right)):
        assert (parts[side][rows != 4] > 0.9).all()
        assert (parts[side][rows == 4] <= 0.5).all()
    touched = (composites.left == 4) | (composites.right == 4)
    assert least(parts)[~touched].min() > least(parts)[touched].max()
    swapped = composites.with_captions(composites.first, np.roll(composites.second, 16))
    assert (least(ModelScorer([Knowing()])(plans, swapped)) < 0.6).mean() > 0.9


def test_each_half_is_judged_by_the_model_that_has_not_seen_it() -> None:
    plans = make_plans(Policy(rho=1), catalog_of([1] * 24), 0)
    composites, judge = composites_of(plans), (np.arange(24) % 2).astype(np.int32)
    # Each model is right about the pairs that it judges and wrong about the others, which it may have learnt.
    models = [Knowing(frozenset(np.flatnonzero(judge != number).tolist())) for number in (0, 1)]
    parts = ModelScorer(models, judge)(plans, composites)
    assert (parts["left"] > 0.99).all()
    assert (parts["right"] > 0.99).all()
    assert (ModelScorer(models, 1 - judge)(plans, composites)["left"] <= 0.5).all()


def test_the_bank_holds_distinct_captions_and_does_not_depend_on_the_seed() -> None:
    pairs = catalog_of([["same", f"{i}"] for i in range(300)])
    banks = [caption_bank(Plans(pairs, Policy(), seed)) for seed in (0, 1)]
    assert (banks[0] == banks[1]).all()
    assert len(set(pairs.caption_ids[banks[0]].tolist())) == len(banks[0]) == 256
    assert SWAPS >= 1


def test_checks_find_look_alikes_equal_captions_long_captions_and_lost_regions(tiny_model: str) -> None:
    n = 12
    captions = [["the same"], ["the same"], *([f"a {'very ' * 20}long caption {i}"] for i in range(2, n))]
    content = np.arange(n, dtype=np.uint64)
    content[3] = 2
    dhash = np.array([0] * 4 + [2**63 - 1] * (n - 4), dtype=np.uint64)
    boxes = np.tile(np.array([0.4, 0.4, 0.6, 0.6], np.float32), (n, 1))
    boxes[5] = (0.0, 0.0, 1.0, 1.0)
    plans = make_plans(Policy(rho=1), catalog_of(captions, content=list(content), dhash=list(dhash)), 0)
    inputs = type(plans.inputs)({"regions": boxes}, plans.inputs.pools, plans.inputs.alike)
    plans = Plans(plans.catalog, plans.policy, 0, inputs)
    left, right = np.array([0, 2, 4, 4, 0], np.int32), np.array([1, 3, 5, 6, 6], np.int32)
    one, first = np.ones(5, np.uint8), plans.entries.first
    asked = Composites(left, right, one, first[left], first[right], one > 1, one * 0)
    parts = CheckScorer(ClipModel.create(tiny_model).tokenizer)(plans, asked)
    assert parts["unlike"].tolist() == [0, 0, 0, 0, 1]
    assert parts["region"][[0, 1, 3, 4]].tolist() == pytest.approx([1] * 4, abs=1e-5)
    assert parts["region"][2] == pytest.approx(0.5, abs=0.01)
    assert parts["tokens"][0] == 1
    assert (parts["tokens"][1:4] < 0.8).all()


def test_kept_features_and_pixels_score_alike(cnn_folder: str, tiny_catalog: Catalog, tmp_path: Path) -> None:
    pairs = tiny_catalog.split("train").take(range(12))
    plans = make_plans(Policy(rho=1, axis="left-right"), pairs, 0)
    composites, model = composites_of(plans)[:20], ClipModel.load(cnn_folder)
    whole = Augmentation(crop_scale=(1, 1), flip=0)
    kept = KeptCompositeEncoder.of(model, KeptFeatures(model, tmp_path), whole, 1)
    pixels = PixelCompositeEncoder(model, "cnn")
    rows, layouts = composites.left, composites.layout
    for one, other in (
        (kept.captions(plans, composites.first), pixels.captions(plans, composites.first)),
        (kept.halves(plans, rows, layouts), pixels.halves(plans, rows, layouts)),
        (kept.images(plans, composites), pixels.images(plans, composites)),
        (kept.joint_captions(plans, composites), pixels.joint_captions(plans, composites)),
    ):
        assert one.shape == other.shape
        assert np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-4)
        assert np.allclose(np.linalg.norm(other, axis=1), 1, atol=1e-4)
    assert np.allclose(kept.captions(plans, composites.first), pixels.captions(plans, composites.first), atol=5e-3)
    cosine = (kept.images(plans, composites) * pixels.images(plans, composites)).sum(axis=1)
    assert cosine.mean() > 0.8
    for encoder in (kept, pixels):
        parts = ModelScorer([encoder])(plans, composites)
        assert set(parts) == {"left", "right", "joint"}
        assert all(((values >= 0) & (values <= 1)).all() for values in parts.values())


def test_a_table_is_computed_once_and_keyed_by_what_it_depends_on(tmp_path: Path) -> None:
    pairs, calls = catalog_of([1] * 20), []

    class Counting(RandomScorer):
        def __call__(self, plans: Plans, composites: Composites) -> Any:
            calls.append(len(composites))
            return super().__call__(plans, composites)

    def table(seed: int = 0, **changes: Any) -> Any:
        return score_table(make_plans(Policy(rho=1, **changes), pairs, seed), Counting(7), tmp_path)

    one, again = table(), table()
    assert len(calls) == 1
    assert (one.scores == again.scores).all()
    assert one.core_seconds == again.core_seconds >= 0
    table(axis="left-right")
    table(seed=1)
    assert len(calls) == 3
    weights = one.inputs(Score(by="random", keep=0.5))["candidate_weights"]
    assert (weights > 0).sum() == pytest.approx(0.5 * len(one.scores), abs=1)


def test_scorers_by_name(tiny_model: str) -> None:
    assert isinstance(make_scorer("checks", 0), CheckScorer)
    assert isinstance(make_scorer("random", 0), RandomScorer)
    with pytest.raises(UserError, match="only clipc train and studies"):
        make_scorer("baseline", 0)
    with pytest.raises(UserError, match="no-such-folder"):
        make_scorer("no-such-folder", 0)


def test_fixed_plans_stay_in_their_process() -> None:
    plans = make_plans(Policy(rho=1), catalog_of([1] * 5), 0)
    fixed = FixedPlans.of(plans, composites_of(plans))
    assert (fixed.rows(1, 3).right == fixed.plan.right[1:3]).all()
    with pytest.raises(TypeError):
        pickle.dumps(fixed)
