"""Pixels: the images of a catalog, decoded once and stored at the size that the smallest view needs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from clipc.catalog.images.decode import DecodeError
from clipc.compose.arrays import Bools, Bytes, Int64s, Integers
from clipc.compose.plan import Plans
from clipc.files import cores
from clipc.progress import Progress
from clipc.render.batch import GREY
from clipc.render.crop import Augmentation, largest_boxes
from clipc.render.resample import resample_whole

NORMAL_VIEW = 0
"""Column of ``Pixels.number`` for ordinary views."""
STRONG_VIEW = 1
"""Column of ``Pixels.number`` for strongly augmented views, which are smaller and need a larger copy of the image."""

_MIN_SHRINK = 0.8
"""An image whose sides would shrink to this share or more is stored at its own size: sharper, for little memory."""
_CHUNK = 256
"""The number of distinct images that are decoded before they are copied to the device."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Decoded images of different sizes, concatenated in one tensor.

    Attributes:
        values: RGB ``uint8``, shape (3 * pixels,), on any device: image after image, each row-major.
        start: The index of each image's first pixel; ``int64``, shape (images,).
        size: The width and height of each image; ``int64``, shape (images, 2).
        number: The index of the image that each catalog row uses for :data:`NORMAL_VIEW` and :data:`STRONG_VIEW`;
            ``int64``, shape (rows, 1 or 2). Rows with equal contents share an image.
        unreadable: Which images could not be read and are grey; ``bool``, shape (images,).
    """

    values: torch.Tensor
    start: Int64s
    size: Int64s
    number: Int64s
    unreadable: Bools

    @classmethod
    def decode(
        cls, plans: Plans, augmentation: Augmentation, image_size: int, device: torch.device, progress: Progress
    ) -> "Pixels":
        """Decodes each distinct image of a catalog once, on one thread per core.

        Args:
            plans: The plans to render.
            augmentation: How views are cropped.
            image_size: The side S of the batches' images, in pixels.
            device: The device on which the pixels are stored.
            progress: Called with the number of decoded images.
        """
        storage = _Storage.of(plans, augmentation, image_size)
        area = storage.size.prod(axis=1)
        start = np.cumsum(area) - area
        values = torch.empty(3 * int(area.sum()), dtype=torch.uint8, device=device)
        unreadable = np.zeros(len(area), dtype=np.bool_)

        def store(row: int, numbers: range, target: Bytes, origin: int) -> None:
            try:
                width, height = storage.size[numbers.start : numbers.stop].max(axis=0).tolist()
                image = plans.catalog.image(row, at_least=(width, height))
            except (OSError, DecodeError):
                unreadable[numbers.start : numbers.stop] = True
                image = np.full((1, 1, 3), GREY, dtype=np.uint8)
            for number in numbers:
                width, height = storage.size[number].tolist()
                at = 3 * (int(start[number]) - origin)
                resized = image if image.shape[:2] == (height, width) else resample_whole(image, (width, height))
                target[at : at + 3 * width * height] = resized.reshape(-1)

        with ThreadPoolExecutor(max_workers=cores()) as pool:
            for rows, numbers in storage.chunks(_CHUNK):
                first, last = numbers[0].start, numbers[-1].stop
                origin, end = int(start[first]), int(start[last - 1] + area[last - 1])
                target = values[3 * origin : 3 * end]
                buffer = target if device.type == "cpu" else torch.empty(len(target), dtype=torch.uint8)
                jobs = [pool.submit(store, *row, buffer.numpy(), origin) for row in zip(rows, numbers, strict=True)]
                for job in jobs:
                    job.result()
                if buffer is not target:
                    target.copy_(buffer)
                progress("decoding", last, len(area))
        return cls(values, start, storage.size, storage.number, unreadable)


def resident_bytes(plans: Plans, augmentation: Augmentation, image_size: int) -> int:
    """The size in bytes of the :class:`Pixels` of a catalog, from its image sizes.

    Args:
        plans: The plans to render.
        augmentation: How views are cropped.
        image_size: The side S of the batches' images, in pixels.
    """
    return 3 * int(_Storage.of(plans, augmentation, image_size).size.prod(axis=1).sum())


def stored_sizes(sizes: Integers, scale: tuple[float, float], ratio: tuple[float, float], image_size: int) -> Int64s:
    """The sizes at which images are stored: the smallest view still has ``image_size`` pixels along each axis.

    A stored image is never larger than the image. It has the same size if shrinking would save little.

    Args:
        sizes: Widths and heights in pixels, shape (n, 2).
        scale: The smallest and the largest share of the area that a view has.
        ratio: The smallest and the largest ratio of width to height of a view.
        image_size: The side S in pixels.

    Returns:
        Widths and heights, shape (n, 2).
    """
    width, height = sizes[:, 0].astype(np.float64), sizes[:, 1].astype(np.float64)
    area = scale[0] * width * height
    # The smallest width and height of a view that the range of ratios and the image allow.
    view_width = np.sqrt(area * np.maximum(ratio[0], scale[0] * width / height))
    view_height = np.sqrt(area / np.minimum(ratio[1], width / (scale[0] * height)))
    largest = largest_boxes(sizes, ratio)
    view_width, view_height = np.minimum(view_width, largest[:, 0]), np.minimum(view_height, largest[:, 1])
    factor = image_size / np.minimum(view_width, view_height)
    factor = np.where(factor < _MIN_SHRINK, factor, 1.0)
    return np.maximum(1, np.rint(sizes * factor[:, None])).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Storage:
    """The plan of :class:`Pixels`: which images are stored, at which sizes. Images of one content are adjacent.

    Attributes:
        row: The first catalog row of each distinct content, in the catalog's order; shape (contents,).
        count: The number of images stored of each content, 1 or 2; shape (contents,).
        size: The width and height of each image, shape (images, 2).
        number: As in :class:`Pixels`.
    """

    row: Int64s
    count: Int64s
    size: Int64s
    number: Int64s

    @classmethod
    def of(cls, plans: Plans, augmentation: Augmentation, image_size: int) -> "_Storage":
        catalog, scales, ratio = plans.catalog, [augmentation.crop_scale], augmentation.crop_ratio
        if plans.policy.treatment == "augment" and plans.policy.rho > 0:
            scales.append(augmentation.strong_scale)
        sizes = np.stack([stored_sizes(catalog.sizes, scale, ratio, image_size) for scale in scales], axis=1)
        first = catalog.image_ids == np.arange(len(catalog))
        row, content = np.flatnonzero(first), (np.cumsum(first) - 1)[catalog.image_ids]
        own = sizes[row]
        # Normal and strong views that need the same size share an image.
        distinct = np.ones(own.shape[:2], dtype=np.bool_)
        distinct[:, 1:] = (own[:, 1:] != own[:, :-1]).any(axis=2)
        number = np.cumsum(distinct).reshape(distinct.shape) - 1
        return cls(row, distinct.sum(axis=1), own[distinct], number[content])

    def chunks(self, contents: int) -> Iterator[tuple[list[int], list[range]]]:
        """Yields the catalog row and the range of images of each content, in chunks of ``contents`` contents."""
        ends = np.cumsum(self.count)
        for i in range(0, len(self.row), contents):
            last, count = ends[i : i + contents].tolist(), self.count[i : i + contents].tolist()
            images = [range(end - n, end) for end, n in zip(last, count, strict=True)]
            yield self.row[i : i + contents].tolist(), images
