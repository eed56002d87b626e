"""The figures: self-contained SVG without words, ids of their own, right places."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from clipc.report import figures, marks

SVG = "{http://www.w3.org/2000/svg}"


def strip(name: str = "a", **changed: object) -> str:
    given = {"difference": 2.0, "interval": (-1.0, 5.0), "test_error": 0.8, "per_seed": [1.0, 2.0, 3.0]} | changed
    return figures.effect_strip(name, "clip-c", bounds=(-2.0, 6.0), **given)  # type: ignore[arg-type]


def drawn(count: int = 3) -> str:
    line = [(float(i), 5.0 - i / 200) for i in range(781)]
    return figures.curves("c", [(arm, [line] * count) for arm in ("clip", "augment", "clip-c")])


@pytest.mark.parametrize("svg", [strip(), drawn(), figures.effect_axis("x", (-2.0, 6.0)), marks.glyph("clip")])
def test_a_figure_is_one_svg_that_asks_for_nothing(svg: str) -> None:
    root = ET.fromstring(svg)
    assert root.tag.removeprefix(SVG) == "svg"
    assert not list(root.iter(f"{SVG}style"))
    assert not re.search(r'(?:href|src)="(?!#)|url\((?!#)|@import|<script|font-family', svg)


def test_figures_hold_numbers_and_no_words() -> None:
    for svg in (strip(), drawn(), figures.effect_axis("x", (-2.0, 6.0))):
        texts = [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]
        assert all(re.fullmatch(r"[+\N{MINUS SIGN}\d.,]+", text) for text in texts)


def test_ids_belong_to_one_figure_and_every_reference_is_met() -> None:
    both = strip("a") + strip("b")
    ids = re.findall(r' id="([^"]+)"', both)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', both)) <= set(ids)


def test_the_same_figure_is_the_same_text() -> None:
    assert strip() == strip()


def test_a_strip_needs_neither_interval_nor_error_nor_seeds() -> None:
    bare = strip(interval=None, test_error=None, per_seed=[])
    assert bare.startswith("<svg")
    assert len(bare) < len(strip())


def test_arms_differ_in_shape_and_line_not_only_in_colour() -> None:
    drawn = [marks.mark(arm) for arm in ("clip", "augment", "clip-c", "something-else")]
    assert len({mark.marker for mark in drawn}) == 4
    assert len({mark.outline for mark in drawn}) == 4


def test_limits_hold_zero_and_everything() -> None:
    low, high = figures.limits([2.0, 5.0])
    assert low < 0
    assert high > 5
    low, high = figures.limits([0.0])
    assert low < 0 < high


def test_long_curves_are_averaged_not_sampled() -> None:
    points = np.stack([np.arange(1000.0), np.random.default_rng(0).normal(size=1000)], axis=1)
    thin = figures.thinned(points, 100)
    assert thin.shape == (100, 2)
    np.testing.assert_allclose(thin.mean(axis=0), points.mean(axis=0))
    assert len(drawn()) < 60_000


def test_the_mean_curve_stays_where_all_seeds_are() -> None:
    long = np.array([[0.0, 0.0], [10.0, 10.0], [20.0, 20.0]])
    short = np.array([[0.0, 2.0], [10.0, 12.0]])
    np.testing.assert_allclose(figures.mean_curve([long, short]), [[0.0, 1.0], [10.0, 11.0]])


def test_empty_curves_are_left_out() -> None:
    assert figures.curves("c", [("clip", [[], []])]).startswith("<svg")
