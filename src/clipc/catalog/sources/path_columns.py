"""Which column of a table holds the paths of images, and what is in one that does not."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from clipc.catalog.rows import IMAGE_SUFFIXES
from clipc.catalog.sources.paths.file_names import is_named_otherwise
from clipc.catalog.sources.template import plain_name
from clipc.catalog.values import image_name, is_encoded_image
from clipc.errors import UserError, first_names

OF_IMAGES = re.compile("image|画像")
"""What the names of columns of images' numbers have in them."""

_TRIED = 50


def image_column(
    by_name: Sequence[str],
    keys: Sequence[str],
    names: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    hits: Callable[[Sequence[str]], int],
    where: str,
) -> str | None:
    """A column with the name and the values of image paths; else with the values; else with names of files or the name.

    Web addresses are taken only where nothing else is there.

    Raises:
        UserError: Several columns without such a name hold different image files.
    """
    texts = {name: [image_path(row.get(name)) for row in sample] for name in names}

    def holds(name: str, remote: bool) -> bool:
        paths = [t for t in texts[name] if t.lower().endswith(IMAGE_SUFFIXES) and is_web_address(t) == remote]
        return 2 * len(paths) > len(texts[name])

    by_value = [name for name in names if holds(name, remote=False)]
    if named := [name for name in by_name if name in by_value]:
        return named[0]
    if by_value:
        return _only_one(by_value, texts, hits, where)
    # Numbers of rows are not numbers of images, although files may have the same ones.
    keys = [name for name in keys if OF_IMAGES.search(plain_name(name)) or not _is_counted(texts[name])]
    for name in (*by_name, *keys):
        some = [text for text in texts[name] if text and not is_web_address(text)][:_TRIED]
        if 2 * hits(some) > len(some):
            return name
    return next(iter(by_name), next((name for name in names if holds(name, remote=True)), None))


def _only_one(
    columns: Sequence[str], texts: Mapping[str, list[str]], hits: Callable[[Sequence[str]], int], where: str
) -> str:
    """The one of several columns of image paths whose files are there and are no masks, or the first if none is.

    Raises:
        UserError: There are several, which name different files.
    """
    different = {tuple(texts[name]): name for name in reversed(columns) if not is_named_otherwise(name)}
    candidates = [name for name in columns if name in different.values()]
    there = [name for name in candidates if len(candidates) > 1 and hits([t for t in texts[name] if t][:_TRIED])]
    if len(there) > 1:
        raise UserError(
            f"{where}: the columns {first_names(there)} name different image files; name the one that the captions "
            "describe with --image-column."
        )
    return next(iter(there), next(iter(candidates), columns[0]))


def refuse_encoded(columns: Sequence[str], sample: Sequence[Mapping[str, Any]], where: str) -> None:
    """Refuses a table whose images are written into it as text.

    Raises:
        UserError: At least half of the values of a column are such.
    """
    for name in columns:
        values = [text for row in sample if isinstance(text := row.get(name), str) and text]
        if values and 2 * sum(map(is_encoded_image, values)) >= len(values):
            raise UserError(
                f"{where}: the column {name} holds images as text (base64); save them as files and write their names "
                "there."
            )


def _is_counted(texts: Sequence[str]) -> bool:
    """Whether all texts are numbers without leading zeros."""
    return all(text.isdecimal() and (text == "0" or text[0] != "0") for text in texts if text)


def image_path(value: Any) -> str:
    """The path in a cell of image paths; empty if there is none, or several."""
    with suppress(ValueError):
        return image_name(value) or ""
    return ""


def is_web_address(path: str) -> bool:
    """Whether a path is an address of another computer."""
    return "://" in path[:12] and path[:5].lower() != "file:"
