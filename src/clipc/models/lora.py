"""Low-rank adapters (LoRA) in the attention of a model's towers, by peft."""

import re
from collections.abc import Sequence
from typing import Any, Final, cast

import torch
from torch import nn

from clipc.errors import UserError
from clipc.models.layers import TOWERS, Tower, tower_prefix

ADAPTER: Final = "default"
"""peft's name for the only adapter of a model."""


def add_lora(clip: nn.Module, rank: int, alpha: float, seed: int = 0, towers: Sequence[Tower] = TOWERS) -> None:
    """Adds adapters to the attention projections, in place; they and the temperature alone go on learning.

    LoRA (Hu et al., arXiv 2106.09685): each projection W becomes W + alpha / rank * B A with B = 0 at first, so the
    model's features are unchanged until it learns. The frozen weights stay what they were to the last bit.

    Args:
        clip: An open_clip model without adapters.
        rank: The rows of A and columns of B, 1 or more.
        alpha: Above 0.
        seed: For A; PyTorch's global generator is left as it was.
        towers: Which towers get adapters; the others are frozen.

    Raises:
        UserError: A tower has no attention that can be adapted, or peft is missing.
    """
    targets = [name for tower in towers for name in _targets(clip, tower)]
    try:
        from peft import LoraConfig, inject_adapter_in_model

        from clipc.models.lora_attention import AdaptedAttention
    except ImportError as error:
        raise UserError('adapters (tune.lora) need peft; install it with: pip install "clipc[lora]".') from error
    # A list would match the ends of names, and so one tower's layers by the other's.
    exactly = "|".join(re.escape(name) for name in targets)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=exactly)  # pyright: ignore[reportArgumentType]
    config._register_custom_module({nn.MultiheadAttention: AdaptedAttention})  # pyright: ignore[reportPrivateUsage]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, clip, adapter_name=ADAPTER)
    for name, parameter in clip.named_parameters(recurse=False):
        parameter.requires_grad_(name.startswith("logit_"))
    _check_reached(clip, targets, towers)


def merged_state_dict(clip: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of the model with its adapters added in, as the plain open_clip model loads them.

    The model itself is left alone: taking an addition back would not give the same bits. Tensors without adapters are
    those of ``clip.state_dict()``, not copies; of a model without adapters it is that and nothing else.
    """
    state: dict[str, torch.Tensor] = clip.state_dict()
    merged = {name.replace(".base_layer", ""): tensor for name, tensor in state.items() if ".lora_" not in name}
    first = f".lora_A.{ADAPTER}.weight"
    for name in state:
        if name.endswith(first):
            place = name.removesuffix(first)
            layer: Any = clip.get_submodule(place)
            weight = "in_proj_weight" if f"{place}.base_layer.in_proj_weight" in state else "weight"
            plain = f"{place}.{weight}".replace(".base_layer", "")
            with torch.no_grad():
                merged[plain] = merged[plain] + layer.get_delta_weight(ADAPTER).to(merged[plain].dtype)
    return merged


def _targets(clip: nn.Module, tower: Tower) -> list[str]:
    """The names of the modules that make a tower's queries, keys, values and outputs of attention."""
    prefix = tower_prefix(clip, tower)
    found: list[str] = []
    for name, module in clip.named_modules():
        mine = name.startswith(prefix) if prefix else not name.startswith("visual.")
        if mine and isinstance(module, nn.MultiheadAttention):
            found += [name] if module._qkv_same_embed_dim else []  # pyright: ignore[reportPrivateUsage]
        elif mine and _is_attention(module):
            linear = [inner for inner, child in module.named_modules() if isinstance(child, nn.Linear)]
            found += [f"{name}.{inner}" for inner in linear if "mlp" not in inner.split(".")]
    if not found:
        module = clip.get_submodule(prefix[:-1])
        raise UserError(
            f"the {tower} tower ({type(getattr(module, 'trunk', module)).__name__}) has no attention for adapters; "
            f"vision transformers (vit, ViT-B-32, ...) and text transformers have: choose such a model, "
            f"or set tune.{tower}=locked and adapt the other tower alone."
        )
    return sorted(set(found))


def _is_attention(module: nn.Module) -> bool:
    """Whether a module of timm's or of transformers' is an attention; open_clip's others use weights past peft."""
    return type(module).__module__.startswith(("timm.", "transformers.")) and "Attention" in type(module).__name__


def _check_reached(clip: nn.Module, targets: list[str], towers: Sequence[Tower]) -> None:
    """Refuses towers that compute with a projection's weights without calling it: its adapter would never learn."""
    called: set[nn.Module] = set()
    adapted = {name: clip.get_submodule(name) for name in targets}
    handles = [module.register_forward_pre_hook(lambda module, _: called.add(module)) for module in adapted.values()]
    model, training, device = cast(Any, clip), clip.training, clip.get_parameter("logit_scale").device
    clip.eval()
    try:
        with torch.no_grad():
            if "image" in towers:
                size = model.visual.image_size
                height, width = (size, size) if isinstance(size, int) else size
                model.encode_image(torch.zeros(1, 3, height, width, device=device))
            if "text" in towers:
                # Towers without a longest text say 0.
                model.encode_text(torch.ones(1, model.context_length or 8, dtype=torch.long, device=device))
    finally:
        clip.train(training)
        for handle in handles:
            handle.remove()
    if missed := [name for name, module in adapted.items() if module not in called]:
        raise UserError(
            f"adapters in {missed[0]} would never learn, because this tower uses its weights without calling it; "
            "set tune.lora=null and let the last layers learn (such as tune.image=3)."
        )
