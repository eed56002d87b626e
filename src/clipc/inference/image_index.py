"""The image embeddings of a source: computed once for each model and image, and searched exactly."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clipc.array_cache import KeyedRows
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Float32s, Int64s
from clipc.evaluate.embed import embed_images
from clipc.inference.used_model import UsedModel
from clipc.progress import Progress, silent

VERSION: Final = 1
"""Increased whenever the same model and image would give another embedding."""

_ENCODED_AT_ONCE: Final = 1024
_SCORES_AT_ONCE: Final = 1 << 16


class Nearest(NamedTuple):
    """The most similar images of one query, the most similar first.

    Attributes:
        rows: Rows of the catalog, ``int64``, shape (k,). Of equal images there is only the first.
        scores: Their cosines, ``float32``, shape (k,).
    """

    rows: Int64s
    scores: Float32s


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """The embeddings of a catalog's images.

    Attributes:
        model: The model.
        catalog: The pairs.
        values: Embeddings of these images, and perhaps of others, L2-normalised, ``float32``, shape (m, D); it may be
            memory-mapped and larger than the memory.
        places: The row in ``values`` of each pair, ``int64``, shape (n,).
    """

    model: UsedModel
    catalog: Catalog
    values: npt.NDArray[np.float32]
    places: Int64s

    @classmethod
    def of(
        cls, model: UsedModel, catalog: Catalog, *, cache: Path | None = None, progress: Progress = silent
    ) -> "ImageIndex":
        """The index of a catalog; only images that the model has never encoded are encoded now.

        Embeddings are kept by model and by the content of the image file. A source that grew costs its new images,
        and sources that share images share their embeddings.

        Args:
            model: The model.
            catalog: The pairs.
            cache: The cache folder; None for the default one.
            progress: Called with the number of images encoded.

        Raises:
            UserError: An image cannot be read, or the disk is full; what is done is kept.
        """
        encoder, done = model.image_encoder(cache, progress), 0
        contents = catalog.table["content"].to_numpy()
        scale = sorted(catalog.about.intensity.items())
        width = int(model.clip.encode_text(["a"]).shape[1])
        key = f"{VERSION} {model.fingerprint} {type(encoder).__name__} {scale}"
        store = KeyedRows.of("image-embeddings", key, (width,), cache, np.float32)
        missing = len(store.missing(contents))

        def encode(rows: Int64s) -> Float32s:
            nonlocal done
            begun = done

            def report(what: str, now: int, total: int) -> None:
                progress(what, begun + now, missing if total == len(rows) else total)

            features = embed_images(encoder, catalog.take(rows), progress=report)
            done += len(rows)
            return features.numpy()

        store.add(contents, encode, at_once=_ENCODED_AT_ONCE)
        return cls(model, catalog, *store.read(contents))

    def __len__(self) -> int:
        return len(self.places)

    def features(self, rows: Int64s | None = None) -> Float32s:
        """The embeddings of these pairs, or of all, in memory, shape (k, D)."""
        return np.asarray(self.values[self.places if rows is None else self.places[rows]])

    def nearest(self, queries: Float32s, count: int, among: Bools | None = None) -> list[Nearest]:
        """The images with the largest cosines for each query, by matrix products over blocks of the embeddings.

        It is exact. The memory it takes does not grow with the number of images but for one number for each.

        Args:
            queries: L2-normalised, ``float32``, shape (q, D).
            count: How many images are wanted for each query.
            among: Whether each pair may be an answer, shape (n,); all may by default.
        """
        first, last, row_of = self._span if among is None else self._spanned(np.flatnonzero(among))
        count = min(count, int(np.count_nonzero(row_of >= 0)))
        if count == 0:
            return [Nearest(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        best = [Nearest(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        gaps = bool((row_of < 0).any())
        for start in range(first, last, _SCORES_AT_ONCE):
            stop = min(last, start + _SCORES_AT_ONCE)
            scores = queries @ self.values[start:stop].T
            rows = row_of[start - first : stop - first]
            if gaps:
                scores[:, rows < 0] = -np.inf
            best = [_merge(one, rows, line, count) for one, line in zip(best, scores, strict=True)]
        return best

    @cached_property
    def _span(self) -> tuple[int, int, Int64s]:
        return self._spanned(np.arange(len(self.places)))

    def _spanned(self, rows: Int64s) -> tuple[int, int, Int64s]:
        """The first and the last place (exclusive) of some pairs, and the first pair at each place between, or -1.

        Places between that belong to other sources are passed over. They are searched too, because reading in order is
        several times as fast as reading here and there.
        """
        if not len(rows):
            return 0, 0, np.empty(0, np.int64)
        places = self.places[rows]
        first, last = int(places.min()), int(places.max()) + 1
        row_of = np.full(last - first, -1, np.int64)
        row_of[places[::-1] - first] = rows[::-1]
        return first, last, row_of


def _merge(best: Nearest, rows: Int64s, scores: npt.NDArray[Any], count: int) -> Nearest:
    if len(scores) > count:
        chosen = np.argpartition(-scores, count - 1)[:count]
        rows, scores = rows[chosen], scores[chosen]
    kept = rows >= 0
    rows, scores = np.concatenate([best.rows, rows[kept]]), np.concatenate([best.scores, scores[kept]])
    order = np.lexsort((rows, -scores))[:count]
    return Nearest(rows[order], scores[order])
