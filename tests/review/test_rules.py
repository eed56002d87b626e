"""Proposed rules remove the composite that they come from, and stand in the file as they were shown."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.compose.rules.read import parse_rules, preset_names, preset_text, read_rules
from clipc.compose.rules.schema import NeverRule, PairRule, Rules
from clipc.review.columns import rule_columns
from clipc.review.proposals import proposals
from clipc.review.queue import ReviewQueue, removed
from clipc.review.rules_file import rule_yaml, rules_text, with_rule, without_rule
from clipc.review.sitting import Sitting

words = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Cn", "Co")), min_size=1).filter(
    lambda text: text == " ".join(text.split()) != ""
)


def test_labels_come_first_and_kinds_are_told_from_measures(queue: ReviewQueue) -> None:
    columns = {column.name: column for column in rule_columns(queue.pairs)}
    assert list(columns) == ["label", "camera", "oven"]
    assert columns["label"].has_kinds
    assert columns["oven"].numbers is not None
    assert not columns["oven"].has_kinds


def test_values_are_written_as_the_rule_language_reads_them(factory_catalog: Catalog) -> None:
    pairs = factory_catalog.split("train")
    n = len(pairs)
    odd = {
        'it\'s "odd"': pa.array([("o'clock", "日本", None)[i // 2 % 3] for i in range(n)]),
        "order": pa.array([i % 4 for i in range(n)]),
        "good": pa.array([i % 5 == 0 for i in range(n)]),
    }
    table = pairs.table
    for name, values in odd.items():
        table = table.append_column(name, pa.chunked_array([values]))
    pairs = Catalog(table, pairs.root, "odd", pairs.about)
    columns = [column for column in rule_columns(pairs) if column.name in odd]
    assert {column.name for column in columns} == set(odd)
    for left, right in ((0, 1), (0, 3), (5, 10), (1, 2)):
        for proposal in proposals(columns, left, right):
            _evaluated(proposal.rule, pairs, left, right)


def _evaluated(rule: PairRule | NeverRule, pairs: Catalog, left: int, right: int) -> None:
    from clipc.compose.entries import Candidates
    from clipc.compose.plan import Plans
    from clipc.compose.policy import Policy

    rules = Rules(never=(rule,)) if isinstance(rule, NeverRule) else Rules(pairs=(rule,))
    plans = Plans(pairs, Policy(), 0)
    one, other = (plans.entries.first[[row]] for row in (left, right))
    no = np.zeros(1, dtype=np.bool_)
    (hit,) = removed(rules, plans, Candidates(one, other, np.ones(1, dtype=np.uint8), no))
    assert hit.all(), rule


def test_each_proposal_removes_the_composite_and_counts_what_it_removes(sitting: Sitting) -> None:
    queue = sitting.queue
    for row in range(6):
        for offered in sitting.proposals(row):
            rule = offered.proposal.rule
            rules = Rules(never=(rule,)) if isinstance(rule, NeverRule) else Rules(pairs=(rule,))
            (hit,) = removed(rules, queue.plans, queue.candidates)
            assert hit[row]
            assert 0 < offered.removes == hit.sum() < len(queue)
    codes = [offered.proposal.code for offered in sitting.proposals(0)]
    assert codes[0] in ("values", "same")  # the narrowest one of the labels first


@pytest.mark.parametrize("name", preset_names())
def test_a_rule_is_added_and_nothing_else_changes(name: str) -> None:
    text = preset_text(name)
    rule = PairRule(forbid="a.label = 'x: y' and b.label = '<b>''q'", why='no: "never" # 傷')
    added = with_rule(text, rule)
    lines = set(text.splitlines())
    assert lines <= set(added.splitlines())
    assert added.count("#") == text.count("#") + 1
    before, after = parse_rules(text, "a.yaml"), parse_rules(added, "a.yaml")
    assert after.pairs == (*before.pairs, rule)
    assert after.model_copy(update={"pairs": before.pairs}) == before
    assert parse_rules(without_rule(added, rule), "a.yaml") == before
    assert lines <= set(without_rule(added, rule).splitlines())


@given(value=words, why=words)
def test_any_text_survives(value: str, why: str) -> None:
    quoted = value.replace("'", "''")
    rules = [PairRule(forbid=f"a.label = '{quoted}'", why=why), NeverRule(when=f"label = '{quoted}'", why=why)]
    text = ""
    for rule in rules:
        text = with_rule(text, rule)
    read = parse_rules(text, "rules.yaml")
    assert (read.pairs, read.never) == ((rules[0],), (rules[1],))
    assert parse_rules(rule_yaml(rules[0]), "rules.yaml").pairs == (rules[0],)
    assert parse_rules(without_rule(text, rules[1]), "rules.yaml").pairs == (rules[0],)
    assert not parse_rules(without_rule(text, rules[0]), "rules.yaml").pairs


def test_rules_are_written_with_their_comments_where_their_file_is_there(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("# mine\nname: own\npairs:\n  - forbid: a.label <> b.label  # why not\n", "utf-8")
    rules = read_rules(file)
    assert rules_text(rules) == file.read_text("utf-8")
    file.unlink()
    assert parse_rules(rules_text(rules), "rules.yaml") == rules
    assert rules_text(read_rules("factory")) == preset_text("factory")
    assert rules_text(None) == ""
