"""The terminal in Japanese: lines are translated where they are printed, and the translations fit the code."""

import ast
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.translation import VARIABLE, catalogue, translate, wanted_language

ROOT = Path(__file__).parents[1] / "src" / "clipc"
SPEAKING = ("UserError", "print_note")
"""What is called with a message of its own."""


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


def nodes() -> list[ast.AST]:
    return [node for file in ROOT.rglob("*.py") for node in ast.walk(ast.parse(file.read_text("utf-8")))]


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
        ("this is said nowhere in clipc", "this is said nowhere in clipc"),
        ("a folder of mine", "a folder of mine"),
        ("", ""),
    ],
)
def test_lines_are_translated_or_stay(line: str, told: str) -> None:
    assert translate(line) == told


def test_holes_and_messages_within_messages_are_filled() -> None:
    line = "the weights file a.pt holds no weights, but a list; save it anew."
    told = translate(line)
    assert told.startswith("ファイル a.pt にあるのは重みではなく")
    assert "a.pt" in told


def test_two_messages_with_brackets_are_not_taken_for_one() -> None:
    told = translate(
        "the source names no val split; clipc made test (18 of 180 pairs) and val (9 of 180 pairs) with seed 0."
    )
    assert "test（180組中18組）とval（180組中9組）" in told


def test_english_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "en")
    assert translate("still loading ...") == "still loading ..."


@given(st.text(max_size=300))
def test_any_line_is_told_quickly(line: str) -> None:
    assert os.environ[VARIABLE] == "ja"
    begin = time.process_time()
    told = translate(line)
    assert time.process_time() - begin < 2
    assert told.startswith(line[: len(line) - len(line.lstrip())])


def test_translations_fill_the_holes_of_their_messages() -> None:
    for source, target in catalogue("ja").items():
        holes = {int(number) for number in re.findall(r"\{(\d+)!?\}", target)}
        assert max(holes, default=-1) < source.count("{}"), source
        assert re.search(r"[぀-ヿ一-鿿：（）]", target) or len(holes) >= source.count("{}") - 1, source


def test_every_translated_message_is_still_said() -> None:
    said = {normal(text) for node in nodes() if (text := text_of(node))}
    whole = "\n".join(said)
    system = {normal(os.strerror(number)) for number in range(1, 40)}
    gone = [key for key in catalogue("ja") if normal(key) not in said | system and normal(key) not in whole]
    assert gone == []


def test_every_message_has_a_translation() -> None:
    known = {normal(key) for key in catalogue("ja")}
    missing: list[str] = []
    for node in nodes():
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
        text = text_of(node.args[0]) if name in SPEAKING else None
        # A message that is only a name and another message is translated part by part.
        if text and re.search(r"[a-z]{2}", text) and normal(text) not in known:
            missing.append(text)
    assert missing == []
