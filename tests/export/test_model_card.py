"""Cards say what the run's files say, and nothing that the pairs say."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from clipc.errors import UserError
from clipc.export.model_card import escape_markdown, model_card
from clipc.models.model import ClipModel
from clipc.recipe.recipe import make_recipe, write_recipe
from clipc.recipe.run import Run

RULES: dict[str, Any] = {
    "name": "plates | <b>ours</b>",
    "pairs": [{"require": "a.colour = b.colour", "why": "a plate has *one* colour"}],
    "never": [{"when": "key = 'secret-key-7'"}],
}


@pytest.fixture(scope="module")
def model() -> ClipModel:
    return ClipModel.create("nano")


def run_with(folder: Path, policy: dict[str, Any] | None = None, **fields: Any) -> Run:
    run = Run(folder)
    data = {"source": "/home/someone/private/plates.csv"}
    recipe = make_recipe({"model": "nano", "samples": 64, "data": data, "policy": policy or {}, **fields})
    folder.mkdir()
    write_recipe(recipe, folder / "recipe.yaml")
    run.write_json("environment.json", {"clipc": "9.8.7"})
    run.write_json("plan-statistics.json", {"rows": 1680})
    return run


def test_everything_that_a_run_recorded_is_told(model: ClipModel, tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", {"rules": RULES, "joiner": " beside "}, wise_ft=True, model="hf-hub:org/base")
    run.write_json("data.json", {"name": "plates", "fingerprint": "abc123", "pairs": {"train": 1680, "val": 210},
                                 "captions": {"train": 3360, "val": 421}})  # fmt: skip
    best = {"step": 40, "image_to_text/recall@1": 0.2, "text_to_image/recall@1": 0.3, "mean_recall": 0.3217}
    facts = {"steps": 50, "samples": 6400, "composite_share": 0.283, "wise_ft": {"alpha": 0.6}}
    run.write_json("finished.json", {**facts, "best": best})
    metrics = {"retrieval/text_to_image/recall@1": 0.25, "retrieval/mean_recall": 0.4, "zero_shot/colour/top1": 0.875}
    described = {name: {"n": n, "chance": None} for name, n in zip(metrics, (420, 210, 200), strict=True)}
    described["zero_shot/colour/top1"]["chance"] = 0.25
    context = {"columns": {"colour": {"classes": ["secret class"]}}}
    run.write_json("eval/test.json", {"metrics": metrics, "descriptions": described, "context": context})
    run.write_json("eval/test-last.json", {"metrics": {"retrieval/mean_recall": 0.111}})
    run.write_json("audit/gender.json", {"summary": ["Of 12 gaps none is clear."], "examples": ["secret caption"]})
    card = model_card(model, "plates", run, hub_id="org/plates", license="mit", onnx={"image": 2.2e-7, "text": 1e-7})
    for sentence in (
        "\nlicense: mit\n",
        '\nbase_model: "org/base"\n',
        'open_clip.create_model_and_transforms("hf-hub:org/plates")',
        "clipc 9.8.7",
        "plates: 1,680 train, 210 val pairs.",
        "Fingerprint: abc123",
        "| wise\\_ft.alpha | 0.6 |",
        "rate 0.3 an example is composed of two pairs; 28.3% were.",
        "joiner: “ beside ”",
        "two pairs: a plate has \\*one\\* colour",
        "never composed: (no reason given)",
        "plates \\| \\<b\\>ours\\</b\\>",
        "step 40 was chosen",
        "| image\\_to\\_text/recall\\@1 | 0.200 |  |  | 210 |",
        "| text\\_to\\_image/recall\\@1 | 0.300 |  |  | 421 |",
        "| mean\\_recall | 0.322 |  |  | 210 |",
        "| retrieval/text\\_to\\_image/recall\\@1 | 0.250 |  |  | 420 |",
        "| retrieval/mean\\_recall | 0.400 |  |  | 210 |",
        "| zero\\_shot/colour/top1 | 0.875 | 0.250 |  | 200 |",
        "gender: Of 12 gaps none is clear.",
        "at most 2e-07 and 1e-07",
    ):
        assert sentence in card, sentence
    for secret in ("secret", "0.111", "/home", "someone", "No bias audit"):
        assert secret not in card, secret


def test_runs_that_did_not_record_captions_have_no_number_of_captions(model: ClipModel, tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    run.write_json("data.json", {"name": "plates", "generated": False, "fingerprint": "a", "pairs": {"val": 210}})
    run.write_json("finished.json", {"best": {"step": 4, "text_to_image/recall@1": 0.3, "mean_recall": 0.4}})
    card = model_card(model, "plates", run)
    assert "| text\\_to\\_image/recall\\@1 | 0.300 |  |  |  |" in card
    assert "| mean\\_recall | 0.400 |  |  | 210 |" in card


@pytest.mark.parametrize("folder", ["eval", "audit"])
@pytest.mark.parametrize("text", ['{"metrics": {"retri', "", "[1, 2]", "\udcff"])
def test_a_damaged_file_of_the_run_is_named(model: ClipModel, tmp_path: Path, folder: str, text: str) -> None:
    run = run_with(tmp_path / "run")
    (run.folder / folder).mkdir()
    (run.folder / folder / "test.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=rf"{folder}/test\.json cannot be read .*; restore the file"):
        model_card(model, "plates", run)


def test_an_audit_that_failed_is_said_without_its_message(model: ClipModel, tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    run.write_json("audit/bias.json", {"kind": "bias", "failed": "/home/someone/x is missing", "summary": []})
    card = model_card(model, "plates", run)
    assert "bias: **the audit failed**, so nothing is known." in card
    assert "/home" not in card
    assert "No bias audit" not in card


def test_what_is_not_there_is_said(model: ClipModel, tmp_path: Path) -> None:
    card = model_card(model, "plates", run_with(tmp_path / "run", {"rho": 0}))
    for sentence in (
        "plates.csv: 1,680 train pairs",
        "None: plain CLIP.",
        "None were measured.",
        "No bias audit was run.",
    ):
        assert sentence in card, sentence
    assert "semantic composition" not in card
    assert "license: unknown" in card
    alone = model_card(model, "plates")
    assert "did not come out of a run's folder" in alone
    assert "None" not in alone


def test_the_hub_reads_the_header(model: ClipModel, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    run = run_with(tmp_path / "run", model="hf-hub:org/base")
    for card in (model_card(model, "a: b"), model_card(model, "x", run)):
        data = ModelCard(card).data
        assert (data.library_name, data.pipeline_tag) == ("open_clip", "zero-shot-image-classification")
        assert data.license == "unknown"
    assert data.base_model == "org/base"


def test_a_control_says_so(model: ClipModel, tmp_path: Path) -> None:
    card = model_card(model, "plates", run_with(tmp_path / "run", {"treatment": "augment"}))
    assert "under a stronger augmentation (a control)" in card
    half = model_card(model, "plates", run_with(tmp_path / "half", {"treatment": "half"}))
    assert "shown alone, as one half of a composite, the other half grey (a control)" in half
    assert "semantic composition" not in card


@given(st.text() | st.text(alphabet="*_[]()<>|`#!&~\\:/.w@-+ \n1$a"))
def test_text_of_users_stays_text(text: str) -> None:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    (inline,) = (token for token in parser.parse(f"x {escape_markdown(text)} x") if token.type == "inline")
    kinds = {token.type for token in inline.children or []}
    assert kinds <= {"text", "text_special"}
    shown = "".join(token.content for token in inline.children or [])
    assert shown.split() == f"x {plain} x".split()
    cells = [
        t.content
        for t in parser.parse(f"| a | b |\n|---|---|\n| {escape_markdown(text)} | end |")
        if t.type == "inline"
    ]
    assert len(cells) == 4
    assert cells[-1] == "end"


def test_audits_without_a_summary_are_only_named(model: ClipModel, tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    run.write_json("audit/age.json", {"rows": [["secret caption", 3]]})
    card = model_card(model, "plates", run)
    assert "age: its metrics are kept with the run." in card
    assert "secret" not in card
    assert json.dumps("secret") not in card
