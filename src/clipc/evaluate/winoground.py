"""Winoground (Thrush, Jiang, Bartolo, Singh, Williams, Kiela, Ross, arXiv 2204.03162), from files that the user has.

Each example has two images and two captions with the same words in another order. The model has to match them.
"""

import json
from collections.abc import Callable, Iterable
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clipc.errors import UserError
from clipc.evaluate.benchmark import embed_named, read_inside, read_texts
from clipc.evaluate.choices import share
from clipc.evaluate.embed import Encoder, embed_texts
from clipc.evaluate.evaluation import Evaluation
from clipc.evaluate.measurement import Measurement, by_name
from clipc.evaluate.ranks import TIE
from clipc.evaluate.retrieval import check_features
from clipc.progress import Progress, silent

CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}
"""The chance level of each score."""
TAGS = ("collapsed_tag", "secondary_tag", "tag")
"""The columns by which examples are grouped, from the coarsest to the finest."""
_COLUMNS = ("image_0", "image_1", "caption_0", "caption_1")


class Example(NamedTuple):
    """The file names of two images, their captions, and the example's tags in the order of :data:`TAGS`."""

    images: tuple[str, str]
    captions: tuple[str, str]
    tags: tuple[str, ...]


def scores(similarity: npt.ArrayLike) -> dict[str, npt.NDArray[np.float64]]:
    """The three scores of each example.

    The text score counts the right caption for both images, the image score the right image for both captions, and the
    group score both. The paper counts a tie as wrong. Here a tie is broken at random and the score is the expected
    value, so a model that gives all similarities the same value is at chance (:data:`CHANCE`). Without ties the scores
    equal the paper's.

    Args:
        similarity: Cosines, (n, 2, 2); ``[:, c, i]`` compares caption c and image i.

    Returns:
        ``text``, ``image`` and ``group``, each (n,) in [0, 1].
    """
    s = np.asarray(similarity, dtype=np.float64)[..., None]
    # All orders of the four similarities that break ties, in the last dimension.
    order = np.reshape(list(permutations(range(4))), (-1, 2, 2)).transpose(1, 2, 0)

    def above(a: tuple[int, int], b: tuple[int, int]) -> npt.NDArray[np.bool_]:
        difference = s[:, *a] - s[:, *b]
        return np.where(np.abs(difference) <= TIE, order[a] > order[b], difference > 0)

    text = above((0, 0), (1, 0)) & above((1, 1), (0, 1))
    image = above((0, 0), (0, 1)) & above((1, 1), (1, 0))
    return {"text": text.mean(axis=1), "image": image.mean(axis=1), "group": (text & image).mean(axis=1)}


def read_winoground(folder: Path) -> tuple[list[Example], Callable[[str], bytes], str]:
    """Reads Winoground's examples.

    Args:
        folder: The folder with ``examples.jsonl`` and ``images/``, or with Parquet files that contain the images,
            directly or in its subfolder ``data``.

    Returns:
        The examples, a function that loads an encoded image by its name, and the folder that it reads.

    Raises:
        UserError: There are no such files, or a row is not as published.
    """
    for place in (folder, folder / "data"):
        file = place / "examples.jsonl"
        if file.is_file():
            return _read_jsonl(file), partial(read_inside, place / "images"), str(place / "images")
        if files := sorted(place.glob("test-*.parquet")):
            return _read_parquet(files)
    raise UserError(
        f"{folder} contains neither Winoground's examples.jsonl (with its images in images/) nor its test-*.parquet."
    )


def _read_jsonl(file: Path) -> list[Example]:
    examples: list[Example] = []
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text in UTF-8 ({error}); download it again.") from error
    for number, line in enumerate(text.split("\n"), 1):  # Not splitlines: captions may contain other line separators.
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{file}, line {number} is not JSON ({error}); download it again.") from error
        examples.append(_example(row, f"{file}, line {number}"))
    if not examples:
        raise UserError(f"{file} contains no examples; download it again.")
    return examples


