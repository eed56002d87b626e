"""The data doctor: what will hurt training on these data, what limits its speed, and what to do."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from clipc.audit.checks.captions import alike_captions, bad_captions, languages
from clipc.audit.checks.classes import classes, splits
from clipc.audit.checks.context import long_captions
from clipc.audit.checks.duplicates import equal_images, mirrored_images, near_images
from clipc.audit.checks.pixels import small_regions, small_structures, tones
from clipc.audit.checks.rejects import doubts, rejects
from clipc.audit.checks.repeats import leaked_captions, repeated_captions
from clipc.audit.checks.shapes import shapes
from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import SEVERITIES, Check, Example, Finding
from clipc.audit.doctor_recipe import suggested_recipe
from clipc.audit.doctor_speed import loader_speed
from clipc.audit.doctor_views import model_views
from clipc.audit.thumbnails import data_uri, fitted, of_rows, row_list
from clipc.catalog.catalog import Catalog
from clipc.catalog.summary import summary
from clipc.models.model_config import model_config
from clipc.prepare.new_model import tokenizer_for
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe, read_recipe

CHECKS: Final[tuple[Check, ...]] = (
    rejects,
    doubts,
    splits,
    equal_images,
    near_images,
    mirrored_images,
    leaked_captions,
    bad_captions,
    alike_captions,
    languages,
    repeated_captions,
    long_captions,
    classes,
    shapes,
    tones,
    small_regions,
    small_structures,
)
"""All checks, in the order in which equally severe findings are listed."""

_IMAGES_SHOWN: Final = 6
_THUMBNAIL: Final = 112
_LONGEST_TEXT: Final = 400


def doctor(
    catalog: Catalog,
    recipe: Recipe | None = None,
    *,
    pixels: bool = True,
    speed: bool = True,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Examines a catalog before training.

    Args:
        catalog: The pairs, with splits (:meth:`~clipc.recipe.recipe.Data.open`).
        recipe: The recipe that would be trained; None suggests one.
        pixels: Whether images may be decoded. Without it, near-duplicates are judged by their hashes alone, and
            brightness, detail and speed are not examined.
        speed: Whether the loader's speed is measured.
        progress: Receives the number of images examined.

    Returns:
        Tables for :func:`clipc.report.doctor.render_doctor`, ready for JSON:

        - ``source``: see :func:`clipc.catalog.summary.summary`; ``model``: its ``name``, ``image_size``, ``context``,
          ``batch`` and whether the recipe was ``suggested``; ``examined``: what was (``pixels``, ``speed``).
        - ``findings``: the worst first, see :class:`~clipc.audit.doctor_finding.Finding`; of ``examples`` the first
          have ``images`` (``data:`` URIs).
        - ``loss``: the ``batch`` and the expected loss of an untrained model, ``untrained``: ln B for a batch of B,
          since softmax over B equal similarities gives each the probability 1 / B.
        - ``views``: see :func:`~clipc.audit.doctor_views.model_views`; ``speed``: see
          :func:`~clipc.audit.doctor_speed.loader_speed`; ``recipe``: see
          :func:`~clipc.audit.doctor_recipe.suggested_recipe`.
        - ``removed``: the ``key`` of each pair that a cleaned list leaves out, and the ``code`` of the finding.

    Raises:
        UserError: The recipe's model or tokenizer is not there.
    """
    suggestion = suggested_recipe(catalog)
    resolved = recipe or read_recipe(suggestion["name"], suggestion["changes"])
    size = resolved.image_size or _image_size(resolved.model)
    data = DoctorData(catalog, resolved, tokenizer_for(resolved, catalog), size, pixels, progress)
    findings = [finding for check in CHECKS for finding in check(data)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    images = _thumbnails(data, findings)
    batch = resolved.batch_size
    return {
        "clipc": version("clipc"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": summary(catalog),
        "model": {
            "name": resolved.model,
            "image_size": size,
            "context": data.tokenizer.max_text_tokens,
            "batch": batch,
            "suggested": recipe is None,
        },
        "examined": {"pixels": pixels, "speed": pixels and speed},
        "findings": [_table(data, finding, images) for finding in findings],
        "loss": {"batch": batch, "untrained": round(math.log(batch), 4)},
        "views": model_views(data),
        "speed": loader_speed(data) if pixels and speed else None,
        "recipe": suggestion,
        "removed": _removed(catalog, findings),
    }


def stops(tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings for which a user should not train yet: training would be in vain, or its metrics wrong."""
    return [finding for finding in tables["findings"] if finding["severity"] == "stop"]


def kept_keys(catalog: Catalog, tables: Mapping[str, Any]) -> list[str]:
    """The keys of the pairs that a cleaned list keeps, in the catalog's order.

    Args:
        catalog: The catalog that was examined.
        tables: What :func:`doctor` returned for it.
    """
    removed = {row["key"] for row in tables["removed"]}
    return [key for key in catalog.keys if key not in removed]


def without_images(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables without their images, for JSON files."""
    uris = ("whole", "window", "model")
    findings = [
        {**finding, "examples": [{k: v for k, v in row.items() if k != "images"} for row in finding["examples"]]}
        for finding in tables["findings"]
    ]
    views = [{k: v for k, v in view.items() if k not in uris} for view in tables["views"]]
    return {**tables, "findings": findings, "views": views}


def _image_size(model: str) -> int:
    size = model_config(model)["vision_cfg"].get("image_size", 224)
    return int(size if isinstance(size, int) else min(size))


def _thumbnails(data: DoctorData, findings: Sequence[Finding]) -> dict[int, str]:
    """Small images of the first examples, by row."""
    if not data.pixels:
        return {}
    rows = row_list(row for finding in findings for example in finding.examples[:_IMAGES_SHOWN] for row in example.rows)
    what = "showing examples"
    return of_rows(data.catalog, rows, _thumbnail, at_least=_THUMBNAIL, what=what, progress=data.progress)


def _thumbnail(image: Any) -> str:
    return data_uri(fitted(image, _THUMBNAIL), quality=75)


def _table(data: DoctorData, finding: Finding, images: Mapping[int, str]) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "count": finding.count,
        "total": finding.total,
        "share": round(finding.share, 6),
        "values": finding.values,
        "removes": len(finding.remove),
        "examples": [
            _example(data, example, images if number < _IMAGES_SHOWN else {})
            for number, example in enumerate(finding.examples)
        ],
    }


def _example(data: DoctorData, example: Example, images: Mapping[int, str]) -> dict[str, Any]:
    text = example.text if len(example.text) <= _LONGEST_TEXT else f"{example.text[:_LONGEST_TEXT]} ..."
    return {
        "keys": [data.catalog.keys[row] for row in example.rows],
        "splits": [str(data.splits[row]) for row in example.rows],
        "name": example.name,
        "text": text,
        "count": example.count,
        "images": [images[row] for row in example.rows if row in images],
    }


def _removed(catalog: Catalog, findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Key and code of each pair that a finding removes, by the first that does, in the catalog's order."""
    codes: dict[int, str] = {}
    for finding in findings:
        for row in np.asarray(finding.remove).tolist():
            codes.setdefault(int(row), finding.code)
    return [{"key": catalog.keys[row], "code": codes[row]} for row in sorted(codes)]
