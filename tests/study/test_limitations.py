"""Codes of what limits a study beside its figures."""

from dataclasses import replace

import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.evaluate.small_split import FEW_PAIRS, small_split
from clipc.report.words import words
from clipc.study.limitations import search_limits
from clipc.study.search_results import SearchResult


def test_unequal_tries_are_said() -> None:
    same = [SearchResult("clip", {}, 0.5, 4, 0, 4), SearchResult("clip-c", {}, 0.5, 4, 0, 4)]
    assert search_limits(same) == []
    codes = search_limits([SearchResult("clip", {}, 0.5, 1, 0, 1), *same[1:], SearchResult("hot", None, None, 4, 4, 4)])
    assert codes == [
        {"code": "unequal-tries", "fewest": 1, "most": 4, "arms": "clip"},
        {"code": "search-left-out", "arms": "hot"},
    ]


def test_few_test_pairs_are_a_limitation_and_very_few_a_warning(tiny_catalog: Catalog) -> None:
    assert tiny_catalog.splits["test"] < FEW_PAIRS
    code = {"code": "small-test-set", "split": "test", "n": tiny_catalog.splits["test"], "few": True}
    assert small_split(tiny_catalog, "test") == code
    assert small_split(tiny_catalog, "test", below=1) is None
    assert small_split(tiny_catalog, "absent") is None
    more = replace(tiny_catalog, table=pa.concat_tables([tiny_catalog.table] * FEW_PAIRS))
    assert small_split(more, "test") is None
    assert small_split(more, "test", 10**6) == {**code, "n": more.splits["test"], "few": False}
    for lang in ("en", "ja"):
        assert str(code["n"]) in words(lang).limit("small-test-set", code)
