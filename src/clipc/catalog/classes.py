"""Readable class names, from ``classes.json`` beside the data or from the labels, and captions made from them."""

import json
from pathlib import Path
from typing import Any

from clipc.catalog.catalog import inside
from clipc.catalog.rows import SourceInfo
from clipc.errors import UserError

_CLASS_SENTENCE = {"en": "a photo of {article} {name}", "ja": "{name}の写真"}


def read_class_names(folder: Path, info: SourceInfo) -> None:
    """Reads ``classes.json`` in a folder, where there is one.

    Either flat, ``{label: readable name}``, or one such object a label column, the main column first:
    ``{"shape": {"gear": "gear"}, "state": {"ok": "undamaged"}}``.

    Raises:
        UserError: The file is not of that form.
    """
    path = beside_data(folder, "classes.json")
    if path is None:
        return
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    if _is_flat(raw):
        info.class_names["label"] = raw
    elif isinstance(raw, dict) and all(_is_flat(names) for names in raw.values()):
        info.class_names.update(raw)
        info.label_columns.extend(raw)
    else:
        raise UserError(
            f"{path} must be an object of labels and their readable names, or one such object for each label column."
        )


def beside_data(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder; None where there is none, or a link that leads out of the folder."""
    try:
        path = inside(folder, name)
    except UserError:
        return None
    return path if path.is_file() else None


def readable(label: str) -> str:
    """A class label as words: ``pitted_surface`` becomes ``pitted surface``."""
    return label.replace("_", " ").strip() or label


def class_caption(name: str, lang: str = "en") -> str:
    """The caption of an image of which only the class is known: ``a photo of a {class name}``."""
    article = "an" if name[:1].lower() in set("aeiou") else "a"
    return _CLASS_SENTENCE.get(lang, _CLASS_SENTENCE["en"]).format(name=name, article=article)


def _is_flat(raw: Any) -> bool:
    return isinstance(raw, dict) and all(isinstance(name, str) for name in raw.values())
