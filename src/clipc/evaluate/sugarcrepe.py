"""SugarCrepe (Hsieh, Zhang, Ma, Kembhavi, Krishna, arXiv 2306.14610) on files that the user has.

An image chooses between its caption and a hard negative: something was added, replaced or swapped in it. A guess is
right half of the time.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from clipc.errors import UserError
from clipc.evaluate.benchmark import embed_named, read_inside, texts_of
from clipc.evaluate.choices import score_choices, share
from clipc.evaluate.embed import Encoder, embed_texts
from clipc.evaluate.evaluation import Evaluation
from clipc.evaluate.measurement import Measurement, by_name
from clipc.evaluate.retrieval import check_features
from clipc.progress import Progress, silent

SPLITS = ("add_att", "add_obj", "replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")
"""The seven kinds of negatives, a JSON file each."""


class Choice(NamedTuple):
    """One image, its caption and a wrong one."""

    split: str
    filename: str
    caption: str
    negative: str


def read_sugarcrepe(folder: Path) -> list[Choice]:
    """The choices of all splits whose files are there, in the order of :data:`SPLITS`.

    Args:
        folder: What holds ``add_att.json`` and so on, or a folder whose ``data`` does.

    Raises:
        UserError: None of the files is there, or one is not as published.
    """
    for place in (folder, folder / "data"):
        files = {split: place / f"{split}.json" for split in SPLITS if (place / f"{split}.json").is_file()}
        if files:
            return [choice for split, file in files.items() for choice in _read(split, file)]
    raise UserError(f"{folder} holds none of SugarCrepe's files ({', '.join(f'{split}.json' for split in SPLITS)}).")


def _read(split: str, file: Path) -> list[Choice]:
    try:
        table: object = json.loads(file.read_text("utf-8-sig"))
    except (ValueError, OSError) as error:
        raise UserError(f"{file} cannot be read as JSON ({error}); download it again.") from error
    if not isinstance(table, dict) or not table:
        raise UserError(f"{file} must be a JSON object of numbered choices, as SugarCrepe publishes it.")
    names = ("filename", "caption", "negative_caption")
    rows = cast("dict[str, object]", table).items()
    return [Choice(split, *texts_of(row, names, f"{file}, entry {key!r}")) for key, row in rows]


def evaluate_sugarcrepe(model: Encoder, folder: Path, images: Path, *, progress: Progress = silent) -> Evaluation:
    """For each split the share of images that are nearer to their caption than to the wrong one.

    Args:
        model: The model, in evaluation mode.
        folder: The seven JSON files, or some of them.
        images: The images of COCO's val2017.
        progress: Called with the number of images and texts encoded.

    Returns:
        Metrics ``sugarcrepe/SPLIT/top1``, no average over splits; in
        ``context["sugarcrepe"]`` for each split ``n``, ``images``, ``left_out`` (its image could not be read) and the
        95% interval, and which images were read; in ``context["not_measured"]`` splits that are not there.

    Raises:
        UserError: A file is missing or not as published, a name leads out of ``images``, or no image can be read.
    """
    choices = read_sugarcrepe(folder)
    names, load = [choice.filename for choice in choices], partial(read_inside, images)
    images_read = embed_named(model, names, load, str(images), progress=progress)
    sentences = [text for choice in choices for text in (choice.caption, choice.negative)]
    text = embed_texts(model, sentences, progress=progress)
    check_features(text)
    right, wrong = text[::2], text[1::2]

    summaries: dict[str, Any] = {}
    missing: dict[str, str] = {}
    measured: list[Measurement] = []
    for split in SPLITS:
        key, of_split = f"sugarcrepe/{split}", [i for i, choice in enumerate(choices) if choice.split == split]
        readable = [i for i in of_split if names[i] in images_read.rows]
        if not readable:
            missing[key] = "none of its images can be read" if of_split else f"{split}.json is not there"
            continue
        owner = np.asarray([images_read.rows[names[i]] for i in readable], dtype=np.int64)
        image = images_read.features[torch.from_numpy(owner)]
        values = score_choices((image * right[readable]).sum(1), (image * wrong[readable]).sum(1))
        interval = share(values, owner).ends
        measured.append(Measurement(f"{key}/top1", values, owner=owner, chance=0.5, interval=interval))
        summaries[split] = {
            "n": len(readable),
            "images": len(np.unique(owner)),
            "left_out": len(of_split) - len(readable),
            "interval": list(interval),
        }
    facts = {"splits": summaries, "pictures": images_read.context()}
    return Evaluation(by_name(measured), {"not_measured": missing, "sugarcrepe": facts})
