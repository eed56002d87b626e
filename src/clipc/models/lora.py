"""Low-rank adapters (LoRA) in the attention layers of a model's towers, made by peft."""

import re
from collections.abc import Sequence
from typing import Any, Final, cast

import torch
from torch import nn

from clipc.errors import UserError
from clipc.installation import install_command
from clipc.models.layers import TOWERS, Tower, tower_prefix

ADAPTER: Final = "default"
"""peft's name for the only adapter of a model."""


def add_lora(clip: nn.Module, rank: int, alpha: float, seed: int = 0, towers: Sequence[Tower] = TOWERS) -> None:
    """Adds adapters to the attention projections, in place; afterwards only they, temperature and bias are trained.

    LoRA (Hu et al., arXiv 2106.09685): each projection W becomes W + alpha / rank * B A. B is 0 at first, so the
    model's features change only with training. The frozen weights keep their bits.

    Args:
        clip: An open_clip model without adapters.
        rank: The rows of A and columns of B, 1 or more.
        alpha: The scale of the adapters, above 0.
        seed: The seed of A; PyTorch's global generator is left as it was.
        towers: Which towers get adapters; the others are frozen.

    Raises:
        UserError: A tower has no attention that can be adapted, or peft is missing.
    """
    targets = [name for tower in towers for name in _targets(clip, tower)]
    try:
        from peft import LoraConfig, inject_adapter_in_model

        from clipc.models.lora_attention import AdaptedAttention
    except ImportError as error:
        raise UserError(f"adapters (tune.lora) need peft; install it with: {install_command('lora')}") from error
    # peft compares a list with the ends of names, so one tower's names would match layers of the other too.
    full_names = "|".join(re.escape(name) for name in targets)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=full_names)  # pyright: ignore[reportArgumentType]
    config._register_custom_module({nn.MultiheadAttention: AdaptedAttention})  # pyright: ignore[reportPrivateUsage]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, clip, adapter_name=ADAPTER)
    for name, parameter in clip.named_parameters(recurse=False):
        parameter.requires_grad_(name.startswith("logit_"))
    _check_calls(clip, targets, towers)


def merged_state_dict(clip: nn.Module) -> dict[str, torch.Tensor]:
    """The weights with the adapters merged into them, under the names that a plain open_clip model loads.

    The model itself is not changed, because subtracting an adapter again would not restore the same bits. Tensors
    without an adapter are those of ``clip.state_dict()`` and no copies. A model without adapters is allowed.
    """
    state: dict[str, torch.Tensor] = clip.state_dict()
    merged = {name.replace(".base_layer", ""): tensor for name, tensor in state.items() if ".lora_" not in name}
    suffix = f".lora_A.{ADAPTER}.weight"
    for name in state:
        if name.endswith(suffix):
            module = name.removesuffix(suffix)
            layer: Any = clip.get_submodule(module)
            weight = "in_proj_weight" if f"{module}.base_layer.in_proj_weight" in state else "weight"
            plain = f"{module}.{weight}".replace(".base_layer", "")
            with torch.no_grad():
                merged[plain] = merged[plain] + layer.get_delta_weight(ADAPTER).to(merged[plain].dtype)
    return merged


def _targets(clip: nn.Module, tower: Tower) -> list[str]:
    """The names of the modules that project to queries, keys, values and outputs of a tower's attention layers."""
    prefix = tower_prefix(clip, tower)
    targets: list[str] = []
    for name, module in clip.named_modules():
        in_tower = name.startswith(prefix) if prefix else not name.startswith("visual.")
        if in_tower and isinstance(module, nn.MultiheadAttention):
            targets += [name] if module._qkv_same_embed_dim else []  # pyright: ignore[reportPrivateUsage]
        elif in_tower and _is_attention(module):
            linear = [inner for inner, child in module.named_modules() if isinstance(child, nn.Linear)]
            targets += [f"{name}.{inner}" for inner in linear if "mlp" not in inner.split(".")]
    if not targets:
        module = clip.get_submodule(prefix[:-1])
        raise UserError(
            f"the {tower} tower ({type(getattr(module, 'trunk', module)).__name__}) has no attention for adapters; "
            f"vision transformers (vit, ViT-B-32, ...) and text transformers have attention: choose such a model, "
            f"or set tune.{tower}=locked and adapt the other tower alone."
        )
    return sorted(set(targets))


def _is_attention(module: nn.Module) -> bool:
    """Whether a module is an attention layer of timm or transformers.

    Other classes of open_clip use their weights without calling the module, so an adapter would have no effect.
    """
    return type(module).__module__.startswith(("timm.", "transformers.")) and "Attention" in type(module).__name__


def _check_calls(clip: nn.Module, targets: list[str], towers: Sequence[Tower]) -> None:
    """Raises an error if a tower uses a projection's weights without calling it: the adapter would never learn."""
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
                # A tower without a largest length has 0 here.
                model.encode_text(torch.ones(1, model.context_length or 8, dtype=torch.long, device=device))
    finally:
        clip.train(training)
        for handle in handles:
            handle.remove()
    if uncalled := [name for name, module in adapted.items() if module not in called]:
        raise UserError(
            f"adapters in {uncalled[0]} would never learn, because this tower uses its weights without calling it; "
            "set tune.lora=null and let the last layers learn (such as tune.image=3)."
        )
