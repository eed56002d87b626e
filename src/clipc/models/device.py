"""The device of a run, and the precision in which it computes."""

import torch

from clipc.errors import UserError


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` takes a GPU where there is one.

    Raises:
        UserError: The named device is not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    present = [device for device in available if available[device]]
    if name != "auto" and not available[name]:
        raise UserError(f"device {name!r} is not on this machine; there is: {', '.join(present)}.")
    return torch.device(present[0] if name == "auto" else name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``float32`` or ``bfloat16``; ``auto`` takes bf16 where the device computes in it natively.

    Args:
        name: ``auto``, or a name as in recipes (``fp32``, ``bf16``) or in PyTorch.
        device: The device that computes.
    """
    if name == "auto":
        # Without these instructions a CPU emulates bf16, several times slower than fp32.
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        native = (device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)) or (
            device.type == "cpu" and any(getattr(torch.cpu, check, bool)() for check in checks)
        )
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if name in ("bf16", "bfloat16") else torch.float32
