"""The files and splits that the card of a dataset of the Hugging Face Hub names: ``configs`` in its ``README.md``."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from clipc.errors import UserError, first_names
from clipc.yaml_text import parse_yaml

_MAX_CARD = 1 << 20


def card_files(root: Path, files: Sequence[str]) -> dict[str, str | None]:
    """The files of the only configuration in the card, each with its split where the card names one.

    Args:
        root: The folder of a cloned dataset.
        files: The files below it, relative to it, with ``/``.

    Returns:
        The files in their order; none where there is no card, it names no files, or none of those exists.

    Raises:
        UserError: Files of several configurations exist, or a file is in two splits.
    """
    if "README.md" not in files:
        return {}
    found: dict[str, dict[str, str | None]] = {}
    for config in _configs(root / "README.md"):
        name = str(config.get("config_name", "default"))
        if of_config := _matched(root, config, files):
            found[name] = of_config
    if len(found) > 1:
        listed = [f"{name} ({first_names(list(of_config), 1)})" for name, of_config in found.items()]
        raise UserError(
            f"{root}/README.md names {len(found)} configurations, {first_names(listed)}; name the folder of one, or "
            "its files by a pattern in quotation marks."
        )
    return next(iter(found.values()), {})


def _configs(card: Path) -> list[dict[str, Any]]:
    """The configurations in the card's front matter, the YAML between two lines ``---``."""
    with card.open("rb") as opened:
        head = opened.read(_MAX_CARD).decode("utf-8", "replace").removeprefix("\ufeff")
    front, end, _ = head.replace("\r\n", "\n").removeprefix("---\n").partition("\n---")
    if not head.startswith("---") or not end or "data_files" not in front:
        return []
    try:
        meta: Any = parse_yaml(front, str(card))
    except UserError:
        return []
    configs: Any = meta.get("configs") if isinstance(meta, dict) else None
    return [config for config in configs if isinstance(config, dict)] if isinstance(configs, list) else []


def _matched(root: Path, config: dict[str, Any], files: Sequence[str]) -> dict[str, str | None]:
    """The files that a configuration names, with their splits."""
    data: Any = config.get("data_files")
    if isinstance(data, dict):
        data = [{"split": split, "path": path} for split, path in data.items()]
    entries: list[Any] = data if isinstance(data, list) else [data]
    folder = str(config.get("data_dir") or "").strip("./")
    found: dict[str, str | None] = {}
    for entry in entries:
        split, paths = (entry.get("split"), entry.get("path")) if isinstance(entry, dict) else (None, entry)
        for path in paths if isinstance(paths, list) else [paths]:
            if not isinstance(path, str):
                continue
            pattern = f"{folder}/{path}" if folder else path.removeprefix("./")
            for file in files:
                if not fnmatchcase(file, pattern):
                    continue
                if split is not None and found.get(file, split) != split:
                    raise UserError(f"{root}/README.md names {file} for two splits, {found[file]} and {split}.")
                found[file] = None if split is None else str(split)
    return found
