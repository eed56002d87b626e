"""Pixels: a set's pictures, decoded once and kept at the size that the smallest view needs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.catalog.catalog import Catalog
from clipc.catalog.decode import DecodeError
from clipc.files import cores
from clipc.progress import Progress, silent
from clipc.render.batch import GREY
from clipc.render.crop import Augmentation
from clipc.render.resample import resample_whole

USUAL: Final = 0
"""The view that every example gets."""
STRONGER: Final = 1
"""The smaller view of a strongly augmented example, which needs a larger copy of the picture."""

_WORTH: Final = 0.8
"""A picture that would not become smaller than this is kept as it is: less sharpness is lost than memory won."""
_TOGETHER: Final = 256


@dataclass(frozen=True, eq=False)
class Pixels:
    """Decoded pictures of different sizes, one after the other in one tensor.

    Attributes:
        values: RGB ``uint8``, flat, on any device; a picture's lines follow each other, and so do pictures.
        start: Where each picture begins, in pixels (three values each); ``int64``, shape (pictures,).
        size: Width and height of each picture, ``int64``, shape (pictures, 2).
        number: The picture that shows a catalog's row in a :data:`USUAL` and in a :data:`STRONGER` view; rows with
            equal contents share one; ``int64``, shape (rows, 1 or 2).
        unreadable: Which pictures could not be read and are grey, ``bool``, shape (pictures,).
    """

    values: torch.Tensor
    start: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    unreadable: npt.NDArray[np.bool_]

    @classmethod
    def decoded(
        cls,
        catalog: Catalog,
        augmentation: Augmentation,
        image_size: int,
        *,
        strong: bool,
        device: torch.device,
        progress: Progress = silent,
    ) -> "Pixels":
        """Decodes each different picture of a catalog once, on as many threads as there are cores.

        Args:
            catalog: The pairs that will be shown: the training split alone.
            augmentation: How views will be cut.
            image_size: The side S of the batches' pictures, in pixels.
            strong: Whether strongly augmented views will be cut too.
            device: Where the pixels are kept.
            progress: Told the number of pictures decoded.
        """
        shelf = _Shelf.of(catalog, augmentation, image_size, strong)
        area = shelf.size.prod(axis=1)
        start = np.cumsum(area) - area
        values = torch.empty(3 * int(area.sum()), dtype=torch.uint8, device=device)
        unreadable = np.zeros(len(area), dtype=np.bool_)

        def decode(row: int, pictures: range, into: npt.NDArray[np.uint8], origin: int) -> None:
            try:
                width, height = shelf.size[pictures.start : pictures.stop].max(axis=0).tolist()
                found = catalog.image(row, at_least=(width, height))
            except (OSError, DecodeError):
                unreadable[pictures.start : pictures.stop] = True
                found = np.full((1, 1, 3), GREY, dtype=np.uint8)
            for picture in pictures:
                width, height = shelf.size[picture].tolist()
                at = 3 * (int(start[picture]) - origin)
                kept = found if found.shape[:2] == (height, width) else resample_whole(found, (width, height))
                into[at : at + 3 * width * height] = kept.reshape(-1)

        with ThreadPoolExecutor(max_workers=cores()) as pool:
            for rows, pictures in shelf.pieces(_TOGETHER):
                first, last = pictures[0].start, pictures[-1].stop
                origin, end = int(start[first]), int(start[last - 1] + area[last - 1])
                here = values[3 * origin : 3 * end]
                staged = here if device.type == "cpu" else torch.empty(len(here), dtype=torch.uint8)
                jobs = [pool.submit(decode, r, p, staged.numpy(), origin) for r, p in zip(rows, pictures, strict=True)]
                for job in jobs:
                    job.result()
                if staged is not here:
                    here.copy_(staged)
                progress("decoding", last, len(area))
        return cls(values, start, shelf.size, shelf.number, unreadable)


def resident_bytes(catalog: Catalog, augmentation: Augmentation, image_size: int, *, strong: bool = False) -> int:
    """The bytes that :class:`Pixels` of a catalog take, from its table alone.

    Args:
        catalog: The pairs.
        augmentation: How views are cut.
        image_size: The side S of the batches' pictures, in pixels.
        strong: Whether strongly augmented views are cut too.
    """
    return 3 * int(_Shelf.of(catalog, augmentation, image_size, strong).size.prod(axis=1).sum())


def kept_sizes(
    sizes: npt.NDArray[np.integer], scale: tuple[float, float], ratio: tuple[float, float], image_size: int
) -> npt.NDArray[np.int64]:
    """The sizes at which the smallest view of each picture still has ``image_size`` pixels each way.

    Never larger than the picture itself, and exactly as large where shrinking would win little.

    Args:
        sizes: Widths and heights in pixels, shape (n, 2).
        scale: Smallest and largest share of the area that a view has.
        ratio: Smallest and largest width over height of a view.
        image_size: The side S in pixels.

    Returns:
        Widths and heights, shape (n, 2).
    """
    width, height = sizes[:, 0].astype(np.float64), sizes[:, 1].astype(np.float64)
    area = scale[0] * width * height
    # A view that is as narrow or as low as its range of ratios, and the picture, allow.
    narrow = np.sqrt(area * np.maximum(ratio[0], scale[0] * width / height))
    low = np.sqrt(area / np.minimum(ratio[1], width / (scale[0] * height)))
    factor = image_size / np.minimum(np.minimum(narrow, width), np.minimum(low, height))
    factor = np.where(factor < _WORTH, factor, 1.0)
    return np.maximum(1, np.rint(sizes * factor[:, None])).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Shelf:
    """Which pictures are kept, and how large; the sizes of one content follow each other.

    Attributes:
        row: For each content a row that has it, in the order of the catalog.
        count: In how many sizes each content is kept.
        size: Width and height of each picture.
        number: As in :class:`Pixels`.
    """

    row: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]

    @classmethod
    def of(cls, catalog: Catalog, augmentation: Augmentation, image_size: int, strong: bool) -> "_Shelf":
        scales = (augmentation.crop_scale, *((augmentation.strong_scale,) if strong else ()))
        wanted = [kept_sizes(catalog.sizes, scale, augmentation.crop_ratio, image_size) for scale in scales]
        sizes = np.stack(wanted, axis=1)
        first = catalog.image_ids == np.arange(len(catalog))
        row, content = np.flatnonzero(first), (np.cumsum(first) - 1)[catalog.image_ids]
        own = sizes[row]
        # Where both views need the same size they share a picture.
        new = np.ones(own.shape[:2], dtype=np.bool_)
        new[:, 1:] = (own[:, 1:] != own[:, :-1]).any(axis=2)
        number = np.cumsum(new).reshape(new.shape) - 1
        return cls(row, new.sum(axis=1), own[new], number[content])

    def pieces(self, contents: int) -> Iterator[tuple[list[int], list[range]]]:
        """So many contents at a time: a row of each, and the pictures to make of it."""
        ends = np.cumsum(self.count)
        for i in range(0, len(self.row), contents):
            last, count = ends[i : i + contents].tolist(), self.count[i : i + contents].tolist()
            pictures = [range(end - n, end) for end, n in zip(last, count, strict=True)]
            yield self.row[i : i + contents].tolist(), pictures
