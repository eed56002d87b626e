import json
from dataclasses import replace

import pyarrow as pa
import pytest

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.prepare.contact_sheet import check_rules, contact_sheet
from clipc.recipe.recipe import make_recipe
from clipc.report.sheet import render_sheet

RULES = {"name": "plates", "pairs": [{"forbid": "a.label = b.label", "why": "two plates of one colour"}]}


def test_a_sheet_shows_composites_and_what_rules_remove(tiny_catalog: Catalog) -> None:
    recipe = make_recipe({"samples": 1, "model": "nano", "policy": {"rho": 0.5, "rules": RULES}})
    tables = contact_sheet(recipe, tiny_catalog, 3)
    tables = json.loads(json.dumps(tables))
    assert len(tables["samples"]) == 3
    (ban,) = tables["rules"]["constraints"]
    assert ban["share"] == pytest.approx(0.25, abs=0.03)
    assert tables["advice"] is None
    page = render_sheet(tables)
    assert "two plates of one colour" in page
    assert render_sheet(tables, lang="ja") != page


def test_long_captions_bring_advice(tiny_catalog: Catalog, tiny_model: str) -> None:
    recipe = make_recipe({"samples": 1, "model": tiny_model})
    assert contact_sheet(recipe, tiny_catalog, 1)["advice"] is None
    captions = pa.array([[" ".join(["plate"] * 40)]] * len(tiny_catalog))
    longer = replace(tiny_catalog, table=tiny_catalog.table.set_column(1, "captions", captions))
    assert "shortened" in contact_sheet(recipe, longer, 1)["advice"]


def test_there_must_be_something_to_check(tiny_catalog: Catalog) -> None:
    recipe = make_recipe({"samples": 1})
    with pytest.raises(UserError, match="--rules"):
        check_rules(recipe.policy, tiny_catalog)
    ruled = make_recipe({"samples": 1, "policy": {"rules": RULES}})
    with pytest.raises(UserError, match="examples"):
        check_rules(ruled.policy, tiny_catalog)
