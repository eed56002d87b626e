"""Codes of what limits a study beside its figures."""

from clipc.catalog import Catalog
from clipc.study.limitations import search_limits, subset_limits
from clipc.study.search_results import SearchResult


def test_unequal_tries_are_said() -> None:
    same = [SearchResult("clip", {}, 0.5, 4, 0, 4), SearchResult("clip-c", {}, 0.5, 4, 0, 4)]
    assert search_limits(same) == []
    codes = search_limits([SearchResult("clip", {}, 0.5, 1, 0, 1), *same[1:], SearchResult("hot", None, None, 4, 4, 4)])
    assert codes == [
        {"code": "unequal-tries", "fewest": 1, "most": 4, "arms": "clip"},
        {"code": "search-left-out", "arms": "hot"},
    ]


def test_parts_of_the_pairs_were_drawn_once(tiny_catalog: Catalog) -> None:
    assert subset_limits([40], tiny_catalog) == []
    assert subset_limits([16, 40], tiny_catalog) == [{"code": "one-subset", "sizes": "16"}]
    assert subset_limits([8, 16], tiny_catalog) == [{"code": "one-subset", "sizes": "8, 16"}]
