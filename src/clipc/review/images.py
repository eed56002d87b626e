"""The images of composites, rendered when they are asked for; the latest are kept."""

import io
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Literal, get_args

from PIL import Image

from clipc.prepare.preview import CompositeImages, composite_images
from clipc.prepare.scores.pixels import WHOLE
from clipc.render.resample import Image8
from clipc.render.worker import WorkerRenderer
from clipc.review.queue import ReviewQueue

Which = Literal["picture", "left", "right"]
"""The composite, or one of its sources."""
WHICH: Final[tuple[Which, ...]] = get_args(Which)

_SIZE: Final = 448
_SOURCE_SIDE: Final = 320
_QUALITY: Final = 90


class ReviewImages:
    """The images of a queue as JPEG, at most so many composites in memory; may be called from several threads."""

    def __init__(self, queue: ReviewQueue, most: int = 64) -> None:
        """Keeps no image yet.

        Args:
            queue: The composites.
            most: The number of composites whose images are kept, about 100 kB each.
        """
        self.renderer = WorkerRenderer(queue.plans, WHOLE, _SIZE, queue.tokenizer)
        self._most = most
        self._kept: OrderedDict[int, Mapping[Which, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def jpeg(self, row: int, which: Which) -> bytes:
        """One image of the composite in a row of the queue."""
        with self._lock:  # A page asks for the three images of a composite at once; they are rendered together.
            if row not in self._kept:
                self._kept[row] = _encoded(composite_images(self.renderer, row, _SOURCE_SIDE))
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(row)
            return self._kept[row][which]


def _encoded(images: CompositeImages) -> Mapping[Which, bytes]:
    return {
        "picture": _jpeg(images.picture),
        "left": _jpeg(images.left_image),
        "right": _jpeg(images.right_image),
    }


def _jpeg(pixels: Image8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
