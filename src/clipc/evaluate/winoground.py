"""Winoground (Thrush, Jiang, Bartolo, Singh, Williams, Kiela, Ross, arXiv 2204.03162) on files that the user has.

Two images and two captions of the same words in another order; which belong together?
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
from clipc.evaluate.benchmark import embed_named, read_inside, texts_of
from clipc.evaluate.choices import share
from clipc.evaluate.embed import Encoder, embed_texts
from clipc.evaluate.evaluation import Evaluation
from clipc.evaluate.measurement import Measurement, by_name
from clipc.evaluate.ranks import TIE
from clipc.evaluate.retrieval import check_features
from clipc.progress import Progress, silent

CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}
"""What random scores reach, by score."""
TAGS = ("collapsed_tag", "secondary_tag", "tag")
"""The columns by which examples are grouped, from the coarsest."""
_COLUMNS = ("image_0", "image_1", "caption_0", "caption_1")


class Example(NamedTuple):
    """Two images (by name), their captions, and the example's tags by :data:`TAGS`."""

    images: tuple[str, str]
    captions: tuple[str, str]
    tags: tuple[str, ...]


def scores(similarity: npt.ArrayLike) -> dict[str, npt.NDArray[np.float64]]:
    """The three scores of each example: text (right caption for both images), image (the reverse), group (both).

    The paper counts a tie as wrong. Here it is an expected value, as everywhere in clipc: what the
    smallest of noises on the four similarities would give on average, so that a model that scores everything the
    same is at chance (:data:`CHANCE`). Where nothing is tied the two are equal.

    Args:
        similarity: (n, 2, 2); ``[:, c, i]`` is that of caption c and image i.

    Returns:
        ``text``, ``image`` and ``group``, each (n,) in [0, 1].
    """
    s = np.asarray(similarity, dtype=np.float64)[..., None]
    # Each way in which noise can order the four, in the last dimension.
    noise = np.reshape(list(permutations(range(4))), (-1, 2, 2)).transpose(1, 2, 0)

    def above(a: tuple[int, int], b: tuple[int, int]) -> npt.NDArray[np.bool_]:
        difference = s[:, *a] - s[:, *b]
        return np.where(np.abs(difference) <= TIE, noise[a] > noise[b], difference > 0)

    text = above((0, 0), (1, 0)) & above((1, 1), (0, 1))
    image = above((0, 0), (0, 1)) & above((1, 1), (1, 0))
    return {"text": text.mean(axis=1), "image": image.mean(axis=1), "group": (text & image).mean(axis=1)}


def read_winoground(folder: Path) -> tuple[list[Example], Callable[[str], bytes], str]:
    """The examples, a function that loads an image by its name, and where it looks.

    Args:
        folder: What holds ``examples.jsonl`` and ``images/``, or Parquet files with the images in them; or a folder
            whose ``data`` does.

    Raises:
        UserError: There is neither, or a row is not as published.
    """
    for place in (folder, folder / "data"):
        file = place / "examples.jsonl"
        if file.is_file():
            return _read_jsonl(file), partial(read_inside, place / "images"), str(place / "images")
        if files := sorted(place.glob("test-*.parquet")):
            return _read_parquet(files)
    raise UserError(
        f"{folder} holds neither Winoground's examples.jsonl (with its images in images/) nor its test-*.parquet."
    )


def _read_jsonl(file: Path) -> list[Example]:
    examples: list[Example] = []
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text in UTF-8 ({error}); download it again.") from error
    for number, line in enumerate(text.split("\n"), 1):  # Captions may hold what Unicode counts as a line's end too.
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{file}, line {number} is no JSON ({error}); download it again.") from error
        examples.append(_example(row, f"{file}, line {number}"))
    if not examples:
        raise UserError(f"{file} holds no examples; download it again.")
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
    image_0, image_1, caption_0, caption_1 = texts_of(row, _COLUMNS, where)
    tags = tuple(str(row.get(column) or "") for column in TAGS)
    return Example((_with_ending(image_0), _with_ending(image_1)), (caption_0, caption_1), tags)


def _with_ending(name: str) -> str:
    """An image's file; published names are without their ending."""
    return name if Path(name).suffix else f"{name}.png"


def evaluate_winoground(model: Encoder, folder: Path, *, progress: Progress = silent) -> Evaluation:
    """Text, image and group score, of all examples and of those with each tag.

    Args:
        model: The model, in evaluation mode.
        folder: See :func:`read_winoground`.
        progress: Called with the number of images and texts encoded.

    Returns:
        Metrics ``winoground/all/group`` and ``winoground/TAG COLUMN=TAG/group``, and so ``text`` and ``image``; in
        ``context["winoground"]`` for each group of examples ``n`` and the 95% interval of each score, how many examples
        were left out, and which images were read.

    Raises:
        UserError: The files are not as published, a name leads out of the folder, or no example has both images.
    """
    examples, load, where = read_winoground(folder)
    names = [name for example in examples for name in example.images]
    images = embed_named(model, names, load, where, progress=progress)
    complete = [example for example in examples if all(name in images.rows for name in example.images)]
    if not complete:
        raise UserError(f"of none of the {len(examples)} examples can both images be read in {where}.")
    texts = embed_texts(model, [text for example in complete for text in example.captions], progress=progress)
    check_features(texts)
    image = images.features[[images.rows[name] for example in complete for name in example.images]]
    n = len(complete)
    similarity = texts.reshape(n, 2, -1) @ image.reshape(n, 2, -1).transpose(1, 2)
    values = scores(similarity.numpy())

    summaries: dict[str, Any] = {}
    measured: list[Measurement] = []
    for group, rows in _groups(complete):
        summary: dict[str, Any] = {"n": len(rows), "intervals": {}}
        summaries[group] = summary
        for name, hits in values.items():
            interval = share(hits[rows]).ends
            measured.append(
                Measurement(f"winoground/{group}/{name}", hits[rows], chance=CHANCE[name], interval=interval)
            )
            summary["intervals"][name] = list(interval)
    facts = {"groups": summaries, "left_out": len(examples) - n, "pictures": images.context()}
    return Evaluation(by_name(measured), {"not_measured": {}, "winoground": facts})


def _groups(examples: list[Example]) -> Iterable[tuple[str, list[int]]]:
    """All examples, then those of each tag, column by column."""
    yield "all", list(range(len(examples)))
    for column, name in enumerate(TAGS):
        for tag in sorted({example.tags[column] for example in examples} - {""}):
            # A slash would look like one more level of the metric's name.
            yield f"{name}={tag.replace('/', '-')}", [i for i, e in enumerate(examples) if e.tags[column] == tag]
