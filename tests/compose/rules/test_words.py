"""Whole words, in Latin script and in Japanese."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.rules.sandbox import Sandbox
from clipc.compose.rules.words import pattern, tokens, tokens_of
from clipc.errors import UserError

ascii_texts = st.text(st.characters(max_codepoint=127))
latin_texts = st.text(st.sampled_from("aB1 -_,é\u0301ＲｉÄß\n"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with closing(Sandbox()) as sandbox:
        yield sandbox


def has(text: str, *terms: str) -> bool:
    return re.search(pattern(terms), tokens(text)) is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Right lower-lobe opacity.", " right lower lobe opacity "),
        ("ＲＩＧＨＴ lung", " right lung "),
        ("  Café\n№ 5 part_number ", " café no 5 part number "),
        ("", " "),
        ("... !", " "),
    ],
)
def test_words_of_a_text(text: str, words: str) -> None:
    assert tokens(text) == words


@given(st.lists(ascii_texts | latin_texts | st.none()))
def test_a_column_has_the_words_of_its_texts(texts: list[str | None]) -> None:
    expected = [None if text is None else tokens(text) for text in texts]
    column = pa.array(texts, pa.string())
    assert tokens_of(column).to_pylist() == expected
    assert tokens_of(pa.chunked_array([column, column]).slice(1)).to_pylist() == [*expected, *expected][1:]
    assert tokens_of(column.dictionary_encode().dictionary_decode().slice(1)).to_pylist() == expected[1:]


@given(ascii_texts | latin_texts)
def test_words_are_stable(text: str) -> None:
    assert tokens(tokens(text)) == tokens(text)
    assert re.fullmatch(" |( [^ ]+)+ ", tokens(text))


@pytest.mark.parametrize(
    ("text", "terms", "result"),
    [
        ("the right lung", ("right",), True),
        ("bright field", ("right",), False),
        ("rightmost lung", ("right",), False),
        ("rightmost lung", ("right*",), True),
        ("upright", ("right*",), False),
        ("a clean-room suit", ("clean room",), True),
        ("a clean, large room", ("clean room",), False),
        ("clean rooms", ("clean room*",), True),
        ("ＲＩＧＨＴ", ("right",), True),
        ("right", ("ＲＩＧＨＴ",), True),
        ("left", ("right", "left"), True),
        ("non-sterile gloves", ("sterile",), True),
        ("nonsterile gloves", ("sterile",), False),
        ("patient's lung", ("patient",), True),
        ("CAFÉ", ("café",), True),
        ("cafe", ("café",), False),
    ],
)
def test_latin_words(text: str, terms: tuple[str, ...], result: bool) -> None:
    assert has(text, *terms) is result


@pytest.mark.parametrize(
    ("text", "terms", "result"),
    [
        ("右の肺に影がある", ("右",), True),
        ("左右の肺に影がある", ("右",), False),
        ("左右の肺に影がある", ("右*",), False),
        ("左右の肺に影がある", ("左右",), True),
        ("右肺に影がある", ("右",), False),
        ("右肺に影がある", ("右*",), True),
        ("右上葉の結節", ("右",), True),
        ("正面から撮影した胸部X線写真", ("正面",), True),
        ("正面から撮影した胸部X線写真", ("側面",), False),
        ("正面から撮影した胸部X線写真", ("X線",), True),
        ("側面から見た図", ("側面", "横"), True),
        ("表面に傷がある", ("傷",), True),
        ("表面に損傷がある", ("傷",), False),
        ("無傷の表面", ("傷",), False),
        ("傷あり", ("傷",), True),
        ("角に欠けがある", ("欠け",), True),
        ("角に欠けがある", ("欠け*",), True),
        ("無菌室", ("無菌",), True),
        ("非無菌の容器", ("無菌",), True),  # two words, as "non-sterile" is
        ("非無菌の容器", ("非無菌",), True),
        ("無菌の容器", ("非無菌",), False),
        ("クリーンルーム内", ("クリーンルーム",), True),
        ("ｸﾘｰﾝﾙｰﾑ内", ("クリーンルーム",), True),
        ("右lung", ("lung",), True),
    ],
)
def test_japanese_words(text: str, terms: tuple[str, ...], result: bool) -> None:
    pytest.importorskip("sudachipy")
    assert has(text, *terms) is result


def test_a_very_long_japanese_text_has_words() -> None:
    pytest.importorskip("sudachipy")
    assert has("影がある、" * 10 + "右" + "肺に影がある" * 10_000, "影")


@pytest.mark.parametrize("term", ["", " ", "*", "...", "r*ight", "**"])
def test_terms_without_words_are_refused(term: str) -> None:
    with pytest.raises(UserError, match="`word` looks for words"):
        pattern([term])


def test_no_terms_are_refused() -> None:
    with pytest.raises(UserError, match="at least one word"):
        pattern([])


def test_words_in_expressions(sandbox: Sandbox) -> None:
    pytest.importorskip("sudachipy")
    table = pa.table({"caption": ["Right lung", "bright", None, "", "左右の肺", "右肺", "RIGHT-hand side"]})
    expressions = {
        "right": sandbox.parse("word(caption, 'right', '右*')"),
        "not": sandbox.parse("not word(lower(caption), 'right')"),
    }
    result = sandbox.evaluate(table, expressions)
    assert result["right"].to_pylist() == [True, False, None, False, False, True, True]
    assert result["not"].to_pylist() == [False, True, None, True, True, True, False]


@pytest.mark.parametrize("text", ["word(caption)", "word(caption, side)", "word(caption, 3)", "word(caption, '')"])
def test_wrong_calls_are_refused(sandbox: Sandbox, text: str) -> None:
    with pytest.raises(UserError, match="`word`"):
        sandbox.parse(text)


def test_only_japanese_needs_an_analyser() -> None:
    code = """
import sys
sys.modules["sudachipy"] = None
from clipc.compose.rules.words import tokens
from clipc.errors import UserError
assert tokens("Ärzte in Paris") == " ärzte in paris "
try:
    tokens("右肺")
except UserError as error:
    assert str(error).endswith("[ja]'") and "needs SudachiPy: " in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
