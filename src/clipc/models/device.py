"""The device of a run, and the precision in which it computes."""

import ctypes
import sys
from functools import cache
from typing import Final

import torch

from clipc.errors import UserError

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Parameters of glibc's ``mallopt``."""
_KEPT_BYTES: Final = 2**30


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` takes a GPU where there is one.

    On a CPU the process keeps freed memory from now on (see :func:`_keep_freed_memory`).

    Raises:
        UserError: The named device is not on this machine.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    present = [device for device in available if available[device]]
    if name != "auto" and not available[name]:
        raise UserError(f"device {name!r} is not on this machine; there is: {', '.join(present)}.")
    chosen = present[0] if name == "auto" else name
    if chosen == "cpu":
        _keep_freed_memory()
    return torch.device(chosen)


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


@cache
def _keep_freed_memory() -> None:
    """Lets glibc keep up to 1 GiB of freed memory instead of returning it to the system.

    PyTorch frees every activation after its use. By default glibc maps each block of over 32 MB anew and hands freed
    memory back, and the system fills every new page with zeros: half of the time in which a convolutional tower encodes
    a batch. Results do not change.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
