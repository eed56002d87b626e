"""Checks of images that occur more than once: within training, and in training and a held-out split."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import MAX_EXAMPLES, Example, Finding
from clipc.audit.near_pairs import near_pairs
from clipc.audit.thumbnails import of_rows, row_list, signature
from clipc.compose.arrays import Bools, Float32s, Int64s
from clipc.compose.similarity.lookalike import MAX_DISTANCE, lookalikes

_MAX_DIFFERENCE: Final = 0.09
"""Near-identical images differ by at most this in :func:`~clipc.audit.thumbnails.signature`, on average.

Of photographs, satellite images, steel and pictograms 85% to 100% of the copies that were resized and compressed again
differ by less, and no two different images whose hashes are near do, such as neighbouring views of one beach.
"""
_MORE_BITS: Final = 4
"""So many more bits of the hashes may differ where images are compared as well: resizing changes up to eight."""
_MOST_COMPARED: Final = 20_000
_SERIOUS: Final = 0.05


def equal_images(data: DoctorData) -> Iterator[Finding]:
    """Images of which equal bytes occur more than once.

    - ``leaked-images``: in training and in a held-out split. The copies in training are left out of a cleaned list.
    - ``equal-images``: several times in training. A copy whose captions all belong to an earlier one is left out.
    - ``label-conflicts``: under different labels.
    """
    ids = data.catalog.image_ids
    trained = np.isin(ids, ids[data.train])
    leaked = np.flatnonzero(data.held_out & trained)
    if len(leaked):
        remove = np.flatnonzero(data.train & np.isin(ids, ids[leaked]))
        examples = [Example((int(remove[ids[remove] == ids[row]][0]), int(row))) for row in leaked[:MAX_EXAMPLES]]
        total = int(data.held_out.sum())
        severity = "stop" if len(leaked) >= _SERIOUS * total else "warning"
        values = _by_split(data, leaked)
        yield Finding("leaked-images", severity, len(leaked), total, values, examples, remove)
    rows = np.flatnonzero(data.train)
    _, first = np.unique(ids[rows], return_index=True)
    copies = np.setdiff1d(rows, rows[first])
    if len(copies):
        earliest = dict(zip(ids[rows[first]].tolist(), rows[first].tolist(), strict=True))
        examples = [Example((earliest[int(ids[row])], int(row))) for row in copies[:MAX_EXAMPLES]]
        severity = "warning" if len(copies) >= _SERIOUS * len(rows) else "note"
        remove = _without_own_captions(data, copies, earliest)
        yield Finding("equal-images", severity, len(copies), len(rows), {}, examples, remove)
    yield from _label_conflicts(data, ids)


def _without_own_captions(data: DoctorData, copies: Int64s, earliest: dict[int, int]) -> Int64s:
    """The copies all of whose captions belong to the first pair with their image."""
    catalog = data.catalog
    own = [
        row
        for row in copies.tolist()
        if not set(catalog.captions(row)) - set(catalog.captions(earliest[int(catalog.image_ids[row])]))
    ]
    return np.asarray(own, dtype=np.int64)


def _label_conflicts(data: DoctorData, ids: Int64s) -> Iterator[Finding]:
    if not data.catalog.about.label_columns:
        return
    repeated = np.flatnonzero(np.bincount(ids, minlength=len(ids))[ids] > 1)
    labels = data.catalog.table[data.catalog.about.label_columns[0]]
    groups: dict[int, list[int]] = {}
    for row in repeated.tolist():
        groups.setdefault(int(ids[row]), []).append(row)
    conflicts: list[Example] = []
    for rows in groups.values():
        names = [str(labels[row].as_py()) for row in rows]
        if len(set(names)) > 1:
            other = next(i for i, name in enumerate(names) if name != names[0])
            conflicts.append(Example((rows[0], rows[other]), " / ".join(sorted(set(names)))))
    if conflicts:
        yield Finding("label-conflicts", "warning", len(conflicts), len(groups), {}, conflicts[:MAX_EXAMPLES])


def near_images(data: DoctorData) -> Iterator[Finding]:
    """Images that are nearly equal, such as the same one re-encoded or resized: ``near-leaks`` and ``near-images``.

    Candidates have difference hashes within the distance of :func:`~clipc.compose.similarity.lookalike.lookalikes`. Of
    images that may be decoded, small copies are compared as well, since hashes of different images are near in sets of
    similar ones. Without that, sets in which near hashes are frequent are not judged, and no
    pair is left out of a cleaned list.
    """
    pairs = _candidates(data)
    if data.pixels and len(pairs):
        pairs = _alike(data, pairs[:_MOST_COMPARED])
    if not len(pairs):
        return
    held = data.held_out[pairs]
    train = data.train[pairs]
    across = pairs[(held[:, 0] & train[:, 1]) | (train[:, 0] & held[:, 1])]
    if len(across):
        sides = np.where(data.train[across[:, :1]], across, across[:, ::-1])  # the pair in training first
        leaked, first = np.unique(sides[:, 1], return_index=True)
        examples = [Example((int(a), int(b))) for a, b in sides[np.sort(first)][:MAX_EXAMPLES]]
        total = int(data.held_out.sum())
        values = {**_by_split(data, leaked), "compared": data.pixels}
        remove = np.unique(sides[:, 0]) if data.pixels else sides[:0, 0]
        yield Finding("near-leaks", "warning", len(leaked), total, values, examples, remove)
    within = pairs[train.all(axis=1)]
    if len(within):
        images, total = np.unique(within), int(data.train.sum())
        examples = [Example((int(a), int(b))) for a, b in within[:MAX_EXAMPLES]]
        severity = "warning" if len(images) >= _SERIOUS * total else "note"
        yield Finding("near-images", severity, len(images), total, {"compared": data.pixels}, examples)


def _candidates(data: DoctorData) -> Int64s:
    """Pairs of rows with different bytes and near hashes, the nearest first; shape (m, 2)."""
    test, nothing = lookalikes(data.catalog), np.zeros((0, 2), dtype=np.int64)
    if test.distance < 0 or not (data.pixels or test.distance == MAX_DISTANCE):
        return nothing
    # One row for each hash and side (training or not): further images with that hash are compared with this one.
    rows = np.flatnonzero(test.has_dhash & (data.catalog.image_ids == np.arange(len(data.catalog))))
    if not len(rows):
        return nothing
    order = rows[np.lexsort((rows, data.train[rows], test.dhash[rows]))]
    starts = np.concatenate(
        [[True], (np.diff(test.dhash[order]) != 0) | (np.diff(data.train[order].astype(np.int8)) != 0)]
    )
    first = order[starts]
    group = np.cumsum(starts) - 1
    repeated = np.stack([first[group[~starts]], order[~starts]], axis=1)
    near, _ = near_pairs(test.dhash[first], test.distance + _MORE_BITS * data.pixels)
    return np.concatenate([repeated, first[near]]) if len(near) else repeated


def _alike(data: DoctorData, pairs: Int64s) -> Int64s:
    """Those pairs whose images look the same."""
    rows = row_list(pairs.ravel())
    what = "comparing near-duplicates"
    made: dict[int, Float32s] = of_rows(data.catalog, rows, signature, at_least=32, what=what, progress=data.progress)
    keep: Bools = np.asarray(
        [
            a in made and b in made and float(np.abs(made[a] - made[b]).mean()) <= _MAX_DIFFERENCE
            for a, b in pairs.tolist()
        ],
        dtype=np.bool_,
    )
    return pairs[keep]


def _by_split(data: DoctorData, rows: Int64s) -> dict[str, Any]:
    """How many of some rows are in each held-out split."""
    return {name: int((data.splits[rows] == name).sum()) for name in ("val", "test")}
