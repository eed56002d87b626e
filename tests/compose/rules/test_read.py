import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.compose.rules.read import parse_rules, read_rules
from clipc.errors import UserError

CHEST = """\
name: chest x-ray
columns:
  patient: [patient, patient_id]
  view: view_position
fields:
  side: regexp_extract(lower(caption), '\\b(left|right)\\b', 1)
  部位: lower(captions)
pairs:
  - require: a.view = b.view      # an ordinary comment
    why: frontal and lateral films don't mix
    unknown: allow
  - why: both lungs
    forbid: |
      a.side <> b.side
      and a.patient = b.patient
images:
  - when: modality = 'ct'
    axis: vertical
    whole: yes
captions:
  template: '{a}; {b}'
never:
  - when: word(caption, 'collage', '組写真')
examples:
  - {a: case_0012, b: 0107, allowed: false}
  - {a: {view: PA, n: 007, age: 40, dose: 1.5, ok: true, part: '12', side: no, lot: null}, b: k, allowed: no}
"""


def test_a_whole_file() -> None:
    rules = parse_rules(CHEST, "chest.yaml")
    assert rules.name == "chest x-ray"
    assert rules.columns == {"patient": ("patient", "patient_id"), "view": ("view_position",)}
    assert list(rules.fields) == ["side", "部位"]
    assert rules.pairs[0].require == "a.view = b.view"
    assert [rule.line for rule in rules.pairs] == [9, 12]
    assert rules.images[0].axis == "left-right"
    assert rules.images[0].whole is True
    assert rules.captions[0].template == "{a}; {b}"
    assert rules.examples[0].b == "0107"
    assert rules.examples[1].a == {
        "view": "PA", "n": "007", "age": 40, "dose": 1.5, "ok": True, "part": "12", "side": "no",
    }  # fmt: skip
    assert not rules.examples[1].allowed


def test_every_part_knows_its_line() -> None:
    rules = parse_rules(CHEST, "chest.yaml")
    assert rules.place("columns", "view") == "chest.yaml, line 4"
    assert rules.place("fields", "部位") == "chest.yaml, line 7"
    assert rules.place("pairs", 1) == "chest.yaml, line 12"
    assert rules.place("pairs", 1, "forbid") == "chest.yaml, line 13"
    assert rules.place("captions", 0, "template") == "chest.yaml, line 21"
    assert rules.place("never", 0, "when") == "chest.yaml, line 23"


def test_equal_files_are_equal_rules_wherever_lines_stand() -> None:
    moved = parse_rules("# a comment\n\n" + CHEST.replace("\n", "\r\n"), "other.yaml")
    assert moved == parse_rules(CHEST, "chest.yaml")
    assert moved.pairs[0].line == 11


def test_rules_without_a_name_have_the_files() -> None:
    assert parse_rules("never:\n", "sub/emoji.yaml").name == "emoji"


