"""Export of a trained model to a folder in the layout of open_clip and the Hugging Face Hub."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from clipc.errors import UserError
from clipc.export.model_card import model_card
from clipc.export.onnx import export_onnx
from clipc.files import checksum, whole_folder
from clipc.models.model import ClipModel
from clipc.models.model_config import model_folder
from clipc.recipe.run import Run

MANIFEST: Final = ".clipc-export.json"
"""The file that lists an export's files with their hashes, so that the next export replaces no other files."""
_IN_REPOSITORY: Final = ("hf_model_name", "hf_tokenizer_name")
"""The keys of ``text_cfg`` that name a repository whose files an export has too."""


def export_model(
    run: str | Path, folder: Path, *, onnx: bool = False, hub_id: str | None = None, license: str = "unknown"
) -> Path:
    """Writes a model in the layout of open_clip and the Hugging Face Hub, with a model card.

    open_clip loads the folder as ``local-dir:FOLDER`` and, after a push to the Hub, as ``hf-hub:org/name``. Weights are
    equal to the last bit; tokens and preprocessing are the same. The folder contains ``open_clip_config.json``,
    ``open_clip_model.safetensors``, the tokenizer's files if it is not CLIP's own, ``config.json`` for a Hugging Face
    text tower, ``README.md`` and, optionally, ``onnx/``.

    Args:
        run: The folder of a run, whose result is exported, or of a model.
        folder: The folder to write: new, empty, or an unchanged earlier export, which is replaced.
        onnx: Whether to write both towers as ONNX too (:func:`export_onnx`).
        hub_id: The target repository, ``org/name``. A model whose tokenizer is not CLIP's own needs it on the Hub,
            because open_clip loads the tokenizer, and the configuration of a Hugging Face text tower, from that
            repository; a local folder loads without it.
        license: A license identifier of the Hub for the model card, such as ``mit``.

    Returns:
        The folder.

    Raises:
        UserError: There is no model, the folder has other content, ``hub_id`` or ``license`` is malformed, a tower
            cannot be exported to ONNX, or the disk is full. The previous content of the folder is unchanged.
    """
    _check_name("hub_id", hub_id, r"[\w.-]+/[\w.-]+", "org/name")
    _check_name("license", license, r"[a-z0-9][a-z0-9.-]*", "an identifier such as mit")
    _check_replaceable(folder)
    source = model_folder(run)
    model = ClipModel.load(source)
    is_best_of_run = source.name == "model" and (source.parent / "recipe.yaml").is_file()
    training = Run(source.parent) if is_best_of_run else None
    config, text = model.config, model.config["text_cfg"]
    with whole_folder(folder) as new:
        if hub_id is not None:
            model.config = {**config, "text_cfg": text | {key: hub_id for key in _IN_REPOSITORY if text.get(key)}}
        model.save(new)
        model.config = config
        differences = export_onnx(model, new / "onnx") if onnx else {}
        name = hub_id or (training.folder if training else source).resolve().name
        card = model_card(model, name, training, hub_id=hub_id, license=license, onnx=differences)
        (new / "README.md").write_text(card, "utf-8")
        manifest = {"clipc": version("clipc"), "onnx": differences, "files": _checksums(new)}
        (new / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    return folder


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """The manifest of an export.

    Returns:
        ``clipc`` (its version), ``onnx`` (for each tower the largest difference between ONNX Runtime and PyTorch) and
        ``files`` (the hash of each file).

    Raises:
        UserError: The manifest is damaged.
    """
    file = folder / MANIFEST
    try:
        manifest = json.loads(file.read_text("utf-8"))
        if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
            raise ValueError("it lists no files")
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); move the folder away, or name a new one.") from error
    return manifest


def _check_name(argument: str, value: str | None, pattern: str, form: str) -> None:
    if value is not None and not re.fullmatch(pattern, value, re.ASCII):
        raise UserError(f"{argument} {value!r} cannot be used; write {form}.")


def _check_replaceable(folder: Path) -> None:
    """Raises UserError unless a folder is new, empty or an unchanged export."""
    if folder.is_file():
        raise UserError(f"{folder} is a file; name a folder.")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} was not written by an export; name a new folder.")
    expected = read_manifest(folder)["files"]
    for name, digest in _checksums(folder).items():
        if name != MANIFEST and expected.get(name) != digest:
            raise UserError(f"{name} in {folder} is not as an export wrote it; move it away, or name a new folder.")


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): checksum(file) for file in files}
