"""Planted bias is found at its size, carried across halves only where partners carry it, and corrected."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipc.audit.bias.audit import BiasOptions, audit_bias
from clipc.audit.bias.summary import card_sentences, table_of
from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.prepare.plans import make_plans

from .sets import camera_set, gender_set

CAMERA = BiasOptions(attributes=("column:camera",), concepts="column:defect")


def row(table: Any, group: str, concept: str) -> dict[str, Any]:
    return next(r for r in table["rows"] if (r["group"], r["concept"]) == (group, concept))


def covers(one: dict[str, Any], ratio: float) -> bool:
    return one["low"] <= np.log2(ratio) <= one["high"]


def test_a_bias_planted_in_a_column_is_found_at_its_size_and_only_there() -> None:
    tables = audit_bias(camera_set(1500, 1.5), Policy(), CAMERA)
    (camera,) = tables["attributes"]
    own = table_of(camera, "pairs", "within")
    scratch = row(own, "A", "scratch")
    assert scratch["found"]
    assert covers(scratch, 1.5)
    assert covers(row(own, "B", "scratch"), 0.5)
    across = table_of(camera, "random", "across")
    assert across["found"] == 0
    assert across["tested"] == 8
    assert covers(row(across, "A", "scratch"), 1.0)
    assert tables["plans"].keys() == {"random"}
    assert [s["code"] for s in tables["summary"]] == ["pairs", "across_none"]


@pytest.mark.parametrize("japanese", [False, True])
def test_a_bias_planted_in_words_is_found_at_its_size(japanese: bool) -> None:
    if japanese:
        pytest.importorskip("sudachipy")
    tables = audit_bias(gender_set(900, 1.6, japanese=japanese), Policy(), BiasOptions(concepts="activities"))
    (gender, *_) = tables["attributes"]
    assert gender["name"] == "gender"
    tennis = row(table_of(gender, "pairs", "within"), "female", "tennis")
    assert tennis["found"]
    assert covers(tennis, 1.6)


def test_same_class_partners_carry_the_bias_across_and_rules_that_ask_for_the_camera_too() -> None:
    pairs = camera_set(1200, 1.5)
    by_class = audit_bias(pairs, Policy(group="defect"), CAMERA)
    (camera,) = by_class["attributes"]
    across = row(table_of(camera, "group", "across"), "A", "scratch")
    assert across["found"]
    assert covers(across, 1.5)
    assert across["change_low"] > 0
    assert table_of(camera, "group", "across")["amplification"]["to_concept"]["low"] > 0.02
    carried = [(s["plan"], s["points"] > 2) for s in by_class["summary"] if s["code"] == "carried"]
    assert carried == [("group", True)]
    by_camera = audit_bias(pairs, Policy(group="camera"), CAMERA)
    (camera,) = by_camera["attributes"]
    assert row(table_of(camera, "group", "across"), "A", "scratch")["found"]


def test_a_rule_is_audited_beside_random_partners() -> None:
    from clipc.compose.rules.schema import PairRule, Rules

    rules = Rules(pairs=(PairRule(require="a.camera = b.camera", why="one scale"),))
    tables = audit_bias(camera_set(1200, 1.5), Policy(rules=rules), CAMERA)
    assert list(tables["plans"]) == ["random", "rules"]
    (camera,) = tables["attributes"]
    assert table_of(camera, "random", "across")["found"] == 0
    assert table_of(camera, "rules", "across")["found"] > 0


def test_the_correction_reaches_its_target_and_its_file_makes_the_same_plan(tmp_path: Path) -> None:
    from dataclasses import replace

    pairs = camera_set(1200, 1.5)
    rules = {"pairs": [{"forbid": "a.defect = 'dent' and b.defect = 'stain'"}]}
    policy = Policy.model_validate({"partner": "nearest", "neighbours": 500, "rules": rules})
    file = tmp_path / "w.json"
    tables = audit_bias(pairs, policy, replace(CAMERA, correct=True), weights_file=file)
    (camera,) = tables["attributes"]
    assert table_of(camera, "policy", "across")["found"] > 0
    after = table_of(camera, "corrected", "across")
    assert after["found"] == 0
    for one in after["rows"]:
        assert covers(one, 1.0), one
    correction = tables["correction"]
    assert correction["unreached"] == 0
    assert 0.3 < correction["efficiency"] <= 1
    assert tables["plans"]["corrected"]["effective_partners"] > 0.3 * tables["plans"]["policy"]["effective_partners"]
    weighted = policy.model_copy(update={"weights": str(file)})
    plan = make_plans(weighted, pairs, 0).rows(0, 12 * len(pairs))
    left, right = plan.left[plan.right >= 0], plan.right[plan.right >= 0]
    is_a, is_scratch = (np.array(pairs.column(c)) == v for c, v in (("camera", "A"), ("defect", "scratch")))
    assert is_scratch[right][is_a[left]].mean() == pytest.approx(is_scratch[right].mean(), abs=0.04)
    defect = np.array(pairs.column("defect"))
    assert not ((defect[left] == "dent") & (defect[right] == "stain")).any()
    again = audit_bias(pairs, weighted, CAMERA)
    assert table_of(again["attributes"][0], "policy", "across")["found"] == 0


def test_stated_shares_are_a_target_too(tmp_path: Path) -> None:
    file = tmp_path / "shares.csv"
    file.write_text("group,concept,share\nA,scratch,0.4\n")
    options = BiasOptions(CAMERA.attributes, CAMERA.concepts, correct=True, shares=file)
    correction = audit_bias(camera_set(800, 1.0), Policy(), options)["correction"]
    assert correction["target"] == "shares"
    stated = next(r for r in correction["rows"] if (r["group"], r["concept"]) == ("A", "scratch"))
    assert stated["reached"]
    assert stated["target"] == pytest.approx(0.2, abs=0.02)
    assert stated["before"] < 0.15
    for text, message in (
        ("group,concept\nA,b\n", "needs group, concept and share"),
        ("group,concept,share\nA,scratch,2\n", "row 2: share must be"),
        ("group,concept,share\nC,scratch,.2\n", "unknown group 'C'"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=message):
            audit_bias(camera_set(200, 1.0), Policy(), options)


def test_what_same_class_partners_cannot_change_is_stated() -> None:
    options = BiasOptions(CAMERA.attributes, CAMERA.concepts, correct=True)
    tables = audit_bias(camera_set(600, 1.5), Policy(group="defect"), options)
    assert tables["correction"]["unreached"] > 0
    scratch = next(r for r in tables["correction"]["rows"] if (r["group"], r["concept"]) == ("A", "scratch"))
    assert not scratch["reached"]
    assert "unreached" in [s["code"] for s in tables["summary"]]


def test_nothing_to_audit_is_said_and_tables_are_plain_json() -> None:
    tables = audit_bias(camera_set(60, 1.0), Policy(), BiasOptions(concepts="column:defect"))
    assert [s["code"] for s in tables["summary"]] == ["nothing"]
    json.dumps(tables)
    full = audit_bias(camera_set(300, 1.5), Policy(), BiasOptions(CAMERA.attributes, CAMERA.concepts, correct=True))
    json.dumps(full, allow_nan=False)
    sentences = " ".join(card_sentences(full))
    assert "camera" in sentences
    assert "scratch" not in sentences
    assert "The trained model itself was not audited." in sentences


def with_camera(catalog: Catalog, lift: float) -> Catalog:
    """A set with a column ``camera``: camera A sees the first class about ``lift`` times as often as by chance."""
    from dataclasses import replace

    import pyarrow as pa

    rng = np.random.default_rng(0)
    labels = np.array(catalog.column("label"))
    first = labels == sorted(set(labels))[0]
    # P(A | first) = lift / 2 makes P(A and first) = lift * P(A) * P(first) for P(A) about 1/2.
    camera = np.where(rng.random(len(labels)) < np.where(first, lift / 2, 0.5), "A", "B")
    return replace(catalog, table=catalog.table.append_column("camera", pa.array(camera.tolist())))


def corrected_as_stated(tables: dict[str, Any]) -> None:
    """After the correction every association lies within its interval of the target, or of the nearest one stated."""
    stated = {(r["attribute"], r["group"], r["concept"]): r for r in tables["correction"]["rows"]}
    outside = 0
    for attribute in tables["attributes"]:
        table = table_of(attribute, "corrected", "across")
        for one in table["rows"]:
            target = stated.get((attribute["name"], one["group"], one["concept"]))
            if target is None:
                continue
            wanted = target["target"] if target["reached"] else target["after"]
            ratio = wanted * table["observations"] / one["expected"]
            outside += not one["low"] - 0.05 <= np.log2(max(ratio, 1e-6)) <= one["high"] + 0.05
    assert outside <= max(1, 0.1 * len(stated)), f"{outside} of {len(stated)}"


def test_steel_with_a_planted_camera(shared_data: Path) -> None:
    catalog = with_camera(open_catalog(shared_data / "neu-steel-defects"), 1.6)
    options = BiasOptions(attributes=("column:camera",), concepts="label", correct=True)
    tables = audit_bias(catalog, Policy(partner="nearest", neighbours=300), options)
    (camera,) = tables["attributes"]
    own = row(table_of(camera, "pairs", "within"), "A", "crazing")
    assert own["found"]
    assert covers(own, own["observed"] / own["expected"])
    assert 1.3 < 2 ** own["pmi"] < 1.9
    assert table_of(camera, "random", "across")["found"] == 0
    corrected_as_stated(tables)


@pytest.mark.soak
def test_emoji_occupations(shared_data: Path) -> None:
    options = BiasOptions(attributes=("gender", "skin tone"), concepts="occupations", correct=True)
    corrected_as_stated(
        audit_bias(open_catalog(shared_data / "emoji"), Policy(partner="nearest", neighbours=50), options)
    )


@pytest.mark.soak
def test_flickr_activities(shared_data: Path) -> None:
    options = BiasOptions(attributes=("gender",), concepts="activities", correct=True)
    tables = audit_bias(open_catalog(shared_data / "flickr8k"), Policy(partner="nearest", neighbours=50), options)
    (gender,) = tables["attributes"]
    assert table_of(gender, "pairs", "within")["found"] >= 10
    assert table_of(gender, "random", "across")["found"] <= 3
    assert table_of(gender, "corrected", "across")["found"] < table_of(gender, "policy", "across")["found"]
    corrected_as_stated(tables)
