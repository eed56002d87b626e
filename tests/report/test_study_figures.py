"""Effect plots and curves: ranges, marks, order, files that hold their names and can be read everywhere."""

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from clipc.report import curve_plot, effect_plot, lettering, marks
from clipc.report.drawing import inline_svg, new_figure
from clipc.report.effect_plot import Effect
from clipc.report.sections.curves import curve_figures, curve_panels
from clipc.report.sections.differences import difference_panels, draw_differences
from clipc.report.study_figures import save_figures
from clipc.report.words import words
from report.study_example import MAIN, study_example
from report.test_pages import HOSTILE

NUMBERS = st.floats(-100, 100, allow_nan=False)


def effect(at: float = 1.0, **changed: Any) -> Effect:
    given = {"interval": (at - 1, at + 1), "two_way": (at - 2, at + 1.5), "per_seed": (at,), "control": False} | changed
    return Effect(at, **given)


@given(st.lists(st.builds(effect, NUMBERS), min_size=1, max_size=3))
def test_a_few_rows_all_lie_inside_the_range(rows: list[Effect]) -> None:
    low, high = effect_plot.value_range(rows)
    assert low < 0 < high
    assert not effect_plot.any_outside(rows, (low, high))


@given(st.lists(st.builds(effect, NUMBERS), min_size=4, max_size=60))
def test_at_least_three_quarters_of_many_rows_lie_inside_the_range(rows: list[Effect]) -> None:
    span = effect_plot.value_range(rows)
    assert sum(not effect_plot.any_outside([row], span) for row in rows) >= 0.75 * len(rows)


def test_one_arm_that_ruins_training_does_not_press_the_others_together() -> None:
    rows = [effect(1.0), effect(2.0), effect(-1.0), effect(0.5), effect(-40.0)]
    low, high = span = effect_plot.value_range(rows)
    assert -10 < low < high < 10
    assert effect_plot.strip(rows[-1], span).count('l8 -5v10z"') == 1
    assert 'l8 -5v10z"' not in effect_plot.strip(rows[0], span)


def test_a_strip_is_one_small_svg_without_words_or_ids() -> None:
    for row in (effect(), effect(control=True), effect(interval=None, two_way=None, per_seed=()), effect(999.0)):
        svg = effect_plot.strip(row, (-4.0, 4.0))
        assert ET.fromstring(svg).tag.endswith("svg")
        assert len(svg) < 2000
        assert not re.search(r"<text|id=|href", svg)


def test_the_thin_interval_is_seen_even_inside_the_thick_one() -> None:
    svg = effect_plot.strip(effect(0.0, interval=(-3.0, 3.0), two_way=(-1.0, 1.0)), (-4.0, 4.0))
    assert svg.count("3.5v12") == 2


def test_marks_of_lines_differ_without_colour() -> None:
    cycle = (marks.BASELINE, *marks.LINE_MARKS)
    assert len({(mark.marker, mark.filled) for mark in cycle}) == len(cycle) == 8
    assert len({mark.dashes for mark in marks.LINE_MARKS}) == len(marks.LINE_MARKS)
    assert len({marks.legend_swatch(mark) for mark in cycle}) == len(cycle)


@pytest.mark.parametrize(("arms", "panels"), [(3, 2), (6, 2), (7, 3), (40, 8)])
def test_over_sizes_every_arm_is_named_beside_the_baseline_and_apart_from_controls(arms: int, panels: int) -> None:
    data = study_example(arms=arms, sizes=(250, 500))
    for curve in data["curves"]:
        parts = curve_panels(curve, data)
        assert [panel.kind for panel in parts] == ["treatment"] * (panels - 1) + ["control"]
        named = [line.name for panel in parts for line in panel.lines if line.name != "clip"]
        assert named == [arm["name"] for arm in data["arms"]][1:]
        for panel in parts:
            shown = {line.name: line.mark for line in panel.lines}
            assert shown["clip"] is marks.BASELINE
            assert len(set(shown.values())) == len(shown) > 1
    drawn = curve_figures(data, words("en"))
    assert len(drawn) == panels * len(data["curves"])
    assert {name for curve in drawn for _, name in curve["legend"]} == {arm["name"] for arm in data["arms"]}


