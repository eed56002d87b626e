"""Tables that plans read: vectors for the choice of partners, and the part of each image that fits its captions."""

from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from clipc.array_cache import cached_array
from clipc.catalog.catalog import Catalog
from clipc.compose.similarity import caption_vectors as caption_vectors_module
from clipc.compose.similarity.caption_vectors import caption_vectors, unit_rows
from clipc.compose.similarity.column import column_vectors
from clipc.errors import UserError
from clipc.evaluate.embed import Encoder, embed_images, embed_texts, read_image
from clipc.models.device import choose_device
from clipc.models.fingerprints import folder_fingerprint
from clipc.models.model import ClipModel
from clipc.models.model_config import LOCAL_DIR_PREFIX, find_start, model_folder
from clipc.progress import Progress, silent
from clipc.render.evaluation_view import Resizing

EncodedInput = Literal["image", "text", "mean"]
"""What a model encodes of a pair: its image, its captions, or both, whose embeddings are averaged."""
Floats = npt.NDArray[np.float32]

VERSION: Final = 1
"""Increased whenever the same model would give other vectors or bands, so that cached ones are computed again."""

_SLICE = 16_384
_BANDS_AT_ONCE = 32
# Ordered from the centre outwards, so that argmax breaks ties in favour of the centre.
_STARTS = np.array([0.25, 0.125, 0.375, 0.0, 0.5])


def partner_vectors(
    catalog: Catalog, embedding: str, encoded: EncodedInput, cache: Path | None = None, progress: Progress = silent
) -> Floats:
    """The vectors whose cosines measure how similar two pairs are, for the choice of partners.

    Args:
        catalog: The pairs of the training split.
        embedding: ``captions`` (TF-IDF and SVD, no weights needed), ``column:NAME`` (the user's own vectors), or the
            folder of an open_clip model.
        encoded: What a model encodes: ``image``, ``text`` (the mean over the captions), or ``mean`` of both embeddings.
        cache: The cache folder; None for the default one.
        progress: Called with the number of pairs done.

    Returns:
        ``float32``, shape (n, d): unit rows, zero for a pair without a vector.

    Raises:
        UserError: There is no such column or model, the column holds no vectors, or an image cannot be read any more.
    """
    if embedding == "captions":
        fingerprint = f"{caption_vectors_module.VERSION} {catalog.fingerprint}"
        make = partial(caption_vectors, catalog.column("captions"), progress=progress)
        return cached_array("caption-vectors", fingerprint, make, cache)
    if embedding.startswith("column:"):
        return column_vectors(catalog, embedding.removeprefix("column:"))
    if not Path(embedding).is_dir():
        raise UserError(f"unknown embedding {embedding!r}; use captions, column:NAME or the folder of a model.")
    return model_vectors(embedding, catalog, encoded, cache, progress)


def model_vectors(
    folder: str | Path, catalog: Catalog, encoded: EncodedInput, cache: Path | None = None, progress: Progress = silent
) -> Floats:
    """The embeddings of pairs by a model, cached on disk.

    Args:
        folder: A run's folder, or a model's.
        catalog: The pairs.
        encoded: As for :func:`partner_vectors`.
        cache: The cache folder; None for the default one.
        progress: Called with the number of pairs done.

    Returns:
        Unit rows, ``float32``, shape (n, d).

    Raises:
        UserError: The folder holds no model, or an image cannot be read any more.
    """
    fingerprint = f"{VERSION} {folder_fingerprint(folder)} {catalog.fingerprint} {encoded}"
    resizing = Resizing.of(find_start(f"{LOCAL_DIR_PREFIX}{model_folder(folder)}").preprocess)
    if encoded != "text" and resizing != Resizing():
        # The default is not part of the fingerprint, so that caches from before it had `Resizing` stay valid.
        fingerprint += f" {' '.join(map(str, resizing))}"
    return cached_array(
        "model-vectors", fingerprint, lambda: embed_pairs(_load(folder), catalog, encoded, progress), cache
    )


def relevant_bands(
    folder: str | Path, catalog: Catalog, cache: Path | None = None, progress: Progress = silent
) -> Floats:
    """The bands of each image that are most similar to its captions according to a model, cached on disk.

    Args:
        folder: A run's folder, or a model's.
        catalog: The pairs.
        cache: The cache folder; None for the default one.
        progress: Called with the number of images done.

    Returns:
        The bands, as :func:`best_bands` returns them.

    Raises:
        UserError: The folder holds no model, or an image cannot be read any more.
    """
    fingerprint = f"{VERSION} {folder_fingerprint(folder)} {catalog.fingerprint}"
    return cached_array("relevant-bands", fingerprint, lambda: best_bands(_load(folder), catalog, progress), cache)


