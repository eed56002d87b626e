import csv
import json
from collections.abc import Callable
from pathlib import Path


def damaged(source: Path) -> Path:
    """The tiny set with a useless caption, a caption with markup, and a missing image."""
    lines = source.read_text("utf-8").splitlines()
    first, second = json.loads(lines[0]), json.loads(lines[1])
    lines[0] = json.dumps({**first, "captions": ["0 0.5 0.5 0.1 0.1"]})
    lines[1] = json.dumps({**second, "captions": ["<script>alert(1)</script>"]})
    lines.append('{"image": "gone.png", "captions": ["a gone plate"], "split": "train"}')
    file = source.with_name("doctored.jsonl")
    file.write_text("\n".join(lines), "utf-8")
    return file


def test_findings_pages_and_cleaned_keys(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tiny_model: str, tmp_path: Path
) -> None:
    source = damaged(tiny_source)
    words = [source, f"model={tiny_model}", "batch_size=16", "--out", tmp_path]
    code, out, _ = run_command("doctor", *words, "--fix")
    assert code == 0
    assert "warning: Only numbers or signs: 1 of 118 captions." in out
    assert "ln 16 = 2.77" in out
    page = (tmp_path / "doctor.html").read_text("utf-8")
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'lang="ja"' in (tmp_path / "doctor.ja.html").read_text("utf-8")
    with (tmp_path / "keys.csv").open(encoding="utf-8-sig", newline="") as file:
        keys = [row["key"] for row in csv.DictReader(file)]
    assert len(keys) == 59
    assert f"--keys {tmp_path / 'keys.csv'}" in out

    code, out, err = run_command("doctor", *words, "--keys", tmp_path / "keys.csv", "--json", "--no-pixels")
    assert code == 0
    tables = json.loads(out)
    assert "59 of 60 pairs are used" in err
    assert "caption-numbers" not in {finding["code"] for finding in tables["findings"]}
    assert tables["page"] == str(tmp_path / "doctor.html")
    assert json.loads((tmp_path / "doctor.json").read_text("utf-8"))["findings"] == tables["findings"]


def test_what_must_be_put_right_first_is_exit_code_1(
    run_command: Callable[..., tuple[int, str, str]], tiny_source: Path, tiny_model: str, tmp_path: Path
) -> None:
    words = [tiny_source, f"model={tiny_model}", "batch_size=128", "--out", tmp_path, "--no-pixels"]
    code, out, _ = run_command("doctor", *words)
    assert code == 1
    assert "stop: There are only 40 pairs to train on, fewer than a batch of 128." in out


def test_mistakes_in_the_recipe_are_told_before_the_data_are_read(
    run_command: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = run_command("doctor", "nowhere.csv", "modle=x")
    assert code == 2
    assert out == ""
    assert "did you mean 'model'" in err