def test_lines_run_through_the_baseline_s_point_which_is_marked_once() -> None:
    def line(name: str, *xs: float) -> dict[str, Any]:
        return {"name": name, "points": [{"x": x, "mean": 0.4, "low": 0.3, "high": 0.5, "n": 3} for x in xs]}

    lines = [line("clip", 0), line("clip-c", 0.15, 0.3), line("same-class", 0.15, 0.3)]
    curve = {"axis": "policy.rho", "log": False, "metric": MAIN[0], "lines": lines, "through": "clip"}
    data = study_example() | {"curves": [curve]}
    (panel,) = curve_panels(curve, data)
    assert [line.name for line in panel.lines] == ["clip", "clip-c", "same-class"]
    assert panel.lines[0].mark is marks.BASELINE
    axes = Figure().add_subplot()
    curve_plot.draw(axes, panel.lines, log=False)
    solid = [line for line in axes.lines if line.get_linestyle() != "None" and len(line.get_xdata()) == 3]  # pyright: ignore
    assert len(solid) == 2
    assert all(float(line.get_xdata()[0]) == 0 for line in solid)  # pyright: ignore
    dots = [x for line in axes.lines if line.get_markersize() == 5.5 for x in line.get_xdata()]  # pyright: ignore
    assert len(dots) == 5
    assert curve_figures(data, words("en"))[0]["level"] is None


def test_panels_of_a_curve_have_one_scale() -> None:
    data = study_example(arms=12, sizes=(250, 500), main=("retrieval/mean_recall",))
    figures = [curve["figure"] for curve in curve_figures(data, words("en")) if curve["main"]]
    levels = [re.findall(r">(\d+(?:\.\d+)?)</text>", figure) for figure in figures]
    assert len(levels) == 3
    assert levels[0] == levels[1] == levels[2]


def test_curves_over_one_axis_stand_together() -> None:
    drawn = curve_figures(study_example(rates=True, sizes=(250, 500)), words("en"))
    axes = [curve["axis"] for curve in drawn]
    assert axes == sorted(axes, key=axes.index)


def test_a_study_without_controls_has_one_panel() -> None:
    data = study_example(arms=2, controls=(), sizes=(250, 500))
    assert [panel.kind for panel in curve_panels(data["curves"][0], data)] == ["all"]


def test_an_arm_has_the_same_mark_in_every_curve() -> None:
    data = study_example(arms=12, sizes=(250, 500))
    first, *others = [
        {line.name: line.mark for panel in curve_panels(curve, data) for line in panel.lines}
        for curve in data["curves"]
    ]
    assert all(other == first for other in others)


def test_differences_over_sizes_have_a_panel_an_arm() -> None:
    data = study_example(arms=3, sizes=(250, 500, 1000))
    blocks = difference_panels(data, words("en"))
    assert len(blocks) == sum(m["main"] for m in data["metrics"])
    for block in blocks:
        assert [panel["arm"] for panel in block["panels"]] == [arm["name"] for arm in data["arms"]][1:]
        for panel in block["panels"]:
            texts = re.findall(r">([^<]+)</text>", panel["figure"])
            assert {"250", "500", "1,000", "0"} <= set(texts)
    assert difference_panels(study_example(arms=3), words("en")) == []


def test_a_difference_beyond_the_scale_is_an_arrow() -> None:
    points = [(250, effect(1.0)), (500, effect(-90.0))]
    axes = Figure().add_subplot()
    draw_differences(axes, points, (250, 500), (-4.0, 4.0))
    arrows = [line for line in axes.lines if line.get_marker() in ("v", "^")]
    assert [(line.get_marker(), *map(float, line.get_ydata())) for line in arrows] == [("v", -4.0)]  # pyright: ignore


def test_a_curve_without_the_baseline_shows_its_level() -> None:
    data = study_example(rates=True)
    data["curves"] = data["curves"][:2]
    drawn = curve_figures(data, words("en"))
    assert all(curve["level"] == "clip" for curve in drawn)
    assert [curve["axis"] for curve in drawn] == ["composition rate"] * len(drawn)
    data["curves"][0]["axis"] = "optimizer.beta"
    assert curve_figures(data, words("en"))[0]["axis"] == "optimizer.beta"