ERRORS = {
    # what the schema knows
    "pairs:\n  - require: a.x = b.x\n  - forbids: x\n": (
        3,
        "unknown key 'forbids' under pairs; did you mean 'forbid'?",
    ),
    "pair:\n  - require: x\n": (1, "unknown key 'pair'; did you mean 'pairs'?"),
    "name: x\nrules: y\n": (2, "unknown key 'rules'; there are: name, columns,"),
    "pairs:\n  - forbid: x\n    line: 3\n": (3, "unknown key 'line' under pairs"),
    "source: x\n": (1, "unknown key 'source'"),
    "name: x\nname: y\n": (2, "'name' was given before, in line 1"),
    "pairs:\n  - require: a\n    require: b\n": (3, "'require' was given before, in line 2"),
    "name: x\npairs:\n  - forbid: x\n    require: y\n": (3, "under pairs: give either require or forbid"),
    "pairs:\n  - why: x\n": (2, "under pairs: give either require or forbid"),
    "pairs:\n  - require:\n": (2, "'require' under pairs has no value"),
    "pairs:\n  - require: x\n    unknown: maybe\n": (
        3,
        "'unknown' under pairs cannot be 'maybe'; write refuse or allow",
    ),
    "pairs:\n  forbid: x\n": (1, "'pairs' cannot be keys with values; write a list"),
    "pairs: x\n": (1, "'pairs' cannot be 'x'; write a list: begin each"),
    "pairs:\n  - a.x = b.x\n": (2, "an entry of 'pairs' cannot be 'a.x = b.x'; begin it with a key: "),
    "never:\n  - when:x\n": (2, "a space is missing after the colon"),
    "never:\n  - why: x\n": (2, "'when' is missing under never"),
    "images:\n  - axis: diagonal\n": (2, "'axis' under images cannot be 'diagonal'; write vertical or horizontal"),
    "images:\n  - why: x\n    whole: maybe\n": (3, "'whole' under images cannot be 'maybe'; write true or false"),
    "images:\n  - why: x\n": (2, "at least one of axis, whole, region and mirror"),
    "captions:\n  joiner: x\n  forbid: y\n": (1, "exactly one of joiner, template and forbid"),
    "captions:\n  template: '{a} with {c}'\n": (2, "'template' under captions must hold {a} and {b}"),
    "captions:\n  - forbid: 'Left'\n": (2, "'forbid' under captions holds capital letters"),
    "examples:\n  - {a: x, allowed: no}\n": (2, "'b' is missing under examples"),
    "examples:\n  - {a: x, b: y, allowed: perhaps}\n": (
        2,
        "'allowed' under examples cannot be 'perhaps'; write true or false",
    ),
    "examples:\n  - {a: [x], b: y, allowed: no}\n": (2, "'a' under examples cannot be a list; write the key of a pair"),
    "fields:\n  my side: x\n": (2, "'my side' under fields cannot name a column"),
    "fields:\n  order: x\n": (2, "'order' under fields cannot name a column: it is a reserved word of the expressions"),
    "fields:\n  - side: x\n": (1, "'fields' cannot be a list; write names with values"),
    "name: x\ncolumns: {Side: x}\nfields:\n  side: y\n": (3, "'Side' and 'side' are the same name"),
    "columns:\n  patient: {a: b}\n": (2, "'patient' under columns cannot be keys with values; write text"),
    # what YAML makes of it
    "name: x\npairs:\n\t- require: a\n": (3, "there is a tab"),
    "name:\tx\n": (1, "there is a tab"),
    'never:\n  - when: "\\d+"\n': (2, "in double quotes YAML gives backslashes a meaning of its own"),
    'never:\n  - when: "\\bleft"\n': (2, "in double quotes YAML gives backslashes a meaning of its own"),
    "never:\n  - when: x\n    why: views: PA\n": (3, "a colon and a space must be in quotation marks"),
    "captions:\n  template: {a} and {b}\n": (2, "a value that starts with '{' must be in single quotes"),
    "captions:\n  forbid: [lr]eft\n": (2, "a value that starts with '['"),
    "captions:\n  forbid: [left]\n": (2, "a value that starts with '[' must be in quotation marks"),
    "captions:\n  forbid: *left\n": (2, "a value that starts with '*'"),
    "captions:\n  forbid: *\n": (2, "a value that starts with '*'"),
    "name: &x y\n": (1, "a value that starts with '&'"),
    "name: !x y\n": (1, "a value that starts with '!'"),
    "name: %x\n": (1, "a value that starts with '%'"),
    "name: @x\n": (1, "a value that starts with '@'"),
    "never:\n  - when: > 3\n": (2, "a value that starts with '>'"),
    "pairs:\n  - forbid: 'left' = a.side\n": (2, "the value continues after its closing quotation mark"),
    "pairs:\n  - forbid: a.label = 'A #2'\n": (2, "everything after ' #' for a comment"),
    "name: x\nnever:\n  - when: 'y\n  - when: z\n": (3, "a quotation mark is opened here and never closed"),
    "name:x\npairs:\n": (1, "a space is missing after the colon"),
    "name：x\npairs:\n": (1, "a full-width colon"),
    "pairs:\n\u3000- require: x\n": (2, "full-width or other special space"),
    "pairs:\n  -require: x\n": (1, "begin each of its entries with a dash and a space"),
    "pairs:\n  - require: x\n     why: y\n": (3, "is indented further than the one before"),
    "pairs:\n  - require: x\n   why: y\n": (3, "the indentation does not fit"),
    "examples:\n  - {a: x, b: y\n  - {a: z}\n": (2, "a bracket is opened and not closed"),
    "examples:\n  - {a:x, b: y}\n": (2, "'a:x' has no value; inside braces put a space after each colon"),
    "examples:\n  - {a: {caption: left, and right}, b: y}\n": (2, "'and right' has no value"),
    "name: x\n---\nname: y\n": (3, "a second document begins"),
    "- name: x\n": (1, "there is no key"),
    "name: a\0b\n": (1, "there is a character that is not text"),
    'name: "\\ud800"\n': (1, "in double quotes"),
}


