"""The terminal in Japanese: lines are translated where they are printed, and the translations fit the code."""

import ast
import os
import re
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from clipc.cli import main
from clipc.errors import UserError
from clipc.recipe.recipe import read_recipe
from clipc.translation import VARIABLE, catalogue, translate, wanted_language

ROOT = Path(__file__).parents[1] / "src" / "clipc"
SPEAKING = ("UserError", "ValueError", "Interrupted", "print_note", "info", "warning", "translate", "progress")
"""What is called with a message of its own."""
PROGRAMMERS = ("evaluate/statistics/", "report/page.py")
"""Where errors are bugs: they are told by a traceback, which stays English."""
FOREIGN = ("libraries", "system")
"""The sections of messages that other packages write."""
NO_MESSAGES = ("its .{} {}",)
"""What only joins a name and another message, which are translated part by part."""


@pytest.fixture(autouse=True)
def _japanese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "ja")


def text_of(node: ast.AST) -> str | None:
    """The text of an expression, with {} for each hole; None where it is no text."""
    match node:
        case ast.Constant(value=str(value)):
            return re.sub(r"%[.\d]*[sdrf]", "{}", value).replace("%%", "%")
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts)  # pyright: ignore
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            both = text_of(left), text_of(right)
            return None if None in both else "".join(filter(None, both))
        case _:
            return None


def normal(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    files = [(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in ROOT.rglob("*.py")]
    return [(name, node) for name, text in files for node in ast.walk(ast.parse(text))]


def messages(name: str, node: ast.AST) -> list[ast.AST]:
    """What a node of the code says to the user: the message of a call, or a line that a command yields."""
    match node:
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[first, *_]) if called in SPEAKING:
            return [] if called == "ValueError" and name.startswith(PROGRAMMERS) else [first]
        case ast.Yield(value=ast.expr() as value) if name.startswith("cli/"):
            return [value]
        case _:
            return []


@pytest.mark.parametrize(
    ("words", "environment", "lang"),
    [
        (["doctor", "demo"], {}, "en"),
        (["doctor", "demo", "--lang", "ja"], {}, "ja"),
        (["doctor", "demo", "--lang=ja"], {"LANG": "en_US.UTF-8"}, "ja"),
        (["doctor", "--lang", "en"], {"LANG": "ja_JP.UTF-8"}, "en"),
        (["doctor"], {"LANG": "ja_JP.UTF-8"}, "ja"),
        (["doctor"], {"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "en"),
        (["doctor"], {"LANG": "ja_JP.UTF-8", VARIABLE: "en"}, "en"),
        (["doctor", "--lang", "de"], {}, "en"),
    ],
)
def test_the_language_is_that_of_the_option_the_variable_or_the_locale(
    words: list[str], environment: dict[str, str], lang: str
) -> None:
    assert wanted_language(words, environment) == lang


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("still loading ...", "読み込みが続いている ..."),
        ("  still loading ...", "  読み込みが続いている ..."),
        ("checking images", "画像の検査"),
        ("25 min", "25分"),
        ("1,500/2,000 in 3 h 5 min", "1,500/2,000（3時間5分）"),
        (", 40 s left", "、残り40秒"),
        ("this is said nowhere in clipc", "this is said nowhere in clipc"),
        ("a folder of mine", "a folder of mine"),
        ("", ""),
        # Holes hold names, words and messages.
        ("a file.pt cannot be read: it is empty.", "a file.pt を読めない：空である。"),
        ("unknown layout 'x'; did you mean 'y'?", "レイアウト 'x' は存在しない。'y' の誤りか。"),
        (
            "features of images and captions are kept: 2,100 pairs, 3 views of each image and the whole one.",
            "画像と説明文の特徴を保存した：2,100組、各画像のビュー3個と画像全体。",
        ),
        # Messages are joined.
        (
            "nano: policy.layout: unknown layout 'x'; there are: a, b.",
            "nano：policy.layout：レイアウト 'x' は存在しない。使えるのは a, b である。",
        ),
        (
            "warning: the caption is empty; export it as PNG or JPEG",
            "警告：説明文が空である。PNG または JPEG で書き出す",
        ),
        (
            "a.csv: not one pair could be read; 2 were refused, 2 times: is an empty file (first in b.png).",
            "a.csv：1組も読めなかった。2件を除外した（2件：空のファイルである（最初は b.png））。",
        ),
    ],
)
def test_lines_are_translated_or_stay(line: str, told: str) -> None:
    assert translate(line) == told


@pytest.mark.parametrize(
    "words",
    [
        "frob",
        "trian demo",
        "train demo --frob",
        "train demo --form x",
        "pilot demo --seeds 2",
        "pilot demo --minutes 0",
        "serve a b --port 70000",
        "compose demo --count x",
        "doctor demo --lang de",
        "doctor demo --lang jp",
        "search a",
        "export a b",
        "doctor demo --lang ja --lang ja",
    ],
)
def test_a_wrong_command_is_told_in_japanese(capsys: pytest.CaptureFixture[str], words: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words.split())
    told = capsys.readouterr().err
    assert told.startswith("clipc: ")
    assert told.endswith("。\n")
    assert re.findall(r"[A-Za-z]{2,} [a-z]{2,}", told.removeprefix("clipc: ")) == []


@pytest.mark.parametrize(
    "change",
    [
        *("epochs=abc", "epochs=[1]", "epochs=.nan", "policy.rho=2", "policy.rho=-1", "batch_size=1.5", "batch_size=x"),
        *("compile=7", "compile=[1]", "betas=3", "policy.layout=foo", "nosuch=1", "policy=3", "betas=[1]"),
    ],
)
def test_a_wrong_value_is_told_in_japanese(change: str) -> None:
    with pytest.raises(UserError) as caught:
        read_recipe("nano", [change])
    told = translate(str(caught.value))
    assert told.startswith("nano")
    assert told.endswith("。")
    assert re.findall(r"[A-Za-z]{2,} [a-z]{2,}", told) == []


def test_two_messages_with_brackets_are_not_taken_for_one() -> None:
    told = translate(
        "the source names no val split; clipc made test (18 of 180 pairs) and val (9 of 180 pairs) with seed 0."
    )
    assert "test（180組中18組）とval（180組中9組）" in told


def test_english_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "en")
    assert translate("still loading ...") == "still loading ..."