def embed_pairs(model: Encoder, catalog: Catalog, encoded: EncodedInput, progress: Progress = silent) -> Floats:
    """One vector per pair: the embedding of its image, the mean over its captions, or the mean of both.

    Args:
        model: The model, in evaluation mode.
        catalog: The pairs, one or more.
        encoded: As for :func:`partner_vectors`.
        progress: Called with the number of pairs done.

    Returns:
        Unit rows, ``float32``, shape (n, d).

    Raises:
        UserError: An image cannot be read any more.
    """
    parts: list[Floats] = []
    # Slices, because the vectors of all captions of a million pairs would not fit into memory.
    for start in range(0, len(catalog), _SLICE):
        part = catalog.take(range(start, min(start + _SLICE, len(catalog))))
        vectors: list[Floats] = []
        if encoded != "text":
            part_progress = _offset_progress(start, len(catalog), progress)
            vectors.append(embed_images(model, part, progress=part_progress).numpy())
        if encoded != "image":
            vectors.append(_mean_caption_vectors(model, part))
            progress("pairs with captions encoded", start + len(part), len(catalog))
        parts.append(unit_rows(np.stack(vectors).sum(axis=0)))
    return np.concatenate(parts)


def best_bands(model: Encoder, catalog: Catalog, progress: Progress = silent) -> Floats:
    """The vertical band (half the width) and the horizontal one (half the height) that fit the captions best.

    Along each axis five bands, spaced evenly from edge to edge, are resized to the model's square input. The best band
    has the largest cosine with the mean vector of the pair's captions.

    Args:
        model: The model, in evaluation mode.
        catalog: The pairs, one or more.
        progress: Called with the number of images done.

    Returns:
        ``float32``, shape (n, 4). Columns x0, y0, x1, y1: x0, x1 bound the vertical band, y0, y1 the horizontal one;
        fractions of the sides.

    Raises:
        UserError: An image cannot be read any more.
    """
    starts = np.empty((len(catalog), 2), np.float32)
    for first in range(0, len(catalog), _BANDS_AT_ONCE):
        part = catalog.take(range(first, min(first + _BANDS_AT_ONCE, len(catalog))))
        bands = np.concatenate([_bands(part, row, model.image_size) for row in range(len(part))])
        with torch.inference_mode():
            features = model.encode_image(torch.from_numpy(bands)).float().cpu()
        features = features.numpy().reshape(len(part), 2, len(_STARTS), -1)
        cosines = np.einsum("nabd,nd->nab", features, _mean_caption_vectors(model, part))
        # Rounded, so that rounding noise does not decide ties.
        starts[first : first + len(part)] = _STARTS[cosines.round(6).argmax(axis=2)]
        progress("images with bands compared", first + len(part), len(catalog))
    return np.concatenate([starts, starts + np.float32(0.5)], axis=1)


def _mean_caption_vectors(model: Encoder, catalog: Catalog) -> Floats:
    """The mean vector of each pair's captions, scaled to length 1."""
    vectors = embed_texts(model, [text for texts in catalog.column("captions") for text in texts]).numpy()
    counts = catalog.caption_counts
    return unit_rows(np.add.reduceat(vectors, np.cumsum(counts) - counts, axis=0))


def _bands(catalog: Catalog, row: int, size: int) -> npt.NDArray[np.uint8]:
    """The bands of one image, vertical ones first, shape (2 * number of bands, S, S, 3)."""
    image = Image.fromarray(read_image(catalog, row))
    width, height = image.size
    boxes = [(s * width, 0.0, (s + 0.5) * width, height) for s in _STARTS]
    boxes += [(0.0, s * height, width, (s + 0.5) * height) for s in _STARTS]
    resized = [image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0) for box in boxes]
    return np.stack([np.asarray(band) for band in resized])


def _offset_progress(start: int, total: int, progress: Progress) -> Progress:
    """A :data:`Progress` for the slice from ``start`` on, which reports progress among all pairs."""
    return lambda what, done, _: progress(what, start + done, total)


def _load(folder: str | Path) -> ClipModel:
    return ClipModel.load(folder).to(choose_device("auto")).eval()
