"""What each rule removes, told on a random sample of candidates."""

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.compose.entries import Entries, Proposed
from clipc.compose.layouts.tiles import LEFT_RIGHT, TOP_BOTTOM
from clipc.compose.partners.pools import groups
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compiled import CompiledRules, EitherOrder, Exclusion, ImageConstraint, PairConstraint, Test
from clipc.compose.rules.conditions import Query
from clipc.compose.rules.joint import JointCaption

SHOWN: Final = 3
"""How many examples of each rule are told."""

_SLOW: Final = 20_000
"""Candidates where a rule has to look at the text of each."""

_NAME: Final = re.compile(r"\b(?!captions?\b|key\b)[^\W\d]\w*")


def removed(
    compiled_rules: CompiledRules, catalog: Catalog, seed: int = 0, candidates: int = 100_000
) -> dict[str, Any]:
    """What rules leave of all possible composites, and what each of them takes away.

    Candidates are ordered pairs of two different pairs, each with one of its captions, all drawn with equal
    chance; with 100,000 of them a share is right to about 0.3 points, with the 20,000 that are drawn where a rule
    reads each joint caption to about 0.7. Partners are not drawn like this (those of a
    group come from that group), so a rule that removes nearly everything need not leave anything plain.

    Args:
        compiled_rules: The rules, bound to the catalog.
        catalog: The training pairs.
        seed: Equal seeds draw equal candidates.
        candidates: How many are drawn at the most.

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
    candidates = min(candidates, _SLOW) if any(_slow(ban.test) for ban in compiled_rules.constraints) else candidates
    proposed = _draw(compiled_rules, entries, seed, candidates if len(entries.counts) > 1 else 0)
    never = compiled_rules.never[proposed.first] | compiled_rules.never[proposed.second]
    broken = np.stack([never, *(ban.test.broken(proposed) for ban in compiled_rules.constraints)])
    times = broken.sum(axis=0)
    allowed = int((times == 0).sum())
    rows = entries.rows()
    known = set(CatalogColumns(catalog).names) - {"caption", "captions"}

    def told(entry: int, rule: str) -> dict[str, Any]:
        row = int(rows[entry])
        named = list(dict.fromkeys(_NAME.findall(rule)))
        values = {name: compiled_rules.fields[name][entry].as_py() for name in named if name in compiled_rules.fields}
        values |= {name: catalog.table[name][row].as_py() for name in named if name in known}
        return {
            "key": catalog.keys[row],
            "caption": catalog.caption(row, entry - int(entries.first[row])),
            "values": {name: "" if value is None else str(value) for name, value in values.items()},
        }

    def ban(rule: PairConstraint, hit: npt.NDArray[np.bool_]) -> dict[str, Any]:
        only = hit & (times == 1)
        # What nothing else removes shows best what this rule is for.
        best = np.concatenate([np.flatnonzero(only)[:SHOWN], np.flatnonzero(hit & ~only)[:SHOWN]])[:SHOWN]
        return {
            "text": rule.text,
            "why": rule.why,
            "line": rule.line,
            "removed": int(hit.sum()),
            "share": int(hit.sum()) / max(1, len(hit)),
            "only": int(only.sum()),
            "examples": [
                {"first": told(first, rule.text), "second": told(second, rule.text)}
                for first, second in zip(proposed.first[best].tolist(), proposed.second[best].tolist(), strict=True)
            ],
        }

    def plain(rule: Exclusion) -> dict[str, Any]:
        held = np.flatnonzero(rule.entries)
        pairs, first = np.unique(rows[held], return_index=True)
        return {
            "text": rule.text,
            "why": rule.why,
            "line": rule.line,
            "pairs": len(pairs),
            "captions": len(held),
            "share": len(held) / max(1, len(rows)),
            "examples": [told(entry, rule.text) for entry in held[first[:SHOWN]].tolist()],
        }

    def shape(rule: ImageConstraint) -> dict[str, Any]:
        held = np.flatnonzero(rule.entries)
        pairs, share = len(np.unique(rows[held])), len(held) / max(1, len(rows))
        return {"text": rule.text, "why": rule.why, "line": rule.line, "pairs": pairs, "share": share}

    applied = np.bincount(compiled_rules.wording(proposed), minlength=len(compiled_rules.wording_rules) + 1) / max(
        1, len(proposed)
    )
    wording_rules = [
        {"text": rule.text, "why": rule.why, "line": rule.line, "pairs": None, "share": float(share)}
        for rule, share in zip(compiled_rules.wording_rules, applied[1:], strict=True)
    ]
    return {
        "candidates": len(proposed),
        "allowed": allowed,
        "share": allowed / max(1, len(proposed)),
        "constraints": [ban(rule, hit) for rule, hit in zip(compiled_rules.constraints, broken[1:], strict=True)],
        "exclusions": [plain(rule) for rule in compiled_rules.exclusions],
        "shapes": [*map(shape, compiled_rules.shaped), *wording_rules],
        "groups": None if compiled_rules.groups is None else group_sizes(compiled_rules.groups, entries),
    }


def group_sizes(codes: npt.NDArray[np.int32], entries: Entries) -> dict[str, Any]:
    """How pairs fall into the groups within which partners are drawn.

    Args:
        codes: The group of each entry, -1 where it is unknown.
        entries: The entries.

    Returns:
        How many ``groups`` there are; the ``median`` and ``largest`` number of pairs in one; how many pairs are
        ``alone`` (in no group with another one), and of how many the group is ``unknown``.
    """
    sizes = groups(codes, entries.counts).sizes
    rows = entries.rows()
    company = np.zeros(len(entries.counts), dtype=np.int64)
    known = codes >= 0
    np.maximum.at(company, rows[known], sizes[codes[known]])
    return {
        "groups": len(sizes),
        "median": int(np.percentile(sizes, 50, method="higher")) if len(sizes) else 0,
        "largest": int(sizes.max(initial=0)),
        "alone": int((company == 1).sum()),
        "unknown": int((company == 0).sum()),
    }


def _slow(test: Test) -> bool:
    """Whether a rule must be asked about each candidate, and not only looked up."""
    return isinstance(test, JointCaption) or (isinstance(test, EitherOrder) and isinstance(test.condition, Query))


def _draw(compiled_rules: CompiledRules, entries: Entries, seed: int, n: int) -> Proposed:
    """Candidates; the axis is what rules ask for, else drawn."""
    generator = np.random.Generator(np.random.Philox(seed))
    pairs = len(entries.counts)
    first = generator.integers(pairs, size=n) if n else np.zeros(0, dtype=np.int64)
    second = (first + generator.integers(1, pairs, size=n)) % pairs if n else first
    one = entries.first[first] + entries.choice(first, generator.random(n))
    other = entries.first[second] + entries.choice(second, generator.random(n))
    drawn = generator.choice(np.array([LEFT_RIGHT, TOP_BOTTOM], dtype=np.uint8), n)
    return Proposed(one, other, compiled_rules.cut(one, other, drawn)[0], generator.random(n) < 0.5)
