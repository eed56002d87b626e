"""SugarCrepe (Hsieh, Zhang, Ma, Kembhavi, Krishna, arXiv 2306.14610), from files that the user has.

For each image the model chooses between its caption and a hard negative, a caption in which something was added,
replaced or swapped. Guessing is right half of the time.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from clipc.errors import UserError
from clipc.evaluate.benchmark import embed_named, read_inside, read_texts
from clipc.evaluate.choices import score_choices, share
from clipc.evaluate.embed import Encoder, embed_texts
from clipc.evaluate.evaluation import Evaluation
from clipc.evaluate.measurement import Measurement, by_name
from clipc.evaluate.retrieval import check_features
from clipc.files import read_text
from clipc.json_files import parse_json
from clipc.limits import OWN_BYTES
from clipc.progress import Progress, silent

CATEGORIES = ("add_att", "add_obj", "replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")
"""The seven categories of hard negatives, with one JSON file each."""


class Choice(NamedTuple):
    """An image by its file name, its caption, and a hard negative of a category."""

    category: str
    filename: str
    caption: str
    negative: str


def read_sugarcrepe(folder: Path) -> list[Choice]:
    """Reads the choices of all categories whose files exist, in the order of :data:`CATEGORIES`.

    Args:
        folder: The folder with ``add_att.json`` and so on, directly or in its subfolder ``data``.

    Raises:
        UserError: None of the files exists, or one is not as published.
    """
    for place in (folder, folder / "data"):
        paths = {category: place / f"{category}.json" for category in CATEGORIES}
        files = {category: file for category, file in paths.items() if file.is_file()}
        if files:
            return [choice for category, file in files.items() for choice in _read(category, file)]
    names = ", ".join(f"{category}.json" for category in CATEGORIES)
    raise UserError(f"{folder} contains none of SugarCrepe's files ({names}).")


def _read(category: str, file: Path) -> list[Choice]:
    try:
        table: object = parse_json(read_text(file, OWN_BYTES))
    except (ValueError, OSError) as error:
        raise UserError(f"{file} cannot be read as JSON ({error}); download it again.") from error
    if not isinstance(table, dict) or not table:
        raise UserError(f"{file} must be a JSON object of numbered choices, as SugarCrepe publishes it.")
    names = ("filename", "caption", "negative_caption")
    rows = cast("dict[str, object]", table).items()
    return [Choice(category, *read_texts(row, names, f"{file}, entry {key!r}")) for key, row in rows]


def evaluate_sugarcrepe(model: Encoder, folder: Path, images: Path, *, progress: Progress = silent) -> Evaluation:
    """Measures for each category the share of choices in which the image is nearer to its caption than to the negative.

    Args:
        model: The model, in evaluation mode.
        folder: The folder with the seven JSON files, or some of them.
        images: The folder with the images of COCO's val2017.
        progress: Called with the number of images and texts encoded.

    Returns:
        The metrics ``sugarcrepe/CATEGORY/top1``, without an average over categories. ``context["sugarcrepe"]`` has, for
        each category, ``n``, ``images``, ``left_out`` (choices whose image could not be read) and the 95% interval, and
        a summary of the images. ``context["not_measured"]`` has the categories without data.

    Raises:
        UserError: All files are missing, one is not as published, a name leads out of ``images``, or no image can be
            read.
    """
    choices = read_sugarcrepe(folder)
    names, load = [choice.filename for choice in choices], partial(read_inside, images)
    named = embed_named(model, names, load, str(images), progress=progress)
    sentences = [text for choice in choices for text in (choice.caption, choice.negative)]
    text = embed_texts(model, sentences, progress=progress)
    check_features(text)
    right, wrong = text[::2], text[1::2]

    summaries: dict[str, Any] = {}
    missing: dict[str, str] = {}
    measurements: list[Measurement] = []
    for category in CATEGORIES:
        key = f"sugarcrepe/{category}"
        rows = [i for i, choice in enumerate(choices) if choice.category == category]
        readable = [i for i in rows if names[i] in named.rows]
        if not readable:
            missing[key] = "none of its images can be read" if rows else f"{category}.json does not exist"
            continue
        owner = np.asarray([named.rows[names[i]] for i in readable], dtype=np.int64)
        image = named.features[torch.from_numpy(owner)]
        values = score_choices((image * right[readable]).sum(1), (image * wrong[readable]).sum(1))
        interval = share(values, owner).ends
        measurements.append(Measurement(f"{key}/top1", values, owner=owner, chance=0.5, interval=interval))
        summaries[category] = {
            "n": len(readable),
            "images": len(np.unique(owner)),
            "left_out": len(rows) - len(readable),
            "interval": list(interval),
        }
    facts = {"splits": summaries, "pictures": named.context()}
    return Evaluation(by_name(measurements), {"not_measured": missing, "sugarcrepe": facts})
