"""Checks of images that occur more than once: within training, and in training and a held-out split."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import MAX_EXAMPLES, Example, Finding
from clipc.audit.thumbnails import mirrored, of_rows, row_list, small_copy, standardised
from clipc.catalog.images.inspect_images import mirrored_hashes
from clipc.compose.arrays import Float32s, Int64s
from clipc.compose.similarity.lookalike import MAX_DISTANCE, Lookalikes, lookalikes
from clipc.compose.similarity.near_pairs import near_matches, near_pairs
from clipc.render.texts import names_a_side

_MAX_DIFFERENCE: Final = 0.09
"""Standardised small copies of near-identical images differ by at most this on average.

Of photographs, satellite images, steel and pictograms 85% to 100% of the copies that were resized and compressed again
differ by less, and no two different images whose hashes are near do, such as neighbouring views of one beach.
"""
_MAX_LEVELS: Final = 32.0
"""Nor do their pixels differ by more than this on average, of 255: a copy may be retouched, but no other tone."""
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
    test = lookalikes(data.catalog)
    pairs = _candidates(data, test)
    if data.pixels:
        pairs = _alike(data, pairs)
    yield from _findings(data, pairs, "near-leaks", "near-images")


def mirrored_images(data: DoctorData) -> Iterator[Finding]:
    """Images that are another one mirrored left to right, as augmentation on disk leaves them.

    The codes are ``mirrored-leaks`` and ``mirrored-images``. The hash of the mirrored image follows from that of the
    image; the images themselves are compared, so there is no such finding where they may not be decoded. Pairs whose
    captions name a side are no copies: a left arrow mirrored is a right one.

    Of photographs, satellite images and steel that were mirrored and compressed again 92% to 99% are candidates; of
    pictograms 40%, since on a plain background neighbouring pixels are equal, and mirroring changes other bits.
    """
    test = lookalikes(data.catalog)
    if not data.pixels or test.distance < 0:
        return
    first, _ = _distinct(data, test)
    if not len(first):
        return
    hashes = test.dhash[first]
    near, _ = near_matches(hashes, mirrored_hashes(hashes), test.distance + _MORE_BITS)
    # Mirroring is its own inverse, so each pair is there twice; a symmetric image matches itself.
    pairs = first[near[near[:, 0] < near[:, 1]]]
    # Near-copies of a symmetric image match mirrored too, and are findings of their own.
    direct = np.bitwise_count(test.dhash[pairs[:, 0]] ^ test.dhash[pairs[:, 1]])
    pairs = pairs[direct > test.distance + _MORE_BITS]
    sided = [any(names_a_side(text) for row in pair for text in data.catalog.captions(row)) for pair in pairs.tolist()]
    pairs = _alike(data, pairs[~np.asarray(sided, dtype=np.bool_)], mirror=True)
    yield from _findings(data, pairs, "mirrored-leaks", "mirrored-images")


def _findings(data: DoctorData, pairs: Int64s, leaks: str, images: str) -> Iterator[Finding]:
    """The findings of pairs of images: in training and a held-out split, and in training alone."""
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
        yield Finding(leaks, "warning", len(leaked), total, values, examples, remove)
    within = pairs[train.all(axis=1)]
    if len(within):
        members, total = np.unique(within), int(data.train.sum())
        examples = [Example((int(a), int(b))) for a, b in within[:MAX_EXAMPLES]]
        severity = "warning" if len(members) >= _SERIOUS * total else "note"
        yield Finding(images, severity, len(members), total, {"compared": data.pixels}, examples)


def _candidates(data: DoctorData, test: Lookalikes) -> Int64s:
    """Pairs of rows with different bytes and near hashes, the nearest first; shape (m, 2)."""
    if test.distance < 0 or not (data.pixels or test.distance == MAX_DISTANCE):
        return np.zeros((0, 2), dtype=np.int64)
    first, repeated = _distinct(data, test)
    if not len(first):
        return repeated
    near, _ = near_pairs(test.dhash[first], test.distance + _MORE_BITS * data.pixels)
    return np.concatenate([repeated, first[near]]) if len(near) else repeated


def _distinct(data: DoctorData, test: Lookalikes) -> tuple[Int64s, Int64s]:
    """One row for each hash and side (training or not), and the pairs of such a row with others of that hash."""
    rows = np.flatnonzero(test.has_dhash & (data.catalog.image_ids == np.arange(len(data.catalog))))
    if not len(rows):
        return rows.astype(np.int64), np.zeros((0, 2), dtype=np.int64)
    order = rows[np.lexsort((rows, data.train[rows], test.dhash[rows]))]
    starts = np.concatenate(
        [[True], (np.diff(test.dhash[order]) != 0) | (np.diff(data.train[order].astype(np.int8)) != 0)]
    )
    first = order[starts]
    group = np.cumsum(starts) - 1
    return first, np.stack([first[group[~starts]], order[~starts]], axis=1)


def _alike(data: DoctorData, pairs: Int64s, *, mirror: bool = False) -> Int64s:
    """Those pairs, of the first 20,000, whose images look the same, or one mirrored like the other."""
    pairs = pairs[:_MOST_COMPARED]
    rows = row_list(pairs.ravel())
    what = "comparing near-duplicates"
    made: dict[int, Float32s] = of_rows(data.catalog, rows, small_copy, at_least=32, what=what, progress=data.progress)
    other = {row: mirrored(each) for row, each in made.items()} if mirror else made
    keep = [a in made and b in made and _same(made[a], other[b]) for a, b in pairs.tolist()]
    return pairs[np.asarray(keep, dtype=np.bool_)]


def _same(one: Float32s, other: Float32s) -> bool:
    """Whether two small copies show the same, nearly as bright: a white square is no copy of a black one."""
    if float(np.abs(one - other).mean()) > _MAX_LEVELS:
        return False
    return float(np.abs(standardised(one) - standardised(other)).mean()) <= _MAX_DIFFERENCE


def _by_split(data: DoctorData, rows: Int64s) -> dict[str, Any]:
    """How many of some rows are in each held-out split."""
    return {name: int((data.splits[rows] == name).sum()) for name in ("val", "test")}
