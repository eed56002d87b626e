"""What the catalog says of a source is known to the words of the reports, which say it in other languages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipc.report.words import words

CATALOG = Path(__file__).resolve().parents[2] / "src" / "clipc" / "catalog"


FRAGMENTS = ("passed", "replaced", "doubt", "_are_not_read(tables)")
"""Expressions that are parts of sentences; those sentences are written out here."""

WRITTEN_OUT = (
    "images were passed over in masks (3), because a folder of images is beside: move them if they are no masks",
    "3 images were passed over in a, beside the folders of splits: move them into one of these if they belong to the "
    "set",
    "3 members were replaced by later ones of the same name, as when the tar is unpacked: give them different names if "
    "they are different images",
    "captions were made from the names of folders, and a.csv is not read: if captions are there, write them into one "
    "table in x, with the images' paths",
    *(
        f"the caption column text {doubt}, which teaches a model nothing: name the column of captions with "
        "--caption-columns, or make captions from other columns with --caption-template"
        for doubt in ("holds numbers", "holds file names", "says 'none' in 17 of 20 rows")
    ),
)


def sentences() -> Iterator[str]:
    """The warnings and reasons that the catalog writes, with X for what is filled in."""
    for file in sorted(CATALOG.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("warnings.append", "sentences.append")):
                yield from filled_in(node.args[0])
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Reject":
                yield from filled_in(node.args[-1])
            if isinstance(node, ast.FunctionDef) and node.name.endswith(("_warning", "_leak", "_odd_split")):
                for part in ast.walk(node):
                    if isinstance(part, ast.Return) and part.value is not None:
                        yield from filled_in(part.value)


def filled_in(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        inside = {ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)}
        if not inside & set(FRAGMENTS):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)


KNOWN = sorted({*WRITTEN_OUT, *(sentence for sentence in sentences() if len(sentence) > 24)})


def test_there_are_sentences_to_look_at() -> None:
    assert len(KNOWN) >= 25


@pytest.mark.parametrize("sentence", KNOWN)
def test_every_warning_is_said_in_japanese(sentence: str) -> None:
    assert words("en").reading(sentence) == sentence
    said = words("ja").reading(sentence)
    assert said != sentence
    assert any("ぁ" <= letter <= "ん" for letter in said)


def test_what_is_filled_in_stays_as_it_is() -> None:
    sentence = (
        "3 of 20 pairs have no label in the column <b>{kind}</b>: fill the cells if they were merged or left out, "
    )
    sentence += "since pairs without a label are of no class"
    assert words("en").reading(sentence) == sentence
    assert words("ja").reading(sentence).startswith("列 <b>{kind}</b> では、20組のうち3組にラベルがない")


def test_an_unknown_sentence_stays_as_it_is() -> None:
    assert words("ja").reading("something else") == "something else"
