import pytest

from clipc.catalog.catalog import Catalog
from clipc.models.model import ClipModel
from clipc.recipe.recipe import Recipe, read_recipe
from clipc.study.pilot.pace import FeaturePace, Pace, measure_features, share_of_cores
from clipc.study.pilot.untrained import untrained_probes


@pytest.fixture
def kept(cnn_folder: str, tiny_catalog: Catalog) -> Recipe:
    settings = {"model": cnn_folder, "renderer": "features", "tune": {"image": 1, "text": 1}, "device": "cpu"}
    return read_recipe("nano", {**settings, "precision": "fp32"})


def test_arms_of_different_pace() -> None:
    mean = Pace.mean([Pace(100, 1, 2), Pace(50, 3, 4)])
    assert mean.pairs_per_second == pytest.approx(200 / 3)
    assert (mean.validation_seconds, mean.fixed_seconds) == (2, 3)


def test_a_trial_s_time_follows_from_how_often_pairs_are_seen() -> None:
    recipe = read_recipe("nano", {"epochs": 10, "batch_size": 10, "validations": 3})
    assert Pace(50, 2, 7).trial_seconds(recipe, 100) == 7 + 3 * 2 + 1000 / 50


def test_features_of_a_sample_tell_the_time_of_all(
    kept: Recipe, tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, encode = list[int](), ClipModel.pooled_images

    def count(self: ClipModel, images: object) -> object:
        encoded.append(1)
        return encode(self, images)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(ClipModel, "pooled_images", count)
    pace = measure_features([kept], tiny_catalog)
    assert encoded
    assert min(pace.start, pace.training, pace.other) > 0
    assert FeaturePace(5, 2, 1).seconds(tiny_catalog, 10) == 5 + 10 * 2 + 20 * 1
    assert FeaturePace().seconds(tiny_catalog, 10) == 0


def test_the_start_s_own_features_are_probed(kept: Recipe, tiny_catalog: Catalog) -> None:
    (row,) = untrained_probes(kept, tiny_catalog)
    assert (row["metric"], row["column"], row["n"], row["chance"]) == ("probe/label/all/top1", "label", 10, 0.25)
    assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1
    assert untrained_probes(read_recipe("nano"), tiny_catalog) == []


def test_the_share_of_the_cores_is_told() -> None:
    assert 0 < share_of_cores() <= 1