@pytest.mark.parametrize("text", ERRORS, ids=[said for _, said in ERRORS.values()])
def test_mistakes_are_told_with_file_and_line(text: str) -> None:
    line, said = ERRORS[text]
    with pytest.raises(UserError) as raised:
        parse_rules(text, "my.yaml")
    message = str(raised.value)
    assert message.startswith(f"my.yaml, line {line}: ")
    assert said in message
    assert "\n" not in message


def test_the_first_mistake_is_told() -> None:
    with pytest.raises(UserError, match=r"line 2: .*axis"):
        parse_rules("images:\n  - axis: x\npairs:\n  - why: y\n", "my.yaml")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file(text: str) -> None:
    with pytest.raises(UserError, match=r"^my\.yaml is empty"):
        parse_rules(text, "my.yaml")


HOSTILE = {
    "aliases": "a: &a [x, x]\n"
    + "".join(f"{c}: &{c} [*{p}, *{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
    "object": "name: !!python/object/apply:os.system ['false']\n",
    "tag": "!!python/module:os\n",
    "merge": "pairs:\n  - <<: {require: x}\n",
    "brackets": "name: " + "[" * 100_000,
    "braces": "pairs: " + "{a: " * 50_000,
    "dashes": "- " * 100_000,
    "questions": "? " * 100_000,
    "indents": "".join(" " * i + "a:\n" for i in range(400)),
    "number": 'name: "\\Uffffffff"\n',
    "directive": "%YAML 99.99\n---\nname: x\n",
    "long key": "x" * 100_000 + ": y\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_one_sentence(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(UserError) as raised:
        parse_rules(HOSTILE[name], "my.yaml")
    assert "\n" not in str(raised.value)
    assert time.monotonic() - began < 5


@given(st.text(st.sampled_from(list("ab:-{}[]'\"#&*!|>%@\\ \n\t?,=x0_")), max_size=60) | st.text(max_size=40))
def test_no_text_makes_anything_but_rules_or_a_sentence(text: str) -> None:
    for document in (text, f"name: {text}", f"pairs:\n  - require: {text}\n    why: x\n"):
        with suppress(UserError):
            assert parse_rules(document, "my.yaml").source == "my.yaml"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932", "euc_jp"])
def test_encodings_that_editors_write(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "規則.yaml"
    text = "name: 胸部X線\nfields:\n  部位: lower(caption)\nnever:\n  - when: word(caption, '組写真', 'コラージュ')\n"
    file.write_bytes(text.encode(encoding))
    rules = read_rules(file)
    assert rules.name == "胸部X線"
    assert rules.never[0].when == "word(caption, '組写真', 'コラージュ')"
    assert rules.source == str(file)


def test_files_that_cannot_be_rules(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text("# " + "x" * 300_000, "utf-8")
    with pytest.raises(UserError, match="is larger than 256 KiB"):
        read_rules(large)
    with pytest.raises(UserError, match="is a folder"):
        read_rules(tmp_path)
    with pytest.raises(UserError, match=r"there is no rules file .*none\.yaml\."):
        read_rules(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(bytes(range(128, 256)) * 20)
    with pytest.raises(UserError) as raised:
        read_rules(binary)
    assert "\n" not in str(raised.value)


def test_names_of_presets() -> None:
    assert read_rules("radiology").source == "preset radiology"
    with pytest.raises(
        UserError, match="no rules file radiolgy, and unknown preset 'radiolgy'; did you mean 'radiology'"
    ):
        read_rules("radiolgy")
