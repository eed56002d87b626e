"""The effect of each rule, estimated on a random sample of candidates."""

import re
from typing import Any, Final

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Int32s
from clipc.compose.entries import Candidates, Entries
from clipc.compose.layouts.tiles import LEFT_RIGHT, TOP_BOTTOM
from clipc.compose.partners.pools import group_pools
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compiled import CompiledRules, Exclusion, ImageConstraint, PairConstraint
from clipc.compose.rules.conditions import EitherOrder, Query, Test
from clipc.compose.rules.joint import JointCaption

MAX_EXAMPLES: Final = 3
"""Examples for each rule."""

_SLOW: Final = 20_000
"""Sample size if a rule reads the text of each candidate."""

_NAME: Final = re.compile(r"\b(?!captions?\b|key\b)[^\W\d]\w*")


def effects(compiled_rules: CompiledRules, catalog: Catalog, seed: int = 0, most: int = 100_000) -> dict[str, Any]:
    """The share of all possible composites that rules allow, and the share that each rule removes.

    Candidates are ordered pairs of two different pairs, each with one of its captions, drawn uniformly;
    the error of a share is about 0.3 points with 100,000 of them, and about 0.7 with the 20,000 that are drawn if a
    rule reads each joint caption. Partners are drawn differently (from the group, if rules
    define groups), so a rule that removes nearly everything need not leave any row plain.

    Args:
        compiled_rules: The rules, bound to the catalog.
        catalog: The training pairs.
        seed: Equal seeds draw equal candidates.
        most: The largest sample size.

    Returns:
        ``candidates``; how many of them are ``allowed`` and their ``share``; the ``constraints``, in the order of the
        file, with ``text``, ``why``, ``line``, how many candidates each one ``removed``, the ``share``, how many
        ``only`` it removed, and three ``examples`` (for ``first`` and ``second`` the ``key``, the ``caption`` and the
        ``values`` of the data's columns that the rule names);
        the ``exclusions``, with ``text``, ``why``, ``line``, how many ``pairs`` and ``captions`` stay plain by them,
        the ``share`` of all captions, and three ``examples`` as above; the ``shapes`` (rules on how images are
        shown, with the ``pairs`` and the ``share`` of captions that they hold for, and on how captions are joined, with
        the ``share`` of candidates); and the ``groups`` (see :func:`group_sizes`), None where no rule makes any.
    """
    entries = Entries.of(catalog)
    if any(_slow(constraint.test) for constraint in compiled_rules.constraints):
        most = min(most, _SLOW)
    sample = _draw(compiled_rules, entries, seed, most if len(entries.counts) > 1 else 0)
    never = compiled_rules.never[sample.first] | compiled_rules.never[sample.second]
    broken = np.stack([never, *(constraint.test.broken(sample) for constraint in compiled_rules.constraints)])
    times = broken.sum(axis=0)
    allowed = int((times == 0).sum())
    rows = entries.rows()
    columns = set(CatalogColumns(catalog).names) - {"caption", "captions"}

    def example(entry: int, rule: str) -> dict[str, Any]:
        row = int(rows[entry])
        names = list(dict.fromkeys(_NAME.findall(rule)))
        values = {name: compiled_rules.fields[name][entry].as_py() for name in names if name in compiled_rules.fields}
        values |= {name: catalog.table[name][row].as_py() for name in names if name in columns}
        return {
            "key": catalog.keys[row],
            "caption": catalog.caption(row, entry - int(entries.first[row])),
            "values": {name: "" if value is None else str(value) for name, value in values.items()},
        }

    def constraint(rule: PairConstraint, hit: Bools) -> dict[str, Any]:
        only = hit & (times == 1)
        # Candidates that only this rule removes illustrate it best.
        best = np.concatenate([np.flatnonzero(only), np.flatnonzero(hit & ~only)])[:MAX_EXAMPLES]
        return {
            **rule.description(),
            "removed": int(hit.sum()),
            "share": int(hit.sum()) / max(1, len(hit)),
            "only": int(only.sum()),
            "examples": [
                {"first": example(int(sample.first[i]), rule.text), "second": example(int(sample.second[i]), rule.text)}
                for i in best
            ],
        }

    def exclusion(rule: Exclusion) -> dict[str, Any]:
        hits = np.flatnonzero(rule.entries)
        pairs, first = np.unique(rows[hits], return_index=True)
        return {
            **rule.description(),
            "pairs": len(pairs),
            "captions": len(hits),
            "share": len(hits) / max(1, len(rows)),
            "examples": [example(entry, rule.text) for entry in hits[first[:MAX_EXAMPLES]].tolist()],
        }

    def image_constraint(rule: ImageConstraint) -> dict[str, Any]:
        hits = np.flatnonzero(rule.entries)
        pairs, share = len(np.unique(rows[hits])), len(hits) / max(1, len(rows))
        return {**rule.description(), "pairs": pairs, "share": share}

    times_used = np.bincount(compiled_rules.wording(sample), minlength=len(compiled_rules.wording_rules) + 1)
    wording_rules = [
        {**rule.description(), "pairs": None, "share": float(count / max(1, len(sample)))}
        for rule, count in zip(compiled_rules.wording_rules, times_used[1:], strict=True)
    ]
    broken_by = zip(compiled_rules.constraints, broken[1:], strict=True)
    return {
        "candidates": len(sample),
        "allowed": allowed,
        "share": allowed / max(1, len(sample)),
        "constraints": [constraint(rule, hit) for rule, hit in broken_by],
        "exclusions": [exclusion(rule) for rule in compiled_rules.exclusions],
        "shapes": [*map(image_constraint, compiled_rules.image_constraints), *wording_rules],
        "groups": None if compiled_rules.groups is None else group_sizes(compiled_rules.groups, entries),
    }


