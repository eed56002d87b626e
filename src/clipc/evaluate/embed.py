"""Features of all images and captions of a catalog."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clipc.catalog.catalog import Catalog
from clipc.catalog.images.decode import DecodeError
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.render.evaluation_view import Resizing, evaluation_view
from clipc.render.parallel_map import parallel_map


class Encoder(Protocol):
    """The interface of a model that can be evaluated. The caller puts it into evaluation mode."""

    @property
    def image_size(self) -> int:
        """The side S, in pixels, of the square images that the model takes."""
        ...

    @property
    def resizing(self) -> Resizing:
        """The way in which images are resized to squares of side ``image_size``."""
        ...

    def encode_image(self, images: Tensor, /) -> Tensor:
        """Encodes RGB images, ``uint8`` (B, S, S, 3) on the CPU, as L2-normalised features, (B, D), on any device."""
        ...

    def encode_text(self, texts: list[str], /) -> Tensor:
        """Encodes B texts as L2-normalised features, float (B, D), on any device."""
        ...


@runtime_checkable
class CatalogEncoder(Encoder, Protocol):
    """An encoder that need not see the pixels of a catalog's images."""

    def encode_catalog(self, catalog: Catalog, progress: Progress, /) -> Tensor:
        """Encodes every image as L2-normalised features, float32 (N, D) on the CPU."""
        ...


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The features of N images and their M captions, on the CPU.

    Attributes:
        image: L2-normalised image features, float32 (N, D), in the catalog's order.
        text: L2-normalised caption features, float32 (M, D), image by image. Equal captions have equal features.
        owner: The index of the image of each caption, ``int64`` (M,).
        caption_ids: An id of each caption, equal for equal captions, ``int64`` (M,).
    """

    image: Tensor
    text: Tensor
    owner: npt.NDArray[np.int64]
    caption_ids: npt.NDArray[np.int64]


def embed(
    model: Encoder,
    catalog: Catalog,
    *,
    batch_size: int = 256,
    progress: Progress = silent,
    views: Iterable[npt.NDArray[np.uint8]] | None = None,
) -> Embeddings:
    """Encodes every image and every caption; captions that occur several times are encoded once.

    Args:
        model: The model, in evaluation mode.
        catalog: The pairs, one or more.
        batch_size: How many images or texts are encoded at once.
        progress: Called with the number of images and texts done.
        views: The results of :func:`evaluation_views`, if they are in memory already.

    Raises:
        UserError: An image cannot be read, though it could when the catalog was made.
    """
    ids: dict[str, int] = {}
    captions = [text for row in range(len(catalog)) for text in catalog.captions(row)]
    caption_ids = np.asarray([ids.setdefault(text, len(ids)) for text in captions], dtype=np.int64)
    if views is None:
        image = embed_images(model, catalog, batch_size=batch_size, progress=progress)
    else:
        image = embed_pixels(model, views, len(catalog), batch_size=batch_size, progress=progress)
    text = embed_texts(model, captions, batch_size=batch_size, progress=progress)
    owner = np.repeat(np.arange(len(catalog)), catalog.caption_counts)
    return Embeddings(image, text, owner, caption_ids)


def embed_images(model: Encoder, catalog: Catalog, *, batch_size: int = 256, progress: Progress = silent) -> Tensor:
    """Encodes every image, resized by the model's preprocessing, as features, float32 (N, D) on the CPU.

    Args:
        model: The model, in evaluation mode.
        catalog: The pairs, one or more.
        batch_size: How many images are encoded at once.
        progress: Called with the number of images done.

    Raises:
        UserError: An image cannot be read, though it could when the catalog was made.
    """
    if isinstance(model, CatalogEncoder):
        return model.encode_catalog(catalog, progress)
    views = evaluation_views(catalog, model.image_size, model.resizing)
    return embed_pixels(model, views, len(catalog), batch_size=batch_size, progress=progress)


def evaluation_views(catalog: Catalog, size: int, resizing: Resizing) -> Iterator[npt.NDArray[np.uint8]]:
    """Decodes every image and resizes it to the model's size, in order; a few hundred are decoded ahead.

    Args:
        catalog: The pairs.
        size: The side S in pixels.
        resizing: The way in which the model's images are resized.

    Yields:
        RGB ``uint8``, shape (S, S, 3).

    Raises:
        UserError: An image cannot be read, though it could when the catalog was made.
    """
    return parallel_map(lambda row: evaluation_view(read_image(catalog, row), size, resizing), range(len(catalog)))


def read_image(catalog: Catalog, row: int) -> npt.NDArray[np.uint8]:
    """Decodes an image of a catalog, RGB ``uint8``, shape (height, width, 3).

    Raises:
        UserError: The image cannot be read, though it could when the catalog was made.
    """
    try:
        return catalog.image(row)
    except (OSError, DecodeError) as error:
        raise UserError(
            f"image {catalog.keys[row]!r} cannot be read any more ({error}); build the catalog of its source again."
        ) from error


def embed_pixels(
    model: Encoder,
    images: Iterable[npt.NDArray[np.uint8]],
    total: int,
    *,
    batch_size: int = 256,
    progress: Progress = silent,
) -> Tensor:
    """Encodes a stream of images as features, float32 (N, D) on the CPU; shape (0, 0) if the stream is empty.

    Args:
        model: The model, in evaluation mode.
        images: ``uint8`` (S, S, 3) each, of the model's size.
        total: The number of images, for the progress.
        batch_size: How many images are encoded at once.
        progress: Called with the number of images done.
    """
    source = iter(images)
    parts: list[Tensor] = []
    done = 0
    while batch := list(islice(source, batch_size)):
        with torch.inference_mode():
            parts.append(model.encode_image(torch.from_numpy(np.stack(batch))).float().cpu())
        done += len(batch)
        progress("images encoded", done, total)
    return torch.cat(parts) if parts else torch.empty(0, 0)


def embed_texts(model: Encoder, texts: Sequence[str], *, batch_size: int = 256, progress: Progress = silent) -> Tensor:
    """Encodes texts as features, float32 (len(texts), D) on the CPU, in the given order; equal texts only once.

    Args:
        model: The model, in evaluation mode.
        texts: The texts, one or more.
        batch_size: How many texts are encoded at once.
        progress: Called with the number of different texts done.
    """
    # A batch is padded to its longest text, so texts of about equal length share a batch.
    distinct = sorted(dict.fromkeys(texts), key=len)
    parts: list[Tensor] = []
    for start in range(0, len(distinct), batch_size):
        batch = distinct[start : start + batch_size]
        with torch.inference_mode():
            parts.append(model.encode_text(batch).float().cpu())
        progress("captions encoded", start + len(batch), len(distinct))
    rows = {text: row for row, text in enumerate(distinct)}
    return torch.cat(parts)[[rows[text] for text in texts]]
