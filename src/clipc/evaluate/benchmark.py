"""Shared parts of benchmarks on the user's disk: rows of texts, and the images that they name."""

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

_NAMED = 5


@dataclass(frozen=True, eq=False)
class NamedImages:
    """The images of a benchmark.

    Attributes:
        features: L2-normalised features of the readable ones, float32 (K, D).
        rows: The row of each by its name.
        missing: The names of images that do not exist.
        unreadable: The names of files that are no images, or are damaged.
    """

    features: Tensor
    rows: dict[str, int]
    missing: list[str]
    unreadable: list[str]

    def context(self) -> dict[str, Any]:
        """How many were read and not, the first few by name; ready for JSON."""
        return {
            "read": len(self.rows),
            "missing": len(self.missing),
            "unreadable": len(self.unreadable),
            "left_out": [*self.missing, *self.unreadable][:_NAMED],
        }


def embed_named(
    model: Encoder, names: Sequence[str], load: Callable[[str], bytes], where: str, progress: Progress = silent
) -> NamedImages:
    """Features of named images, each once; those that cannot be read are listed and left out.

    Args:
        model: The model, in evaluation mode.
        names: The names, with or without repetition.
        load: Returns the encoded bytes of a name, on any thread; raises FileNotFoundError where there is no such image.
        where: The place of the images, for the message.
        progress: Called with the number of images done.

    Raises:
        UserError: None can be read, or a name leads out of its folder.
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
            f"{len(missing)} are not there, {len(unreadable)} are no images; name the folder that holds them."
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


def texts_of(row: object, names: Sequence[str], where: str) -> list[str]:
    """The values of a row's fields that must be texts.

    Args:
        row: A decoded JSON object.
        names: The fields.
        where: The file and the place in it, for the message.

    Raises:
        UserError: The row is no object, or a field is missing, empty or no text.
    """
    fields = cast("Mapping[str, object]", row) if isinstance(row, Mapping) else {}
    values = [value for name in names if isinstance(value := fields.get(name), str) and value.strip()]
    if len(values) < len(names) or any("\0" in value for value in values):
        raise UserError(f"{where} needs the texts {', '.join(names)}, as published; download the file again.")
    return values