def group_sizes(codes: Int32s, entries: Entries) -> dict[str, Any]:
    """The sizes of the groups within which partners are drawn.

    Args:
        codes: The group of each entry, -1 where it is unknown.
        entries: The entries.

    Returns:
        How many ``groups`` there are; the ``median`` and ``largest`` number of pairs in one; how many pairs are
        ``alone`` (in no group with another one), and of how many the group is ``unknown``.
    """
    sizes = group_pools(codes, entries.counts).sizes
    rows = entries.rows()
    company = np.zeros(len(entries.counts), dtype=np.int64)
    grouped = codes >= 0
    np.maximum.at(company, rows[grouped], sizes[codes[grouped]])
    return {
        "groups": len(sizes),
        "median": int(np.percentile(sizes, 50, method="higher")) if len(sizes) else 0,
        "largest": int(sizes.max(initial=0)),
        "alone": int((company == 1).sum()),
        "unknown": int((company == 0).sum()),
    }


def _slow(test: Test) -> bool:
    """Whether a rule is evaluated by DuckDB for each candidate."""
    return isinstance(test, JointCaption) or (isinstance(test, EitherOrder) and isinstance(test.condition, Query))


def _draw(compiled_rules: CompiledRules, entries: Entries, seed: int, n: int) -> Candidates:
    """Random candidates; the axis is the rules', else random."""
    generator = np.random.Generator(np.random.Philox(seed))
    pairs = len(entries.counts)
    first = generator.integers(pairs, size=n) if n else np.zeros(0, dtype=np.int64)
    second = (first + generator.integers(1, pairs, size=n)) % pairs if n else first
    one = entries.first[first] + entries.choice(first, generator.random(n))
    other = entries.first[second] + entries.choice(second, generator.random(n))
    drawn = generator.choice(np.array([LEFT_RIGHT, TOP_BOTTOM], dtype=np.uint8), n)
    return Candidates(one, other, compiled_rules.cut(one, other, drawn)[0], generator.random(n) < 0.5)
