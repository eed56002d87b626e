"""Which device a run uses, and in which precision."""

import torch

from clipc.errors import UserError


def choose_device(wanted: str) -> torch.device:
    """The device of that name; ``auto`` takes a GPU where there is one.

    Raises:
        UserError: The device was asked for by name and is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, present in there.items() if present))
    if not there[wanted]:
        present = ", ".join(name for name, yes in there.items() if yes)
        raise UserError(f"device {wanted!r} is not on this machine; there is: {present}.")
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """``float32`` or ``bfloat16``; ``auto`` takes bf16 where the device computes in it natively.

    Args:
        wanted: As a recipe names it, or as PyTorch does.
        device: What computes.
    """
    if wanted == "auto":
        native = {
            "cuda": lambda: torch.cuda.get_device_capability(device) >= (8, 0),
            "cpu": _cpu_has_bf16,
            "mps": lambda: False,
        }
        return torch.bfloat16 if native[device.type]() else torch.float32
    return torch.bfloat16 if wanted in ("bf16", "bfloat16") else torch.float32


def _cpu_has_bf16() -> bool:
    # Without these instructions bf16 is emulated and several times slower than fp32.
    return any(
        bool(getattr(torch.cpu, name, bool)()) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
