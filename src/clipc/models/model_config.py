"""Where a model starts: its configuration in open_clip's format and, if there are any, its pretrained weights.

A model is named by a configuration (clipc's own, open_clip's, or a JSON file's), by the folder of a model or a run, or
by its repository on the Hugging Face Hub.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

import open_clip
from open_clip.pretrained import download_pretrained_from_hf

from clipc.errors import UserError, unknown_name
from clipc.files import complete_folder
from clipc.json_files import read_object
from clipc.models.config_schema import check_config
from clipc.models.starter import TEXT_TRUNK, TrunkWeights, package_folder, packaged_trunks, trunk_towers

CONFIG_FILE: Final = "open_clip_config.json"
WEIGHTS_FILE: Final = "open_clip_model.safetensors"
TEXT_CONFIG_FILE: Final = "config.json"
"""The configuration of a Hugging Face text tower, as transformers calls it, beside that of the whole model."""
HUB_PREFIX: Final = "hf-hub:"
LOCAL_DIR_PREFIX: Final = "local-dir:"
Config = dict[str, Any]

# In the order in which open_clip looks for them.
_WEIGHTS_FILES: Final = (
    WEIGHTS_FILE,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
_WEIGHTS_SUFFIXES: Final = (".safetensors", ".bin", ".pth")


@dataclass(frozen=True)
class Start:
    """The configuration and weights with which training starts.

    Attributes:
        config: Its open_clip configuration.
        preprocess: How images are normalised and resized, with the keys of open_clip's ``preprocess_cfg``; missing
            keys have open_clip's defaults.
        weights: The file with the weights of the whole model; None for random ones.
        trunks: Weights of single trunks, which take the place of random ones.
        text_folder: The folder with the configuration of a Hugging Face text tower; None if there is no such tower, or
            if transformers has to find the configuration by the tower's name.
    """

    config: Config
    preprocess: Config
    weights: Path | None
    trunks: tuple[TrunkWeights, ...] = ()
    text_folder: Path | None = None


def built_in_models() -> list[str]:
    """The small configurations that ship with clipc, for small images and CPUs."""
    folder = resources.files("clipc.models") / "configs"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def find_start(name: str, pretrained: str | None = None) -> Start:
    """Finds a model's configuration and weights, on this machine or on the Hugging Face Hub.

    Args:
        name: A configuration that ships with clipc, a name that open_clip knows (``ViT-B-32``), the path of a JSON file
            in open_clip's format, a run's or a model's folder (``local-dir:FOLDER`` too), or ``hf-hub:org/name``.
        pretrained: The weights for a configuration: a tag that open_clip knows (``laion2b_s34b_b79k``), or a file.
            None for folders and repositories, which bring their own weights.

    Raises:
        UserError: There is no such model, there are no such weights, the files cannot be fetched, or ``pretrained`` is
            given for a model that brings its own weights.
    """
    config, preprocess = _read_config(name)
    if pretrained is not None:
        return replace(_with_weights(name, config, preprocess, pretrained), text_folder=text_folder(name, config))
    if name.startswith(HUB_PREFIX):
        return Start(config, preprocess, _from_hub(name, None))
    if is_folder(name):
        return Start(config, preprocess, _weights_in(model_folder(name)), text_folder=text_folder(name, config))
    trunks = packaged_trunks(config)
    for trunk in trunks:
        package_folder(trunk)
    return Start(config, _preprocess_of_trunk(config) | preprocess, None, trunks, text_folder(name, config))


def model_config(name: str, image_size: int | None = None) -> Config:
    """The open_clip configuration of a model.

    Args:
        name: As for :func:`find_start`.
        image_size: Replaces the configuration's own image size, in pixels.

    Raises:
        UserError: There is no such model, or the file is no configuration.
    """
    return with_image_size(_read_config(name)[0], image_size)


def text_folder(name: str, config: Config) -> Path | None:
    """The folder with the configuration and the tokenizer of a Hugging Face text tower.

    Args:
        name: As for :func:`find_start`.
        config: The model's configuration.

    Returns:
        The model's own folder, or that of an installed package; None if there is no such tower, or if transformers has
        to find it by its name.
    """
    model = config["text_cfg"].get("hf_model_name")
    if not model or name.startswith(HUB_PREFIX):
        return None
    if is_folder(name) and (folder := model_folder(name)).joinpath(TEXT_CONFIG_FILE).is_file():
        return folder
    return package_folder(TEXT_TRUNK) if model == TEXT_TRUNK.model else None


def with_image_size(config: Config, image_size: int | None) -> Config:
    """The configuration with another image size, in pixels; None leaves it unchanged."""
    return config if image_size is None else config | {"vision_cfg": config["vision_cfg"] | {"image_size": image_size}}


def is_folder(name: str) -> bool:
    """Whether a model's name means a folder; a configuration of the same name has precedence."""
    if name.startswith(LOCAL_DIR_PREFIX):
        return True
    configuration = name in built_in_models() or name in open_clip.list_models() or name.endswith(".json")
    return not configuration and not name.startswith(HUB_PREFIX) and Path(name).is_dir()


def is_published(name: str, pretrained: str) -> bool:
    """Whether ``pretrained`` is a tag of open_clip for this configuration; a tag has precedence over a file."""
    return open_clip.is_pretrained_cfg(name, pretrained)


def weights_file(name: str, pretrained: str) -> Path:
    """The weights file that ``pretrained`` names, if it is no tag of open_clip.

    Raises:
        UserError: There is neither such a file nor such a tag, or the model brings its own weights.
    """
    if name.startswith(HUB_PREFIX) or is_folder(name):
        raise UserError(
            f"the model {name} brings its own weights, so pretrained={pretrained} has no place; leave it out, or name "
            "a configuration."
        )
    if Path(pretrained).is_file():
        return Path(pretrained)
    _read_config(name)  # A wrong model name is reported before wrong weights.
    tags = open_clip.list_pretrained_tags_by_model(name)
    if not tags or Path(pretrained).suffix or "/" in pretrained:
        raise UserError(f"there is no weights file {pretrained}; pretrained is a file or a tag of open_clip's.")
    raise unknown_name(f"weights of {name}", pretrained, tags)


