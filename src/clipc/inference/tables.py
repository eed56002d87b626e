"""Searches and classifications as tables, ready for JSON and pages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipc.audit.thumbnails import data_uri, fitted, of_rows
from clipc.catalog.catalog import Catalog
from clipc.catalog.images.decode import DecodeError, decode
from clipc.compose.arrays import Bytes, Int64s
from clipc.errors import UserError
from clipc.inference.classify import Answers, ImageClassifier, measure_classifier
from clipc.inference.image_index import ImageIndex
from clipc.inference.search import Hit
from clipc.progress import Progress, silent

THUMBNAIL: Final = 200
"""The longer side of images on pages, in pixels."""

MAX_FILE_BYTES: Final = 50_000_000
"""The largest image file that is searched for."""


def search_tables(index: ImageIndex, query: str, hits: Sequence[Hit], *, image_query: bool = False) -> dict[str, Any]:
    """The result of a search.

    Returns:
        ``kind``, ``source``, ``model``, ``query``, ``image_query``, ``total`` (number of images), ``hits`` (for each
        ``rank``, ``row``, ``key``, ``score``, ``typical``, ``weak``, ``captions`` and ``label``; see :class:`Hit`),
        ``created`` and ``clipc``.
    """
    return {
        **_facts("search", index),
        "query": query,
        "image_query": image_query,
        "total": len(np.unique(index.places)),
        "hits": [{"rank": rank, **hit_row(hit)} for rank, hit in enumerate(hits, 1)],
    }


def hit_row(hit: Hit) -> dict[str, Any]:
    """A hit's fields, rounded."""
    return {
        "row": hit.row,
        "key": hit.key,
        "score": round(hit.score, 4),
        "typical": None if hit.typical is None else round(hit.typical, 3),
        "weak": hit.weak,
        "captions": hit.captions,
        "label": hit.label,
    }


def classify_tables(model: ImageClassifier, index: ImageIndex, rows: Int64s | None = None) -> dict[str, Any]:
    """The classes of images, and what is known of the classifier.

    Args:
        model: The classifier.
        index: The images.
        rows: The pairs to classify; all by default.

    Returns:
        ``kind``, ``source``, ``model``, ``classes``, ``templates``, ``calibration``
        (:class:`~clipc.inference.calibration.Calibration`), ``measured`` (on the test split, if it has labels),
        ``counts`` (``n``, ``answered``, ``abstained``), ``rows`` (for each image ``row``, ``key``, ``class``,
        ``probability``, ``answered``, and ``alarms``, the classes that raise theirs), ``created`` and ``clipc``.
    """
    chosen = np.arange(len(index)) if rows is None else rows
    answers = model(index.features(chosen))
    answered = int(answers.answered.sum())
    return {
        **_facts("classify", index),
        "classes": list(model.names),
        "templates": model.templates,
        "calibration": model.calibration.as_json(),
        "measured": measure_classifier(model, index),
        "counts": {"n": len(chosen), "answered": answered, "abstained": len(chosen) - answered},
        "rows": answer_rows(model, answers, [(int(row), index.catalog.keys[row]) for row in chosen]),
    }


def answer_rows(model: ImageClassifier, answers: Answers, images: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    """A classifier's answers, one row an image.

    Args:
        model: The classifier.
        answers: What it says of n images.
        images: The row and the key of each image, n.
    """
    alarms = [alarm.name for alarm in model.calibration.alarms]
    return [
        {
            "row": row,
            "key": key,
            "class": model.names[answers.choice[i]],
            "probability": round(float(answers.probability[i]), 4),
            "answered": bool(answers.answered[i]),
            "alarms": [name for name, raised in zip(alarms, answers.alarms[i], strict=True) if raised],
        }
        for i, (row, key) in enumerate(images)
    ]


def with_images(rows: Sequence[dict[str, Any]], catalog: Catalog, progress: Progress = silent) -> list[dict[str, Any]]:
    """The rows with a small copy of their image as a ``data:`` address under ``image``; without those unreadable now.

    Args:
        rows: Rows with ``row``, a row of the catalog.
        catalog: The pairs.
        progress: Called with the number of images.
    """
    shown = of_rows(catalog, [row["row"] for row in rows], thumbnail, what="showing images", progress=progress)
    return [{**row, "image": shown[row["row"]]} for row in rows if row["row"] in shown]


def thumbnail(image: Bytes) -> str:
    """A small copy of an image as a ``data:`` address."""
    return data_uri(fitted(image, THUMBNAIL))


def read_image_file(file: Path) -> Bytes:
    """The image in a file, RGB ``uint8``, shape (height, width, 3).

    Raises:
        UserError: There is no such file, or it holds no image, or too large a one.
    """
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise UserError(f"{file} is larger than {MAX_FILE_BYTES / 1e6:.0f} MB; name a smaller image.")
        return decode(file.read_bytes())
    except (OSError, DecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"the image {file} cannot be read ({reason}); name another file.") from error


def _facts(kind: str, index: ImageIndex) -> dict[str, Any]:
    about = index.catalog.about
    return {
        "kind": kind,
        "source": {"name": about.name, "fingerprint": index.catalog.fingerprint, "generated": about.generated},
        "model": index.model.as_json(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "clipc": version("clipc"),
    }