PARTS = st.sampled_from([*catalogue("ja"), ". ", "; ", ": ", ", ", " and ", " (", ")", "'a b'", "\x1b[31m"])


@given(st.text(max_size=300) | st.lists(PARTS | st.text(max_size=8), max_size=12).map("".join))
def test_any_line_is_told_quickly(line: str) -> None:
    assert os.environ[VARIABLE] == "ja"
    begin = time.process_time()
    told = translate(line)
    assert time.process_time() - begin < 2
    assert told.startswith(line[: len(line) - len(line.lstrip())])
    assert {sign for sign in told if not sign.isprintable()} <= set(line)


def test_translations_fill_the_holes_of_their_messages() -> None:
    for source, target in catalogue("ja").items():
        holes = {int(number) for number in re.findall(r"\{(\d+)!?\}", target)}
        assert max(holes, default=-1) < source.count("{}"), source
        assert re.search(r"[぀-ヿ一-鿿：（）]", target) or len(holes) >= source.count("{}") - 1, source
        assert not re.search(r"です|ます|ました|ません|ください", target), "the style is plain: である"


def test_every_translated_message_is_still_said() -> None:
    file = ROOT / "translations" / "ja.yaml"
    sections: Mapping[str, Mapping[str, str]] = YAML(typ="safe").load(file.read_text("utf-8"))
    said = {normal(text) for _, node in nodes() if (text := text_of(node))}
    own = [key for section, keys in sections.items() if section not in FOREIGN for key in keys]
    assert [key for key in own if normal(key) not in said] == []


def test_every_message_has_a_translation() -> None:
    known = {normal(key) for key in catalogue("ja")} | set(NO_MESSAGES)
    said = [text for name, node in nodes() for message in messages(name, node) if (text := text_of(message))]
    assert [text for text in said if re.search(r"[a-z]{2}", text) and normal(text) not in known] == []
    assert len(said) > 500