def model_folder(folder: str | Path) -> Path:
    """The folder with a model's files: the folder itself, or ``model`` in the folder of a run.

    Args:
        folder: A model's or a run's folder; a prefix ``local-dir:`` is removed.

    Raises:
        UserError: Neither folder holds a model.
    """
    path = Path(str(folder).removeprefix(LOCAL_DIR_PREFIX))
    for candidate in (complete_folder(path), complete_folder(path / "model")):
        if (candidate / CONFIG_FILE).is_file():
            return candidate
    raise UserError(f"{path} holds no model: {CONFIG_FILE} is missing there; name a run's folder, or a model's.")


def _read_config(name: str) -> tuple[Config, Config]:
    """The configuration and the preprocessing of a model."""
    if name.startswith(HUB_PREFIX):
        return _read_json(_from_hub(name, CONFIG_FILE))
    if name in built_in_models():
        text = (resources.files("clipc.models") / "configs" / f"{name}.json").read_text("utf-8")
        return json.loads(text), {}
    if name in open_clip.list_models():
        return open_clip.get_model_config(name) or {}, {}
    if is_folder(name):
        return _read_json(model_folder(name) / CONFIG_FILE)
    if name.endswith(".json"):
        return _read_json(Path(name))
    if "/" in name:
        hint = f"for a repository on the Hugging Face Hub write {HUB_PREFIX}{name}"
        raise UserError(f"there is no model folder {name}; {hint}.")
    raise unknown_name("model", name, [*built_in_models(), *open_clip.list_models()])


def _read_json(path: Path) -> tuple[Config, Config]:
    """The configuration and the preprocessing in a JSON file; a file may also hold the bare configuration."""
    content = read_object(path, None, "restore the file, or name another model")
    config, preprocess = content.get("model_cfg", content), content.get("preprocess_cfg", {})
    beside = path.parent.iterdir() if path.name == CONFIG_FILE else ()
    # Other kinds of weights, and empty files, are refused by those who read them.
    sizes = [size for file in beside if file.suffix == ".safetensors" and (size := file.stat().st_size)]
    check_config(config, preprocess, str(path), max(sizes, default=None))
    return config, preprocess


def _preprocess_of_trunk(config: Config) -> Config:
    """How a pretrained image trunk of timm normalises images; empty for other trunks."""
    if "image" not in trunk_towers(config):
        return {}
    from timm.models import get_pretrained_cfg

    trunk = get_pretrained_cfg(config["vision_cfg"]["timm_model_name"], allow_unregistered=False)
    return {"mean": list(trunk.mean), "std": list(trunk.std)} if trunk else {}


def _with_weights(name: str, config: Config, preprocess: Config, pretrained: str) -> Start:
    if is_published(name, pretrained):
        tag = open_clip.get_pretrained_cfg(name, pretrained)
        # Weights that were trained with QuickGELU need it. A tag never turns off what the configuration says.
        gelu = {"quick_gelu": True} if tag.get("quick_gelu") else {}
        try:
            weights = Path(open_clip.download_pretrained(tag))
        except Exception as error:
            raise fetch_error(f"the weights {pretrained!r} of {name} ({tag.get('hf_hub')})", error) from error
        return Start({**config, **gelu}, tag, weights)
    return Start(config, preprocess, weights_file(name, pretrained))


def _weights_in(folder: Path) -> Path:
    kinds = _WEIGHTS_SUFFIXES
    ranks = {name: rank for rank, name in enumerate(_WEIGHTS_FILES)}
    files = [path for path in folder.iterdir() if path.suffix in kinds]
    if not files:
        raise UserError(
            f"{folder} holds a configuration but no weights ({', '.join(kinds)}); call the weights file {WEIGHTS_FILE}."
        )
    return min(files, key=lambda p: (ranks.get(p.name, len(ranks)), p.suffix != ".safetensors", p))


def _from_hub(name: str, file: str | None) -> Path:
    """A file of a repository, by default the one with the weights; fetched, or taken from Hugging Face's cache."""
    try:
        return Path(download_pretrained_from_hf(name.removeprefix(HUB_PREFIX), filename=file))
    except Exception as error:
        raise fetch_error(f"the {file or 'weights'} of {name}", error) from error


def fetch_error(what: str, error: Exception) -> UserError:
    """The error for a file that cannot be fetched from the Hugging Face Hub, with the reason and a remedy."""
    from huggingface_hub import errors

    causes = list(_causes(error))
    alternative = "or give a weights file or a model's folder instead"
    reasons = {
        errors.OfflineModeIsEnabled: "HF_HUB_OFFLINE is set and the cache has none; unset it once",
        errors.LocalEntryNotFoundError: "the network cannot be reached and the cache has none; connect once",
        errors.GatedRepoError: "access is restricted; ask for it on the repository's page and log in",
        errors.RepositoryNotFoundError: "there is no such repository, or it is private; check the name",
        errors.HFValidationError: "that is no repository's name; write org/name",
    }
    for kind, reason in reasons.items():
        if any(isinstance(cause, kind) for cause in causes):
            return UserError(f"{what} cannot be fetched: {reason}, {alternative}.")
    first = next(iter(str(causes[-1]).splitlines()), type(causes[-1]).__name__).rstrip(".")
    return UserError(f"{what} cannot be fetched: {first}; try again, {alternative}.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
