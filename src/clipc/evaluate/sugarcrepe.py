"""SugarCrepe (Hsieh, Zhang, Ma, Kembhavi, Krishna, arXiv 2306.14610) on files that the user has.

An image chooses between its caption and a hard negative: something was added, replaced or swapped in it. A guess is
right half of the time.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from clipc.errors import UserError
from clipc.evaluate.benchmark import embed_named, load_from, texts_of
from clipc.evaluate.choices import share, won
from clipc.evaluate.embed import Encoder, embed_texts
from clipc.evaluate.evaluation import Evaluation
from clipc.evaluate.measurement import Measurement, by_name
from clipc.evaluate.retrieval import check_features
from clipc.progress import Progress, silent

SPLITS = ("add_att", "add_obj", "replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")
"""The seven kinds of negatives, a JSON file each."""


class Choice(NamedTuple):
    """One image, its caption and a wrong one."""

    filename: str
    caption: str
    negative: str


def read_sugarcrepe(folder: Path) -> dict[str, list[Choice]]:
    """The choices of each split whose file is there, in the order of :data:`SPLITS`.

    Args:
        folder: What holds ``add_att.json`` and so on, or a folder whose ``data`` does.

    Raises:
        UserError: None of the files is there, or one is not as published.
    """
    for place in (folder, folder / "data"):
        files = {split: place / f"{split}.json" for split in SPLITS if (place / f"{split}.json").is_file()}
        if files:
            return {split: _read(file) for split, file in files.items()}
    raise UserError(f"{folder} holds none of SugarCrepe's files ({', '.join(f'{split}.json' for split in SPLITS)}).")


def _read(file: Path) -> list[Choice]:
    try:
        table: object = json.loads(file.read_text("utf-8-sig"))
    except (ValueError, OSError) as error:
        raise UserError(f"{file} cannot be read as JSON ({error}); download it again.") from error
    if not isinstance(table, dict) or not table:
        raise UserError(f"{file} must be a JSON object of numbered choices, as SugarCrepe publishes it.")
    rows = cast("dict[str, object]", table).items()
    return [
        Choice(*texts_of(row, ("filename", "caption", "negative_caption"), f"{file}, entry {key!r}"))
        for key, row in rows
    ]


def evaluate_sugarcrepe(
    model: Encoder, folder: Path, images: Path, *, batch_size: int = 256, progress: Progress = silent
) -> Evaluation:
    """For each split the share of images that are nearer to their caption than to the wrong one.

    Args:
        model: The model, in evaluation mode.
        folder: The seven JSON files, or some of them.
        images: The images of COCO's val2017.
        batch_size: How many images or texts are encoded at once.
        progress: Called with the number of images and texts encoded.

    Returns:
        Metrics ``sugarcrepe/SPLIT/top1``, no average over splits; in
        ``context["sugarcrepe"]`` for each split ``n``, ``images``, ``left_out`` (its picture could not be read) and the
        95% interval, and which images were read; in ``context["not_measured"]`` splits that are not there.

    Raises:
        UserError: A file is missing or not as published, a name leads out of ``images``, or no picture can be read.
    """
    splits = read_sugarcrepe(folder)
    every = [choice for choices in splits.values() for choice in choices]
    names = [choice.filename for choice in every]
    images_read = embed_named(model, names, load_from(images), str(images), batch_size=batch_size, progress=progress)
    sentences = list(dict.fromkeys(text for choice in every for text in (choice.caption, choice.negative)))
    text = embed_texts(model, sentences, batch_size=batch_size, progress=progress)
    check_features(text)
    number = {sentence: i for i, sentence in enumerate(sentences)}

    summaries: dict[str, Any] = {}
    missing: dict[str, str] = {}
    measured: list[Measurement] = []
    for split in SPLITS:
        key = f"sugarcrepe/{split}"
        if split not in splits:
            missing[key] = f"{split}.json is not there"
            continue
        readable = [choice for choice in splits[split] if choice.filename in images_read.rows]
        if not readable:
            missing[key] = "none of its pictures can be read"
            continue
        owner = np.asarray([images_read.rows[choice.filename] for choice in readable], dtype=np.int64)
        image = images_read.features[torch.from_numpy(owner)]
        right, wrong = (text[[number[choice[field]] for choice in readable]] for field in (1, 2))
        values = won((image * right).sum(1), (image * wrong).sum(1))
        interval = share(values, owner)
        measured.append(Measurement(f"{key}/top1", values, owner=owner, chance=0.5, interval=interval.ends))
        summaries[split] = {
            "n": len(readable),
            "images": len(np.unique(owner)),
            "left_out": len(splits[split]) - len(readable),
            "interval": [interval.low, interval.high],
        }
    facts = {"splits": summaries, "pictures": images_read.context()}
    return Evaluation(by_name(measured), {"not_measured": missing, "sugarcrepe": facts})
