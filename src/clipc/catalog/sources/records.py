"""What a JSON file says of one image: captions, label, split and metadata."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from clipc.catalog.rows import Value
from clipc.catalog.sources.headings import caption_columns
from clipc.catalog.values import captions, labels, main_label, plain_values
from clipc.json_files import parse_json
from clipc.limits import NAME


class ImageRecord(NamedTuple):
    """What is known of one image.

    Attributes:
        captions: All captions; none, or empty ones, where it has none.
        label: The main class label.
        split: The split's name.
        more: Metadata.
        has_unread_label: Whether there is a label that is an object or a list of numbers.
    """

    captions: list[str]
    label: str | None
    split: str | None
    more: dict[str, Value]
    has_unread_label: bool


def read_record(text: str | bytes) -> dict[str, Any]:
    """The object that a JSON text holds; a caption or a list of captions alone becomes an object that holds it.

    Raises:
        ValueError: It holds something else.
    """
    try:
        record = parse_json(text)
    except ValueError as error:
        raise ValueError(f"its .json is damaged: {error}") from None
    if isinstance(record, str) or (
        isinstance(record, list) and record and all(isinstance(item, str | dict) for item in record)
    ):
        return {"captions": record}
    if not isinstance(record, dict):
        raise ValueError("its .json holds no object")
    return record


def image_record(record: Mapping[str, Any], lang: str, has_text: bool) -> ImageRecord:
    """Reads the object of one image.

    Captions are ``captions`` and ``caption``; where neither is there, the columns by whose names a table's captions are
    recognised, such as ``text``. Labels are ``label`` or ``labels``.

    Args:
        record: The object.
        lang: The language to take where captions are in several.
        has_text: Whether the image has its caption in another file too, so that only the first names count.

    Raises:
        ValueError: A caption is something else than texts.
    """
    rest = dict(record)
    names = [name for name in ("captions", "caption") if name in rest]
    if not (names or has_text):
        names = _caption_names(tuple(rest), lang)
    texts = [text for name in names for text in captions(rest.pop(name), lang)]
    try:
        found, unread = labels(rest.pop("label", None) or rest.pop("labels", None)), False
    except (ValueError, RecursionError):
        found, unread = [], True
    label = main_label(found, more := {})
    split = rest.pop("split", None)
    split = split if isinstance(split, str) and 0 < len(split.strip()) <= NAME else None
    return ImageRecord(texts, label, split, plain_values(rest) | more, unread)


def are_worth_reading(records: Sequence[Mapping[str, Any]], lang: str, has_texts: bool) -> bool:
    """Whether the objects beside images, of which these are the first, are to be read.

    At least half must have a caption; or, where captions are in texts too, a label, a split or several captions:
    img2dataset's, which repeat the text, need not be read.
    """
    count = 0
    for record in records:
        with suppress(ValueError):
            found = image_record(record, lang, has_text=False)
            has_caption = any(map(str.strip, found.captions))
            count += bool(found.label or found.split or len(found.captions) > 1) if has_texts else has_caption
    return count > 0 and 2 * count >= len(records)


@lru_cache(maxsize=1000)
def _caption_names(names: tuple[str, ...], lang: str) -> list[str]:
    return caption_columns(names, lang)
