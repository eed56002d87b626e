"""Functions shared by benchmarks whose files the user has: checks of their rows, and features of their images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

from clipc.catalog.catalog import inside
from clipc.catalog.images.decode import DecodeError, decode
from clipc.errors import UserError
from clipc.evaluate.embed import Encoder, embed_pixels
from clipc.evaluate.retrieval import check_features
from clipc.progress import Progress, silent
from clipc.render.evaluation_view import evaluation_view
from clipc.render.parallel_map import parallel_map

_MAX_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class NamedImages:
    """The images of a benchmark.

    Attributes:
        features: L2-normalised features of the K readable images, float32 (K, D).
        rows: The row of ``features`` for each readable image, by the image's name.
        missing: The names of images that do not exist.
        unreadable: The names of files that are not images or are damaged.
    """

    features: Tensor
    rows: dict[str, int]
    missing: list[str]
    unreadable: list[str]

    def context(self) -> dict[str, Any]:
        """The numbers of read, missing and unreadable images, and the names of a few left out; ready for JSON."""
        return {
            "read": len(self.rows),
            "missing": len(self.missing),
            "unreadable": len(self.unreadable),
            "left_out": [*self.missing, *self.unreadable][:_MAX_EXAMPLES],
        }


def embed_named(
    model: Encoder, names: Sequence[str], load: Callable[[str], bytes], where: str, progress: Progress = silent
) -> NamedImages:
    """Encodes each named image once; images that cannot be read are left out and listed.

    Args:
        model: The model, in evaluation mode.
        names: The names of the images; they may repeat.
        load: Returns the encoded image of a name; raises FileNotFoundError if there is none. Called on several threads.
        where: The folder of the images, for messages.
        progress: Called with the number of images done.

    Raises:
        UserError: No image can be read, or a name leads out of its folder.
    """
    distinct = list(dict.fromkeys(names))
    rows: dict[str, int] = {}
    missing: list[str] = []
    unreadable: list[str] = []

    def view(name: str) -> npt.NDArray[np.uint8] | OSError | DecodeError:
        try:
            return evaluation_view(decode(load(name)), model.image_size, model.resizing)
        except (OSError, DecodeError) as error:
            return error

    def read() -> Iterator[npt.NDArray[np.uint8]]:
        for name, result in zip(distinct, parallel_map(view, distinct), strict=True):
            if isinstance(result, np.ndarray):
                rows[name] = len(rows)
                yield result
            else:
                (missing if isinstance(result, FileNotFoundError) else unreadable).append(name)

    features = embed_pixels(model, read(), len(distinct), progress=progress)
    if not rows:
        raise UserError(
            f"none of {len(distinct)} images can be read in {where} (the first is {distinct[0]!r}): "
            f"{len(missing)} do not exist, {len(unreadable)} are not images; name the folder that contains them."
        )
    check_features(features)
    return NamedImages(features, rows, missing, unreadable)


def read_inside(folder: Path, name: str) -> bytes:
    """The content of a file below a folder.

    Raises:
        UserError: The name leads out of the folder.
        FileNotFoundError: There is no such file.
    """
    path = inside(folder, name)
    if not path.is_file():
        raise FileNotFoundError(path)
    return path.read_bytes()


def read_texts(row: object, names: Sequence[str], where: str) -> list[str]:
    """Reads the fields of a row that must be non-empty texts.

    Args:
        row: A decoded JSON object.
        names: The names of the fields.
        where: The file and the line or entry, for messages.

    Raises:
        UserError: The row is not an object, or a field is missing, empty or not a text.
    """
    fields = cast("Mapping[str, object]", row) if isinstance(row, Mapping) else {}
    values = [value for name in names if isinstance(value := fields.get(name), str) and value.strip()]
    if len(values) < len(names) or any("\0" in value for value in values):
        raise UserError(f"{where} needs the texts {', '.join(names)}, as published; download the file again.")
    return values
