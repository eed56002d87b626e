"""Fingerprints of models, weights and tables: they depend on the content, not on where it is stored."""

import json
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Final

from clipc.compose.policy import names_file
from clipc.errors import UserError
from clipc.files import checksum

_IGNORED_SUFFIXES: Final = (".md", ".onnx")


def weights_fingerprint(name: str, pretrained: str | None = None) -> str | None:
    """A fingerprint of a model's initial weights.

    For weights on this machine it is a hash of their content: a folder that was moved keeps its fingerprint, and a file
    that was changed gets another. For weights that a package brings it is computed from their pinned hash, so the
    package need not be installed.

    Args:
        name: As for :func:`clipc.models.model_config.find_start`.
        pretrained: As there.

    Returns:
        32 hexadecimal digits for a folder, a file, or a configuration that asks for pretrained trunks, which is hashed
        together with their weights; the repository (``hf-hub:org/name``) or the tag for weights from the Hugging Face
        Hub; None for fresh weights.

    Raises:
        UserError: The folder holds no model, there is no such file or tag, or ``pretrained`` is given for a model that
            brings its own weights.
    """
    # Recipes are read without loading open_clip.
    from clipc.models.model_config import HUB_PREFIX, is_folder, is_published, model_config, weights_file
    from clipc.models.starter import packaged_trunks, trunk_towers

    if pretrained is not None:
        return pretrained if is_published(name, pretrained) else file_fingerprint(weights_file(name, pretrained))
    if is_folder(name):
        return folder_fingerprint(name)
    if name.startswith(HUB_PREFIX):
        return name
    config = model_config(name)
    if not trunk_towers(config):
        return None
    hashes = [trunk.sha256 for trunk in packaged_trunks(config)]  # Trunks from a hub are named in the configuration.
    return blake2b(json.dumps([config, hashes], sort_keys=True).encode(), digest_size=16).hexdigest()


def reference_fingerprint(name: str | None) -> str | None:
    """A fingerprint of what a policy compares pairs with: a hash of a model's folder if there is one, else the name.

    Args:
        name: ``policy.embedding`` (``captions``, ``column:NAME`` or a folder) or ``policy.reference`` (a folder).

    Raises:
        UserError: The folder holds no model.
    """
    if name is None or name == "captions" or name.startswith("column:"):
        return name
    return folder_fingerprint(name) if Path(name.removeprefix("local-dir:")).is_dir() else name


def scorer_fingerprint(name: str) -> str:
    """A fingerprint of what scores composites: of a model's weights if it is on this machine, else its name.

    Args:
        name: ``policy.score.by``: ``checks``, ``baseline``, ``random``, a folder, ``NAME:FILE``, or a name of a hub's.

    Raises:
        UserError: The folder holds no model.
    """
    if Path(name.removeprefix("local-dir:")).is_dir():
        return folder_fingerprint(name.removeprefix("local-dir:"))
    model, _, weights = name.partition(":")
    return f"{model}:{file_fingerprint(Path(weights))}" if weights and Path(weights).is_file() else name


def table_fingerprint(name: str) -> str:
    """A fingerprint of a table that a policy reads: a hash of the file's content if it is one, else the name.

    Args:
        name: ``policy.weights`` or ``policy.region``: a file, or the name of a column.
    """
    return file_fingerprint(Path(name)) if names_file(name) and Path(name).is_file() else name


def folder_fingerprint(folder: str | Path) -> str:
    """A hash of a model: of the names, sizes and contents of the files in its folder.

    Hidden files, Markdown files (the model card) and ONNX exports do not count.

    Raises:
        UserError: The folder holds no model.
    """
    from clipc.models.model_config import model_folder

    digest = blake2b(digest_size=16)
    for path in sorted(model_folder(folder).iterdir()):
        if path.is_file() and path.suffix not in _IGNORED_SUFFIXES and not path.name.startswith("."):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as stream:
                file_digest(stream, lambda: digest)
    return digest.hexdigest()


def file_fingerprint(file: Path) -> str:
    """A hash of a file's content.

    Raises:
        UserError: There is no such file.
    """
    if not file.is_file():
        raise UserError(f"there is no weights file {file}; pretrained is a file or a tag of open_clip's.")
    return checksum(file)
