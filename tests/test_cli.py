import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from clipc import cli
from clipc.cli import main
from clipc.cli.study_screen import study_lines
from clipc.study.verdict import credit


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["pilt"], 'Did you mean "pilot"'),
        (["pilot", "nowhere.csv"], "there is no nowhere.csv"),
        (["pilot", "--minutes", "-1"], "must be > 0"),
        (["pilot", "--seeds", "2"], "must be >= 3"),
        (["train", "smal"], "did you mean 'small'"),
        (["train"], "name a source, or a recipe and a source"),
        (["train", "small", "demo", "more"], "name a source, or a recipe and a source"),
        (["train", "smal", "demo"], "did you mean 'small'"),
        (["train", "nowhere.csv"], "there is no nowhere.csv"),
        (["train", "small", "modle=x"], "did you mean 'model'"),
        (["train", "small", "model=smal"], "did you mean 'small'"),
        (["eval", "nowhere", "pairs.csv"], "holds no model"),
        (["eval", "nowhere"], "nothing to measure on"),
        (["eval", "nowhere", "--sugarcrepe", "data"], "--images FOLDER"),
        (["eval", "nowhere", "pairs.csv", "--sugarcrepe", "data", "--images", "val2017"], "two commands"),
        (["compose", "--count", "0"], "must be >= 1"),
        (["audit", "demo", "policy.rh=1"], "did you mean 'policy.rho'"),
        (["audit", "nowhere.csv"], "there is no nowhere.csv"),
        (["audit", "demo", "--against", "runs/clip"], "name a run's folder first"),
        (["pilot", "demo", "policy.rh=1"], "did you mean 'policy.rho'"),
        (["pilot", "demo", "--set", "policy.rh=1"], "did you mean 'policy.rho'"),
        (["train", "small", "--set", "modle=x"], "did you mean 'model'"),
        (["compose", "demo", "--set", "policy.rh=1"], "did you mean 'policy.rho'"),
        (["study", "rates", "--set", "seds=1"], "did you mean 'seeds'"),
    ],
)
def test_the_users_mistakes_are_one_sentence_and_code_2(
    run_command: Callable[..., tuple[int, str, str]], words: list[str], hint: str
) -> None:
    code, out, err = run_command(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("clipc: ")
    assert hint.lower() in err.lower()
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        ["compose"],
        ["doctor"],
        ["train", "nano"],
        ["pilot"],
        ["study", "rates"],
        ["export", "nowhere"],
        ["eval", "nowhere", "demo"],
    ],
)
def test_an_out_that_cannot_be_written_is_refused_at_once(
    run_command: Callable[..., tuple[int, str, str]], words: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    is_file = words[0] == "eval"
    for out in (tmp_path if is_file else file, file / "below"):
        code, printed, err = run_command(*words, "--out", out)
        assert code == 2
        assert printed == ""
        assert f"{out} is a {'folder' if is_file else 'file'}; name a" in err or f"because {file} is a file" in err
    assert file.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_errors_of_the_disk_are_one_sentence_and_other_errors_are_ours(
    run_command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: Exception) -> None:
        def raise_error(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("clipc.recipe.recipe.read_recipe", raise_error)

    fail(OSError(28, "No space left on device"))
    code, _, err = run_command("compose")
    assert code == 2
    assert err == (
        "clipc: a file or standard output could not be read or written (No space left on device); "
        "make room, or name another folder.\n"
    )
    fail(ValueError("ours"))
    with pytest.raises(ValueError, match="ours"):
        main(["compose"])


def test_output_that_cannot_be_written_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "clipc", "compose", "--print-rules", "factory"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "clipc: a file or standard output could not be read or written (No space" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("cache", ["file", "file/below", "/proc/none"])
def test_a_cache_that_cannot_be_used_is_done_without(
    run_command: Callable[..., tuple[int, str, str]],
    tiny_source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cache: str,
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("CLIPC_CACHE", str(tmp_path / cache))
    broken = tiny_source.with_name("broken-too.jsonl")
    broken.write_text(tiny_source.read_text() + '{"image": "gone.png", "captions": ["a gone plate"]}\n')
    words = ["compose", broken, "policy.partner=nearest", "--count", 2, "--out", tmp_path / "sheet"]
    code, _, err = run_command(*words)
    assert code == 0
    assert "None" not in err
    assert "the cache cannot be written" in err
    code, _, err = run_command("compose", "demo", "--out", tmp_path / "demo")  # The demo set lies in the cache.
    assert code == 2
    assert "could not be written" in err
    assert "for the cache" in err


def test_compose_says_what_was_read_and_writes_a_sheet(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tmp_path: Path
) -> None:
    broken = tiny_source.with_name("broken.jsonl")
    broken.write_text(tiny_source.read_text() + '{"image": "gone.png", "captions": ["a gone plate"]}\n')
    code, out, err = run_command("compose", broken, "policy.rho=0.5", "--count", 5, "--out", tmp_path, "--json")
    assert code == 0
    tables = json.loads(out)
    assert tables["statistics"]["rows"] == 40
    assert tables["source"]["rejects"]["total"] == 1
    assert "1 were rejected" in err
    page = (tmp_path / "sheet.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 3 * 5  # each composite, and its two sources


def test_train_then_eval(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tiny_model: str, tmp_path: Path
) -> None:
    words = ["train", "nano", f"data.source={tiny_source}", f"model={tiny_model}", "samples=160", "batch_size=16"]
    code, out, err = run_command(*words, "--out", tmp_path / "run", "--json")
    assert code == 0
    assert "  step 10: loss " in err
    assert err.count("parameters on cpu") == 1
    assert err.count("warning: The val split has only 10 pairs") == 1
    assert json.loads(out)["samples"] == 160
    code, out, err = run_command("eval", tmp_path / "run", tiny_source, "--json", "--out", tmp_path / "figures.json")
    assert code == 0
    assert err.count("warning: The test split has only 10 pairs") == 1
    figures = json.loads(out)
    assert {"retrieval/mean_recall", "zero_shot/label/top1", "probe/label/all/top1"} <= figures["metrics"].keys()
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    code, out, _ = run_command("eval", tmp_path / "run", tiny_source, "--no-probe", "--templates", "factory")
    assert code == 0
    assert "text_to_image/recall@10" in out
    assert "probe/" not in out
    assert "swaps: 0 usable captions" in out

    words = ["eval", tmp_path / "run", tiny_source, "--against"]
    code, out, _ = run_command(*words, tmp_path / "run" / "model-last", "--json")
    assert code == 0
    against = json.loads(out)["against"]
    assert against["differences"].keys() == against["metrics"].keys() == figures["metrics"].keys()
    change = against["differences"]["retrieval/mean_recall"]
    assert change["low"] <= change["mean"] <= change["high"]
    weights = tmp_path / "run" / "model" / "open_clip_model.safetensors"
    code, out, _ = run_command(*words, f"{tiny_model}:{weights}", "--no-probe")
    assert code == 0
    assert re.search(r"retrieval/mean_recall +0\.\d{4} +\+0\.0000 +\+0\.0000 to \+0\.0000, n = 10", out)

    data = tmp_path / "winoground"
    data.mkdir()
    example = {
        f"{kind}_{i}": f"{i:02d}" if kind == "image" else f"plate {i}" for kind in ("image", "caption") for i in (0, 1)
    }
    (data / "examples.jsonl").write_text(json.dumps({**example, "collapsed_tag": "Object"}), "utf-8")
    (data / "images").symlink_to(tiny_source.parent)
    choice = {"filename": "00.png", "caption": "a red plate", "negative_caption": "a blue plate"}
    (tmp_path / "swap_att.json").write_text(json.dumps({"0": choice, "1": {**choice, "filename": "gone.png"}}), "utf-8")
    benchmarks = ["--sugarcrepe", tmp_path, "--images", tiny_source.parent, "--winoground", data]
    code, out, _ = run_command("eval", tmp_path / "run", *benchmarks)
    assert code == 0
    assert "n = 1" in out
    assert "1 images are missing" in out
    assert "winoground/collapsed_tag=Object/group" in out
    code, out, _ = run_command("eval", tmp_path / "run", *benchmarks, "--against", tmp_path / "run", "--json")
    tables = json.loads(out)
    assert {change["mean"] for change in tables["against"]["differences"].values()} == {0}
    assert (
        {"sugarcrepe/swap_att/top1", "winoground/all/text"} <= tables["metrics"].keys() == tables["descriptions"].keys()
    )
    assert tables["descriptions"]["winoground/all/text"]["chance"] == 0.25


def test_beside_the_command_line_clipc_logs_and_prints_nothing(
    capsys: pytest.CaptureFixture[str],
    run_command: Callable[..., tuple[int, str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_command("train", "smal")
    logging.getLogger("clipc.train.loop").warning("the disk is slow.")
    assert caplog.messages == ["the disk is slow."]
    assert capsys.readouterr() == ("", "")
    assert all(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("clipc").handlers)


def test_names_for_classes_that_are_numbers(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tiny_model: str, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in tiny_source.read_text().splitlines()]
    colours = list(dict.fromkeys(row["label"] for row in rows))
    numbered = [{**row, "label": str(colours.index(row["label"]) + 8 * (n % 3))} for n, row in enumerate(rows)]
    table = tiny_source.with_name("numbered.jsonl")
    table.write_text("".join(json.dumps(row) + "\n" for row in numbered))
    labels = sorted({int(row["label"]) for row in numbered})
    words = ["train", "nano", f"data.source={table}", f"model={tiny_model}", "samples=32", "batch_size=16"]
    code, _, err = run_command(*words, "--out", tmp_path / "run")
    assert code == 0
    assert err.count("are named by numbers (0, 1, 2, 3, 8 and 7 more)") == 1
    names = tmp_path / "names.yaml"
    names.write_text("".join(f"{label}: plate {label:03d}\n" for label in labels))
    evaluating = ["eval", tmp_path / "run", table, "--no-probe", "--json"]
    code, out, err = run_command(*evaluating, "--class-names", names)
    assert code == 0
    assert "named by numbers" not in err
    classes = json.loads(out)["context"]["columns"]["label"]["classes"]
    assert classes == [f"plate {label:03d}" for label in labels]
    code, out, err = run_command(*evaluating)
    assert json.loads(out)["context"]["columns"]["label"]["classes"] == [*map(str, labels)]
    assert err.count("named by numbers") == 1


def test_help_is_quick_and_python_m_works() -> None:
    words = [sys.executable, "-X", "importtime", "-m", "clipc", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "pilot" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "open_clip", "matplotlib", "sklearn", "pandas", "scipy"}


def test_a_study_s_lines_say_of_a_gain_what_the_page_says() -> None:
    def said(controls: list[str], *beaten: str) -> str:
        shared = {"metric": "m", "arm": "new", "size": 40, "difference": 0.1, "interval": [0.05, 0.15]}
        rows = [
            {**shared, "against": against, "verdict": "gain" if against in ("clip", *beaten) else "no evidence"}
            for against in ("clip", *controls)
        ]
        tables = {
            "metrics": [{"key": "m", "main": True, "ceiling": 0.3, "higher_is_better": True, "unit": "share"}],
            "arms": [{"name": "clip"}, {"name": "new"}],
            "baseline": "clip",
            "controls": controls,
            "sizes": [40],
            "seeds": [0, 1, 2],
            "power": [],
            "comparisons": rows,
        }
        credit(rows, "clip", controls)
        assert study_lines(tables)[0].startswith("m (ceiling 30.0%), in points")
        return study_lines(tables)[1].rpartition("]")[2].strip()

    assert said(["augment", "mix"], "augment", "mix") == "gain"
    assert said(["augment", "mix"], "augment") == "gain, cause open"
    assert said([]) == "gain, cause open"


def test_a_recipe_and_a_source_are_two_words(
    run_command: Callable[..., tuple[int, str, str]], tmp_path: Path, tiny_source: Path, tiny_model: str
) -> None:
    words = ["train", "nano", tiny_source, "--label-columns", "label", f"model={tiny_model}", "samples=32"]
    code, out, err = run_command(*words, "batch_size=16", "--out", tmp_path / "run", "--json")
    assert code == 0, err
    assert json.loads(out)["samples"] == 32
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    assert f"source: {tiny_source}" in recipe
    assert "- label" in recipe


RULES = """name: plates
pairs:
  - forbid: a.label = b.label
    why: two plates of one colour
examples:
  - {a: {label: red}, b: {label: blue}, allowed: true}
  - {a: {label: red}, b: {label: red}, allowed: EXPECTED}
"""


@pytest.mark.parametrize(("expected", "code"), [("false", 0), ("true", 1)])
def test_rules_are_checked_by_their_examples(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tmp_path: Path, expected: str, code: int
) -> None:
    file = tmp_path / "plates.yaml"
    file.write_text(RULES.replace("EXPECTED", expected))
    found, out, _ = run_command("compose", tiny_source, "--rules", file, "--check")
    assert found == code
    assert f"{2 - code} of 2 examples come out as expected" in out
    found, out, _ = run_command("compose", tiny_source, "--rules", file, "--check", "--json")
    assert found == code
    assert json.loads(out)["wrong"] == code


def test_rules_are_told_on_the_terminal_and_a_preset_can_be_copied(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plates.yaml"
    file.write_text(RULES.replace("EXPECTED", "false"))
    code, out, _ = run_command("compose", tiny_source, "--rules", file, "--out", tmp_path, "--count", "2")
    assert code == 0
    assert "forbid: a.label = b.label" in out
    assert json.loads((tmp_path / "plan-statistics.json").read_text())["rules"]["constraints"][0]["removed"] > 0
    code, out, _ = run_command("compose", tiny_source, "--rules", "factory", "--out", tmp_path, "--count", "2")
    assert code == 0
    assert re.search(r"\d+ rules have no effect on these data; the sheet says why", out)
    shapes = json.loads((tmp_path / "plan-statistics.json").read_text())["rules"]["shapes"]
    assert shapes[-1]["no_effect"] == {"code": "empty-columns", "columns": ["defect_box"]}
    code, out, _ = run_command("compose", "--print-rules", "satellite")
    assert code == 0
    assert "name: satellite" in out
    code, _, err = run_command("compose", tiny_source, "--rules", "satelite")
    assert code == 2
    assert "did you mean 'satellite'" in err


def test_loading_the_large_libraries_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_PATIENCE", 0.01)
    monkeypatch.setattr(cli, "_BETWEEN_WORDS", 0.02)
    for is_loading in (True, False):
        module = SimpleNamespace(__spec__=SimpleNamespace(_initializing=is_loading))
        monkeypatch.delitem(sys.modules, "open_clip", raising=False)
        with cli._loading_told():  # pyright: ignore[reportPrivateUsage]
            monkeypatch.setitem(sys.modules, "open_clip", module)
            time.sleep(0.1)
        told = capsys.readouterr().err
        assert (told.count("loading PyTorch"), "still loading" in told) == (int(is_loading), is_loading)