@pytest.mark.parametrize("log", [True, False])
def test_points_without_mean_or_interval_and_a_zero_on_a_log_axis_are_drawn(log: bool) -> None:
    data = study_example(arms=2, sizes=(250, 500))
    points = data["curves"][0]["lines"][0]["points"]
    points[0] |= {"mean": None}
    points[1] |= {"x": 0, "low": None, "high": None}
    shown = curve_panels(data["curves"][0], data)[0].lines
    assert len(shown[0].points) == 1
    assert math.isnan(shown[0].points[0][2])
    figure, axes = new_figure(270, bottom=0.1)
    curve_plot.draw(axes, shown, log=log, invert_y=True)
    svg = inline_svg(figure, "a")
    texts = [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"0", "250", "500"} <= set(texts)
    assert all(re.fullmatch(r"[\N{MINUS SIGN}\d.,]+", text) for text in texts)


def test_data_sizes_are_told_at_their_places() -> None:
    data = study_example(arms=1, sizes=(250, 500, 1000, 1680))
    data["curves"] = data["curves"][:1]
    svg = curve_figures(data, words("en"))[0]["figure"]
    assert all(f">{size}<" in svg for size in ("250", "500", "1,000", "1,680"))


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_figures_are_files_with_expected_names(tmp_path: Path, lang: str) -> None:
    data = study_example(arms=2, sizes=(250, 500), main=("retrieval/mean_recall",))
    data["curves"] = data["curves"][:1]
    data["curves"].append({**data["curves"][0], "axis": "policy.rho"})
    files = save_figures(data, tmp_path, lang)
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        f"figures/{stem}.{ending}"
        for stem in (
            "effects-retrieval-mean-recall",
            "differences-pairs-retrieval-mean-recall",
            "curve-pairs-retrieval-mean-recall",
            "curve-policy-rho-retrieval-mean-recall",
        )
        for ending in ("svg", "png")
    ]
    for file in files:
        if file.suffix == ".svg":
            assert "<text" not in file.read_text(encoding="utf-8")
            ET.parse(file)
        else:
            with Image.open(file) as image:
                assert min(image.size) > 300


def test_the_same_study_gives_the_same_svg(tmp_path: Path) -> None:
    data = study_example(arms=1, main=("retrieval/mean_recall",))
    first, again = (save_figures(data, tmp_path / name)[0].read_bytes() for name in ("a", "b"))
    assert first == again


def test_hostile_and_unwritable_names_do_not_stop_the_figures(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    names = ("$\\frac{", "_hidden", f"{HOSTILE}\n{HOSTILE}", "\N{LINEAR B SYLLABLE B008 A}", "", "../../up")
    data = study_example(arms=6, names=names, sizes=(250, 500), main=("retrieval/mean_recall",))
    data["name"] = "$x^{"
    data["curves"] = [{**data["curves"][0], "axis": "../../../x", "metric": "a/../../b"}]
    files = save_figures(data, tmp_path / "in")
    assert len(files) == 6
    assert all(file.parent == tmp_path / "in" / "figures" for file in files)
    assert not [warning for warning in recwarn if "missing from" in str(warning.message)]


def test_an_unfinished_study_without_comparisons_has_no_effects(tmp_path: Path) -> None:
    data = study_example(arms=1) | {"comparisons": [], "curves": []}
    assert save_figures(data, tmp_path) == []


def test_without_a_japanese_font_words_are_english_and_names_are_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "font_families", lambda: ("DejaVu Sans",))
    monkeypatch.setattr(lettering, "_all_letters", lambda: lettering._letters("DejaVu Sans"))
    assert lettering.figure_language("ja") == "en"
    assert lettering.figure_language("en") == "en"
    assert lettering.displayable("無作為", "arm 3") == "arm 3"
    assert lettering.displayable("rho=0.3", "arm 3") == "rho=0.3"


@given(st.text(max_size=80))
def test_a_name_in_a_figure_is_one_short_line(name: str) -> None:
    shown = lettering.displayable(name, "arm 1", max_length=20)
    assert shown
    assert len(shown) <= 20
    assert shown.isprintable()


def test_fonts_installed_after_matplotlib_listed_them_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(tmp_path / name) for name in ("NotoSansCJK-Regular.ttc", "ipagothic.ttf", "Arial.ttf")]
    seen: list[str] = []
    monkeypatch.setattr(lettering, "findSystemFonts", lambda: files)
    monkeypatch.setattr(lettering.fontManager, "ttflist", [])
    monkeypatch.setattr(lettering.fontManager, "addfont", seen.append)
    assert lettering.font_families.__wrapped__() == ("DejaVu Sans",)
    assert seen == files[:2]