def _read_parquet(files: list[Path]) -> tuple[list[Example], Callable[[str], bytes], str]:
    images: dict[str, bytes] = {}
    examples: list[Example] = []
    for file in files:
        try:
            rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{file} cannot be read as Parquet ({error}); download it again.") from error
        for number, row in enumerate(rows):
            for column in ("image_0", "image_1"):
                encoded = row.get(column)
                row[column] = name = f"{len(examples)}_{column}"
                if isinstance(encoded, dict) and isinstance(encoded.get("bytes"), bytes):
                    images[f"{name}.png"] = encoded["bytes"]
            examples.append(_example(row, f"{file}, row {number}"))

    def load(name: str) -> bytes:
        if name not in images:
            raise FileNotFoundError(name)
        return images[name]

    return examples, load, str(files[0].parent)


def _example(row: Any, where: str) -> Example:
    image_0, image_1, caption_0, caption_1 = read_texts(row, _COLUMNS, where)
    tags = tuple(str(row.get(column) or "") for column in TAGS)
    return Example((_file_name(image_0), _file_name(image_1)), (caption_0, caption_1), tags)


def _file_name(name: str) -> str:
    """The file name of an image; the published names have no extension."""
    return name if Path(name).suffix else f"{name}.png"


def evaluate_winoground(model: Encoder, folder: Path, *, progress: Progress = silent) -> Evaluation:
    """Measures the text, image and group score of all examples, and of the examples with each tag.

    Args:
        model: The model, in evaluation mode.
        folder: See :func:`read_winoground`.
        progress: Called with the number of images and texts encoded.

    Returns:
        The metrics ``winoground/all/SCORE`` and ``winoground/COLUMN=TAG/SCORE``, with the scores ``text``, ``image``
        and ``group``. ``context["winoground"]`` has, for each group of examples, ``n`` and the 95% interval of each
        score; and the number of examples left out and a summary of the images.

    Raises:
        UserError: The files are not as published, a name leads out of the folder, or no example has both images.
    """
    examples, load, where = read_winoground(folder)
    names = [name for example in examples for name in example.images]
    images = embed_named(model, names, load, where, progress=progress)
    complete = [example for example in examples if all(name in images.rows for name in example.images)]
    if not complete:
        raise UserError(f"none of the {len(examples)} examples has both images readable in {where}.")
    texts = embed_texts(model, [text for example in complete for text in example.captions], progress=progress)
    check_features(texts)
    image = images.features[[images.rows[name] for example in complete for name in example.images]]
    n = len(complete)
    similarity = texts.reshape(n, 2, -1) @ image.reshape(n, 2, -1).transpose(1, 2)
    values = scores(similarity.numpy())

    summaries: dict[str, Any] = {}
    measurements: list[Measurement] = []
    for group, rows in _groups(complete):
        summary: dict[str, Any] = {"n": len(rows), "intervals": {}}
        summaries[group] = summary
        for name, hits in values.items():
            interval = share(hits[rows]).ends
            measurements.append(
                Measurement(f"winoground/{group}/{name}", hits[rows], chance=CHANCE[name], interval=interval)
            )
            summary["intervals"][name] = list(interval)
    facts = {"groups": summaries, "left_out": len(examples) - n, "pictures": images.context()}
    return Evaluation(by_name(measurements), {"not_measured": {}, "winoground": facts})


def _groups(examples: list[Example]) -> Iterable[tuple[str, list[int]]]:
    """The names and rows of groups: all examples, then the examples with each tag, column by column."""
    yield "all", list(range(len(examples)))
    for column, name in enumerate(TAGS):
        for tag in sorted({example.tags[column] for example in examples} - {""}):
            # Slashes separate the parts of a metric's name.
            yield f"{name}={tag.replace('/', '-')}", [i for i, e in enumerate(examples) if e.tags[column] == tag]
