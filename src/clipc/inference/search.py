"""Search among the images of a source by a sentence or an image, with what a score is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.array_cache import cached_array
from clipc.compose.arrays import Bools, Bytes, Float32s
from clipc.errors import UserError
from clipc.evaluate.embed import embed_texts
from clipc.inference.image_index import ImageIndex
from clipc.progress import Progress, silent

WEAK: Final = 0.1
"""A hit is weak where no more than this share of images score as low with a caption of their own."""

_PAIRS_COMPARED: Final = 1000
_LONGEST_QUERY: Final = 2000


@dataclass(frozen=True)
class Hit:
    """An image that was found.

    Attributes:
        row: Its row in the catalog.
        key: Its key.
        score: Its cosine with the query.
        typical: The share of images that score lower with a caption of their own, in [0, 1]; None for a query by image,
            or where too few pairs are known.
        captions: Its captions.
        label: Its label, if it has one.
    """

    row: int
    key: str
    score: float
    typical: float | None
    captions: list[str]
    label: str | None

    @property
    def weak(self) -> bool:
        """Whether the score is so low that perhaps nothing here matches the query."""
        return self.typical is not None and self.typical <= WEAK


@dataclass(frozen=True, eq=False)
class ImageSearch:
    """A search among the images of an index.

    Attributes:
        index: The embeddings.
        cache: The cache folder; None for the default one.
        progress: Called with the number of captions encoded.
    """

    index: ImageIndex
    cache: Path | None = None
    progress: Progress = silent

    def for_text(self, text: str, count: int = 12, among: Bools | None = None) -> list[Hit]:
        """The images that match a sentence best, the best first.

        Args:
            text: The sentence.
            count: How many images are wanted.
            among: Whether each pair may be an answer, shape (n,).

        Raises:
            UserError: The sentence is empty or very long.
        """
        text = text.strip()
        if not text or len(text) > _LONGEST_QUERY:
            raise UserError(f"a query is a sentence of 1 to {_LONGEST_QUERY:,} characters, not of {len(text):,}.")
        query = embed_texts(self.index.model.clip, [text]).numpy()
        return self._hits(query, count, among, self.own_scores)

    def for_image(self, image: Bytes, count: int = 12, among: Bools | None = None) -> list[Hit]:
        """The images that are most similar to an image, the most similar first.

        Args:
            image: RGB ``uint8``, shape (height, width, 3).
            count: How many images are wanted.
            among: Whether each pair may be an answer, shape (n,).
        """
        return self._hits(encode_one(self.index, image), count, among, np.empty(0, np.float32))

    def for_row(self, row: int, count: int = 12) -> list[Hit]:
        """The images that are most similar to one of the source's own, without that one.

        Args:
            row: A row of the catalog.
            count: How many images are wanted.

        Raises:
            UserError: There is no such row.
        """
        if not 0 <= row < len(self.index):
            raise UserError(f"there is no row {row}; rows count from 0 to {len(self.index) - 1}.")
        query = self.index.features(np.array([row]))
        hits = self._hits(query, count + 1, None, np.empty(0, np.float32))
        same = self.index.catalog.table["content"]
        return [hit for hit in hits if same[hit.row] != same[row]][:count]

    @cached_property
    def own_scores(self) -> Float32s:
        """The cosines of up to 1,000 images with their own first captions, ascending: what a right answer scores.

        They are of the validation split where there is one, because a model scores the pairs that it was trained on
        higher; else of all pairs. Empty for fewer than 20 images with captions, and where all captions are equal, which
        then say nothing of their images.
        """
        catalog = self.index.catalog
        held_out = next((name for name in ("val", "test") if catalog.splits.get(name, 0) >= 20), None)
        captioned = catalog.caption_counts > 0
        rows = np.flatnonzero(captioned & (catalog.split_names == held_out) if held_out else captioned)
        if len(rows) < 20:
            return np.empty(0, np.float32)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _PAIRS_COMPARED)).astype(np.int64)]
        captions = [catalog.caption(int(row), 0) for row in rows]
        if len(set(captions)) == 1:
            return np.empty(0, np.float32)

        def compute() -> npt.NDArray[np.float32]:
            texts = embed_texts(self.index.model.clip, captions, progress=self.progress).numpy()
            return np.sort((texts * self.index.features(rows)).sum(axis=1)).astype(np.float32)

        key = f"{self.index.model.fingerprint} {catalog.fingerprint} {held_out}"
        return cached_array("own-scores", key, compute, self.cache)

    def _hits(self, query: Float32s, count: int, among: Bools | None, own: Float32s) -> list[Hit]:
        nearest = self.index.nearest(query, count, among)[0]
        below: Sequence[float | None] = (
            (np.searchsorted(own, nearest.scores) / len(own)).tolist() if len(own) else [None] * len(nearest.rows)
        )
        catalog, labels = self.index.catalog, self.index.catalog.table["label"]
        return [
            Hit(row, catalog.table["key"][row].as_py(), score, share, catalog.captions(row), labels[row].as_py())
            for row, score, share in zip(nearest.rows.tolist(), nearest.scores.tolist(), below, strict=True)
        ]


def encode_one(index: ImageIndex, image: Bytes) -> Float32s:
    """The embedding of an image, L2-normalised, ``float32``, shape (1, D).

    Args:
        index: The index, for its model.
        image: RGB ``uint8``, shape (height, width, 3).
    """
    with torch.inference_mode():
        return index.model.clip.encode_image([image]).cpu().numpy()
