"""A score is tried on captions that differ, and a threshold keeps what it promises."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from clipc.audit.calibration import calibrate_threshold, clopper_pearson, self_calibration
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.prepare.scores.composites import Composites
from compose.pairs import catalog_of


class OwnCaptions:
    """Knows which captions belong to which image, as far as its noise allows."""

    fingerprint = "own"

    def __init__(self, noise: float) -> None:
        self.noise = noise
        self.seen: list[tuple[Plans, Composites]] = []

    def __call__(self, plans: Plans, composites: Composites) -> dict[str, np.ndarray]:
        self.seen.append((plans, composites))
        rows = plans.entries.rows()
        rng = np.random.default_rng(len(self.seen))
        left, right = (rows[composites.first] == composites.left), (rows[composites.second] == composites.right)
        noise = self.noise * rng.random((2, len(composites)))
        parts = {"left": (left + noise[0]) / (1 + self.noise), "right": (right + noise[1]) / (1 + self.noise)}
        return {name: values.astype(np.float32) for name, values in parts.items()}


def pairs_with_labels(n: int = 80) -> Plans:
    labels = [f"class {i % 4}" for i in range(n)]
    # Every second pair of a class has the caption that the class has in common.
    captions = [[f"{label} in common", f"picture {i}"] for i, label in enumerate(labels)]
    catalog = catalog_of(captions, label=labels)
    return Plans(replace(catalog, about=replace(catalog.about, label_columns=("label",))), Policy(), 3)


def test_swaps_differ_from_all_captions_of_the_image_and_composites_share_no_image() -> None:
    plans, scorer = pairs_with_labels(), OwnCaptions(0.2)
    result = self_calibration(scorer, plans)
    assert result["composites"] >= 30
    assert result["random"]["score"]["mean"] == 1.0
    ids, entries = plans.catalog.caption_ids, plans.entries
    true = scorer.seen[0][1]
    assert len(set(true.left.tolist()) | set(true.right.tolist())) == 2 * len(true)
    for number, (_, swapped) in enumerate(scorer.seen[1:3]):
        rows, entry = (swapped.left, swapped.first) if number == 0 else (swapped.right, swapped.second)
        for row, caption in zip(rows.tolist(), ids[entry].tolist(), strict=True):
            own = ids[entries.first[row] : entries.first[row] + entries.counts[row]]
            assert caption not in own
    assert self_calibration(OwnCaptions(0.2), plans)["random"] == result["random"]


def test_same_class_swaps_stay_in_the_class() -> None:
    plans, scorer = pairs_with_labels(), OwnCaptions(0.2)
    result = self_calibration(scorer, plans)
    labels = np.array(plans.catalog.column("label"))
    rows = plans.entries.rows()
    for number, (_, swapped) in enumerate(scorer.seen[3:5]):
        image, entry = (swapped.left, swapped.first) if number == 0 else (swapped.right, swapped.second)
        assert (labels[image] == labels[rows[entry]]).all()
    assert result["same_class"]["swaps"] > 0


def test_a_score_that_knows_nothing_is_told_as_such() -> None:
    area = self_calibration(OwnCaptions(1000.0), pairs_with_labels(200))["random"]["score"]
    assert area["low"] < 0.55
    assert area["high"] > 0.45


def test_few_images_are_not_judged() -> None:
    result = self_calibration(OwnCaptions(0.1), Plans(catalog_of([1] * 12), Policy(), 0))
    assert result == {"composites": 6, "random": None, "same_class": None}


def test_the_threshold_reaches_the_precision_with_its_lower_end() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(400).round(2)
    accepted = (rng.random(400) < np.where(scores > 0.5, 0.98, 0.3)).tolist()
    found = calibrate_threshold(scores.tolist(), accepted, 0.9)
    assert found.value is not None
    above = np.array(accepted)[scores >= found.value]
    assert found.precision.mean == pytest.approx(above.mean())
    assert found.precision.low >= 0.9
    assert found.kept == pytest.approx(len(above) / 400)
    assert 0.4 < found.value < 0.7
    none = calibrate_threshold(scores.tolist(), [i % 2 == 0 for i in range(400)], 0.9)
    assert none.value is None
    assert none.precision.low < 0.9
    with pytest.raises(ValueError, match="10 are needed"):
        calibrate_threshold([0.5] * 9, [True] * 9, 0.9)


def test_a_threshold_rarely_promises_too_much() -> None:
    """Where experts accept 90% whatever the score, 90% are promised in at most one set of decisions in 20."""
    rng = np.random.default_rng(2)
    promised = sum(
        calibrate_threshold(rng.random(150).tolist(), (rng.random(150) < 0.9).tolist(), 0.9).value is not None
        for _ in range(300)
    )
    assert promised <= 15


def test_the_interval_is_that_of_scipy() -> None:
    low, high = clopper_pearson(np.array([0, 3, 10]), np.array([10, 10, 10]))
    for hits, ends in zip((0, 3, 10), zip(low, high, strict=True), strict=True):
        expected = binomtest(hits, 10).proportion_ci(method="exact")
        assert ends == pytest.approx((expected.low, expected.high))
