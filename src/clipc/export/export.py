"""A trained model as a folder that open_clip loads, on this machine or from the Hugging Face Hub."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from clipc.errors import UserError
from clipc.export.model_card import model_card
from clipc.export.onnx import export_onnx
from clipc.models.model import ClipModel
from clipc.models.model_config import Config, model_folder
from clipc.models.weights_mark import file_mark
from clipc.models.whole_folder import whole_folder
from clipc.recipe.run import Run

MARK_FILE: Final = ".clipc-export.json"
"""Lists the files of an export with their hashes, so that the next one replaces nothing else."""


def export_model(
    run: str | Path, folder: Path, *, onnx: bool = False, hub_id: str | None = None, license: str = "unknown"
) -> Path:
    """Writes a model as open_clip and the Hugging Face Hub lay it out, with a card.

    The folder loads as ``local-dir:FOLDER`` and, pushed as it is, as ``hf-hub:org/name``: the same weights to the last
    bit, the same tokens, the same preprocessing. Written are ``open_clip_config.json``,
    ``open_clip_model.safetensors``, the tokenizer's files where it is not CLIP's own, ``README.md`` and, if asked for,
    ``onnx/``.

    Args:
        run: A run's folder, whose best model is taken, or a model's.
        folder: New, empty, or an earlier export that nobody has changed since.
        onnx: Whether both towers are written as ONNX too (:func:`export_onnx`).
        hub_id: The repository it is meant for, ``org/name``. A tokenizer that is not CLIP's own is looked for there
            by open_clip, so a model with a learnt vocabulary needs it to load from the Hub; folders load without too.
        license: For the card, an identifier of the Hub's such as ``mit``.

    Returns:
        The folder.

    Raises:
        UserError: There is no model, the folder holds something else, a name is malformed, a tower cannot be exported
            to ONNX, or the disk is full. What was in the folder before stays.
    """
    _check_name("hub_id", hub_id, r"[\w.-]+/[\w.-]+", "org/name")
    _check_name("license", license, r"[a-z0-9][a-z0-9.-]*", "an identifier such as mit")
    _check_free(folder)
    lies = model_folder(run)
    source, model = _run_of(lies), ClipModel.load(lies)
    model.config = _found_in(hub_id, model.config)
    with whole_folder(folder) as new:
        model.save(new)
        differences = export_onnx(model, new / "onnx") if onnx else {}
        name = hub_id or (source.folder if source else lies).resolve().name
        card = model_card(model, name, source, hub_id=hub_id, license=license, onnx=differences)
        (new / "README.md").write_text(card, "utf-8")
        marks = {file.relative_to(new).as_posix(): file_mark(file) for file in _files(new)}
        facts: dict[str, Any] = {"clipc": version("clipc"), "onnx": differences, "files": marks}
        (new / MARK_FILE).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    return folder


def exported_facts(folder: Path) -> Mapping[str, Any]:
    """What an export says of itself: ``clipc`` (the version), ``onnx`` (largest differences) and ``files`` (hashes)."""
    return json.loads((folder / MARK_FILE).read_text("utf-8"))


def _check_name(what: str, given: str | None, pattern: str, form: str) -> None:
    if given is not None and not re.fullmatch(pattern, given, re.ASCII):
        raise UserError(f"{what} {given!r} cannot be used; write {form}.")


def _check_free(folder: Path) -> None:
    """That nothing is lost if the folder is replaced."""
    if folder.is_file():
        raise UserError(f"{folder} is a file; name a folder.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / MARK_FILE).is_file():
        raise UserError(f"{folder} was not written by an export; name a new folder.")
    known = exported_facts(folder)["files"]
    for file in _files(folder):
        name = file.relative_to(folder).as_posix()
        if name != MARK_FILE and known.get(name) != file_mark(file):
            raise UserError(f"{name} in {folder} is not as an export wrote it; move it away, or name a new folder.")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _run_of(lies: Path) -> Run | None:
    """The run whose best model this is."""
    return Run(lies.parent) if lies.name == "model" and (lies.parent / "recipe.yaml").is_file() else None


def _found_in(hub_id: str | None, config: Config) -> Config:
    """The configuration whose tokenizer is looked for in a repository."""
    if hub_id is None or not config["text_cfg"].get("hf_tokenizer_name"):
        return config
    return {**config, "text_cfg": {**config["text_cfg"], "hf_tokenizer_name": hub_id}}
