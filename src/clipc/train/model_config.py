"""Model configurations, in open_clip's format: clipc's own, open_clip's, or a file's."""

import json
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any, Final

import open_clip

from clipc.errors import UserError, unknown_name

CONFIG_FILE: Final = "open_clip_config.json"
Config = dict[str, Any]


def built_in_models() -> list[str]:
    """The small configurations that ship with clipc, for small images and CPUs."""
    folder = resources.files("clipc.train") / "models"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def model_config(name: str, image_size: int | None = None) -> Config:
    """The open_clip configuration of a model.

    Args:
        name: A configuration that ships with clipc, a name that open_clip knows (``ViT-B-32``), or the
            path of a JSON file in open_clip's format.
        image_size: Replaces the configuration's own image size, in pixels.

    Raises:
        UserError: No such model, or the file is no configuration.
    """
    if name in built_in_models():
        text = (resources.files("clipc.train") / "models" / f"{name}.json").read_text("utf-8")
        config: Config = json.loads(text)
    elif name.endswith(".json"):
        config = read_config(Path(name))
    else:
        found = open_clip.get_model_config(name)
        if found is None:
            raise unknown_name("model", name, [*built_in_models(), *open_clip.list_models()])
        config = deepcopy(found)
    if image_size is not None:
        config["vision_cfg"]["image_size"] = image_size
    return config


def read_config(path: Path) -> Config:
    """The configuration in a JSON file, with or without what open_clip puts around it.

    Raises:
        UserError: It cannot be read, or is none.
    """
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"the model configuration {path} cannot be read: {error}.") from error
    config = config.get("model_cfg", config) if isinstance(config, dict) else {}
    missing = [k for k in ("embed_dim", "vision_cfg", "text_cfg") if k not in config]
    if missing:
        raise UserError(f"{path} is no open_clip model configuration: {', '.join(missing)} is missing.")
    return config
