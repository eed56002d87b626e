"""The presets' own examples hold, on any data; on real data they refuse something and leave enough."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Candidates
from clipc.compose.layouts.tiles import LEFT_RIGHT
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compile import compile_rules
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.rules.effects import effects
from clipc.compose.rules.read import parse_rules, preset_names, preset_text, read_rules
from clipc.compose.rules.sandbox import Sandbox
from clipc.compose.rules.schema import Rules
from clipc.demo.captions import captions, load_language
from clipc.demo.defects import STATES
from clipc.demo.image import scene
from clipc.demo.shapes import SHAPES
from clipc.errors import UserError

OWN = ("caption", "captions", "key", "label")
PRESETS = ("factory", "radiology", "satellite")


@dataclass(frozen=True)
class Inline:
    """Pairs that are given by values, one row each."""

    rows: tuple[dict[str, object], ...]

    @property
    def names(self) -> list[str]:
        return sorted({name for row in self.rows for name in row} | set(OWN))

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> pa.ChunkedArray:
        values = [row.get(name, row.get("caption") if name == "captions" else None) for row in self.rows]
        same = len({type(value) for value in values if value is not None}) < 2
        return pa.chunked_array([pa.array(values if same else [None if v is None else str(v) for v in values])])

    def boxes(self, name: str) -> npt.NDArray[np.float32]:
        return np.full((len(self), 4), np.nan, dtype=np.float32)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with closing(Sandbox()) as shared:
        yield shared


def judged(compiled_rules: CompiledRules, pairs: int) -> npt.NDArray[np.bool_]:
    """Whether rows 0 and 1, 2 and 3, ... may be composed."""
    first = np.arange(pairs) * 2
    candidates = Candidates(first, first + 1, np.full(pairs, LEFT_RIGHT, np.uint8), np.zeros(pairs, np.bool_))
    return compiled_rules.allowed(candidates) & ~compiled_rules.never[first] & ~compiled_rules.never[first + 1]


def inline(*rows: dict[str, object]) -> Inline:
    return Inline(tuple(rows))


def test_the_presets_there_are() -> None:
    assert preset_names() == sorted(PRESETS)
    with pytest.raises(UserError, match="did you mean 'factory'"):
        preset_text("factry")


@pytest.mark.parametrize("name", PRESETS)
def test_a_copy_of_a_preset_is_the_preset(name: str) -> None:
    assert parse_rules(preset_text(name), "my.yaml") == read_rules(name)
    assert Rules.model_validate(read_rules(name).model_dump(mode="json", exclude_none=True)) == read_rules(name)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_give_reasons_and_examples_of_both_kinds(name: str) -> None:
    rules = read_rules(name)
    assert all(entry.why for entry in (*rules.pairs, *rules.images, *rules.never))
    assert {example.allowed for example in rules.examples} == {True, False}
    for example in rules.examples:
        for side in (example.a, example.b):
            assert isinstance(side, dict), "keys would tie a preset to one data set"
            assert set(side) <= set(rules.columns) | set(OWN)


@pytest.mark.parametrize("name", PRESETS)
def test_the_examples_hold(name: str, sandbox: Sandbox) -> None:
    rules = read_rules(name)
    rows = [dict(side) for example in rules.examples for side in (example.a, example.b) if isinstance(side, dict)]
    right = judged(compile_rules(rules, inline(*rows), Wording(), sandbox), len(rules.examples))
    wrong = [example for example, allowed in zip(rules.examples, right, strict=True) if allowed != example.allowed]
    assert not wrong


@pytest.mark.parametrize("document", ["rules.md", "rules.ja.md"])
def test_the_rules_that_the_documents_show_do_what_they_say(document: str, sandbox: Sandbox) -> None:
    films: dict[str, dict[str, object]] = {
        "film-001": {"view": "PA", "patient": "P-17", "caption": "right lower lobe pneumonia"},
        "film-003": {"view": "LATERAL", "patient": "P-23", "caption": "clear lungs"},
    }
    text = (Path(__file__).parents[3] / "docs" / document).read_text("utf-8")
    shown = [
        parse_rules(block, document) for block in re.findall(r"(?:```yaml|<<'EOF')\n(.*?)(?:```|EOF)", text, re.DOTALL)
    ]
    assert len(shown) == 5
    for rules in shown:
        sides = [side for example in rules.examples for side in (example.a, example.b)]
        rows = [films[side] if isinstance(side, str) else dict(side) for side in sides] or [{}, {}]
        compiled_rules = compile_rules(
            rules, inline(*({"view": "x", "patient": "y", **row} for row in rows)), Wording(), sandbox
        )
        if rules.pairs:
            expected = [example.allowed for example in rules.examples]
            assert judged(compiled_rules, len(expected)).tolist() == expected


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_factory_preset_tells_good_from_defective_by_captions_alone(lang: str, sandbox: Sandbox) -> None:
    random = np.random.Generator(np.random.Philox(0))
    parts = [scene(shape, state, random) for shape in SHAPES for state in STATES for _ in range(4)]
    texts = [captions(part, load_language(lang), random) for part in parts]
    rows = [{"caption": "a part", "captions": "\n".join(some)} for some in texts]
    # Each part is shown with an intact one: allowed if it is intact, too.
    couples = (row for part in rows for row in ({"caption": "a part", "captions": "intact"}, part))
    allowed = judged(compile_rules(read_rules("factory"), inline(*couples), Wording(), sandbox), len(rows))
    assert (allowed == [part.state == "intact" for part in parts]).mean() > 0.98


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run_on_data_that_tell_nothing(name: str, tiny_catalog: Catalog, sandbox: Sandbox) -> None:
    compiled_rules = compile_rules(read_rules(name), CatalogColumns(tiny_catalog), Wording(), sandbox)
    assert not compiled_rules.never.any()
    assert effects(compiled_rules, tiny_catalog, max_candidates=500)["share"] > 0.9


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("value", [1.5, True, None])
def test_presets_run_whatever_the_columns_hold(name: str, value: object, sandbox: Sandbox) -> None:
    rules = read_rules(name)
    row = {"caption": "a plate", **{names[0]: value for names in rules.columns.values()}}
    assert len(compile_rules(rules, inline(row, row), Wording(), sandbox).never) == 2


SINGLE = {
    "radiology": [
        ({"patient_id": "1", "caption": "x"}, {"patient_id": "1", "caption": "y"}, False),
        ({"患者ID": "1", "caption": "x"}, {"患者ID": "2", "caption": "y"}, True),
        ({"ViewPosition": "PA", "caption": "x"}, {"ViewPosition": "AP", "caption": "y"}, False),
        ({"caption": "両側すりガラス影"}, {"caption": "右胸水"}, False),
        ({"caption": "bilateral opacities"}, {"caption": "bilateral effusions"}, True),
        ({"caption": "the bilateral film"}, {"caption": "lateral view of the chest"}, False),
    ],
    "satellite": [
        ({"gsd": "30 cm", "caption": "x"}, {"gsd": "0.5", "caption": "y"}, True),
        ({"gsd": 0.3, "caption": "x"}, {"gsd": 1.0, "caption": "y"}, False),
    ],
    "factory": [
        ({"品番": "P-1", "caption": "x"}, {"品番": "P-2", "caption": "y"}, False),
        ({"caption": "歯車、欠けあり"}, {"caption": "歯車、良品"}, False),
        ({"caption": "歯車、不合格"}, {"caption": "歯車、打痕"}, True),
        ({"allergens": "egg", "caption": "x"}, {"allergens": "milk", "caption": "y"}, False),
        ({"caption": "部品、汚染なし"}, {"caption": "部品、汚染あり"}, False),
        ({"clean_room": "Grade B", "caption": "x"}, {"caption": "グレードB"}, True),
    ],
}


@pytest.mark.parametrize("name", PRESETS)
def test_single_judgements(name: str, sandbox: Sandbox) -> None:
    cases = SINGLE[name]
    compiled_rules = compile_rules(
        read_rules(name), inline(*(row for a, b, _ in cases for row in (a, b))), Wording(), sandbox
    )
    decisions = judged(compiled_rules, len(cases)).tolist()
    assert [(*case[:2], allowed) for case, allowed in zip(cases, decisions, strict=True)] == cases


@pytest.mark.parametrize(
    ("preset", "source", "least", "most"),
    [
        ("radiology", "covid-chestxray", 0.2, 0.6),
        ("satellite", "rsicd/val-*.tar", 0.9, 0.999),
        ("factory", "neu-steel-defects/val-*.tar", 0.4, 0.9),
    ],
)
def test_on_real_data_presets_refuse_some_and_leave_enough(
    preset: str, source: str, least: float, most: float, shared_data: Path, sandbox: Sandbox
) -> None:
    catalog = open_catalog(shared_data / source)
    compiled_rules = compile_rules(read_rules(preset), CatalogColumns(catalog), Wording(), sandbox)
    result = effects(compiled_rules, catalog, max_candidates=5000)
    assert least < result["share"] < most
    assert result["groups"]["alone"] == 0


def test_a_preset_keeps_what_a_caption_says_of_places_true(sandbox: Sandbox) -> None:
    rows = inline(
        {"caption": "a lake in the north"}, {"caption": "川の北側"}, {"caption": "three planes"}, {"caption": "a river"}
    )
    compiled_rules = compile_rules(read_rules("satellite"), rows, Wording(), sandbox)
    assert compiled_rules.whole.tolist() == [True, True, True, False]
    assert compiled_rules.mirror.tolist() == [False, False, True, True]
    assert not compile_rules(read_rules("radiology"), rows, Wording(), sandbox).mirror.any()
