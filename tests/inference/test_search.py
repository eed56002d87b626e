"""A search finds what matches, and says when nothing does."""

from itertools import pairwise

import numpy as np
import pytest

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.inference.image_index import ImageIndex
from clipc.inference.search import ImageSearch
from clipc.inference.tables import search_tables, with_images
from clipc.report.sections.use import search_sentences
from clipc.report.use import render_use
from clipc.report.words import words


@pytest.fixture
def search(index: ImageIndex) -> ImageSearch:
    return ImageSearch(index)


def test_a_sentence_finds_its_colour(search: ImageSearch) -> None:
    for colour in ("red", "blue"):
        hits = search.for_text(f"a {colour} plate", 6)
        assert [hit.label for hit in hits] == [colour] * 6
        assert all(a.score >= b.score for a, b in pairwise(hits))


def test_an_image_finds_itself_first(search: ImageSearch, tiny_catalog: Catalog) -> None:
    hits = search.for_image(tiny_catalog.image(4), 5)
    assert hits[0].key == tiny_catalog.keys[4]
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert hits[0].typical is None
    assert 4 not in [hit.row for hit in search.for_row(4, 5)]
    with pytest.raises(UserError, match="rows count from 0 to 59"):
        search.for_row(60)


def test_scores_are_compared_with_right_answers(search: ImageSearch) -> None:
    own = search.own_scores
    assert len(own) == 60  # of all pairs: validation and test have too few each
    assert (np.diff(own) >= 0).all()
    hits = search.for_text("a green plate", 60)
    for hit in hits:
        assert hit.typical == pytest.approx(float((own < np.float32(hit.score)).mean()), abs=1 / 60)
        assert hit.weak == (hit.typical is not None and hit.typical <= 0.1)
    assert not hits[0].weak
    assert hits[-1].weak  # an image of another colour


def test_few_pairs_tell_nothing(index: ImageIndex, tiny_catalog: Catalog) -> None:
    few = ImageSearch(ImageIndex.of(index.model, tiny_catalog.take(np.arange(5))))
    hits = few.for_text("a red plate", 12)
    assert len(hits) == 5
    assert hits[0].typical is None
    assert not hits[0].weak


@pytest.mark.parametrize("text", ["", "  ", "a" * 2001])
def test_what_is_no_query(search: ImageSearch, text: str) -> None:
    with pytest.raises(UserError, match="a query is a sentence"):
        search.for_text(text)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_page_escapes_what_comes_from_data(search: ImageSearch, lang: str) -> None:
    tables = search_tables(search.index, "<script>alert(1)</script>", search.for_text("a red plate", 3))
    hits = with_images(tables["hits"], search.index.catalog)
    hits[0]["captions"] = ["<script>alert(2)</script>"]
    page = render_use({**tables, "hits": hits}, lang=lang)
    assert "<script" not in page
    assert page.count("data:image/jpeg") == 3
    assert "&lt;script&gt;alert(2)" in page


def test_the_sentences_say_when_not_to_rely_on_it(search: ImageSearch) -> None:
    tables = search_tables(search.index, "x", search.for_text("a red plate", 3))
    say = words("en")
    assert not any("do not rely" in sentence for sentence in search_sentences(tables, say))
    weak = [{**hit, "weak": True} for hit in tables["hits"]]
    assert any("do not rely" in sentence for sentence in search_sentences({**tables, "hits": weak}, say))
    assert search_sentences({**tables, "hits": []}, say)[-1] == say("use.search.none")
