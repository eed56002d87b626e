"""Training curves: self-contained SVG without words, ids of their own, the right mean; and marks of roles."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from clipc.report import marks
from clipc.report.sections.training import mean_curve, training_curves

SVG = "{http://www.w3.org/2000/svg}"


def drawn(name: str = "c", count: int = 3) -> str:
    line = [(float(i), 5.0 - i / 200) for i in range(40)]
    return training_curves(name, [(mark, [line] * count) for mark in marks.ROLE_MARKS.values()])


@pytest.mark.parametrize("svg", [drawn(), marks.icon(marks.TREATMENT), marks.legend_swatch(marks.CONTROL)])
def test_a_figure_is_one_svg_that_asks_for_nothing(svg: str) -> None:
    root = ET.fromstring(svg)
    assert root.tag.removeprefix(SVG) == "svg"
    assert not list(root.iter(f"{SVG}style"))
    assert not re.search(r'(?:href|src)="(?!#)|url\((?!#)|@import|<script|font-family', svg)


def test_figures_hold_numbers_and_no_words() -> None:
    texts = [element.text or "" for element in ET.fromstring(drawn()).iter(f"{SVG}text")]
    assert all(re.fullmatch(r"[+\N{MINUS SIGN}\d.,]+", text) for text in texts)


def test_ids_belong_to_one_figure_and_every_reference_is_met() -> None:
    both = drawn("a") + drawn("b")
    ids = re.findall(r' id="([^"]+)"', both)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', both)) <= set(ids)


def test_the_same_figure_is_the_same_text() -> None:
    assert drawn() == drawn()
    assert len(drawn()) < 60_000


def test_roles_differ_in_shape_and_line_not_only_in_colour() -> None:
    marks_by_arm = marks.assign_marks(
        {"clip": "baseline", "augment": "control", "clip-c": "treatment", "another": "treatment", "mix": "control"}
    )
    assert (marks_by_arm["clip"], marks_by_arm["clip-c"], marks_by_arm["augment"]) == (
        marks.BASELINE,
        marks.TREATMENT,
        marks.CONTROL,
    )
    assert len({(mark.marker, mark.filled) for mark in marks_by_arm.values()}) == len(marks_by_arm)
    assert len({mark.outline for mark in marks.ROLE_MARKS.values()}) == 3
    many = marks.assign_marks({str(i): "treatment" for i in range(20)})
    assert many["0"] == marks.TREATMENT
    assert len(many) == 20


def test_the_mean_curve_stays_where_all_seeds_are() -> None:
    long = np.array([[0.0, 0.0], [10.0, 10.0], [20.0, 20.0]])
    short = np.array([[0.0, 2.0], [10.0, 12.0]])
    np.testing.assert_allclose(mean_curve([long, short]), [[0.0, 1.0], [10.0, 11.0]])


def test_empty_curves_are_left_out() -> None:
    assert training_curves("c", [(marks.BASELINE, [[], []])]).startswith("<svg")
