"""How fast images reach the model on this machine, divided into reading, decoding, resizing and copying."""

import time
from typing import Any, Final

import numpy as np
import torch

from clipc.audit.doctor_data import DoctorData
from clipc.catalog.images.decode import DecodeError, decode
from clipc.files import cores
from clipc.models.device import choose_device
from clipc.render.free_memory import free_memory
from clipc.render.pixels import stored_sizes
from clipc.render.resample import resample_whole

_IMAGES: Final = 200
_SECONDS: Final = 5.0
_ENLARGED: Final = 1.5
_MUCH_LARGER: Final = 4.0
_RAM_SHARE: Final = 0.4
_HALF: Final = 0.5


def loader_speed(data: DoctorData) -> dict[str, Any] | None:
    """Milliseconds an image takes on one core, from a short measurement; None if no image could be read.

    Up to 200 evenly spaced images, or five seconds of them, are read, decoded as the loader decodes them (a JPEG at a
    reduced size where that suffices), resized to the model's size, and copied to the device in one batch. Files that
    were read a moment ago come from the system's cache, so reading from a slow disk may take longer.

    Returns:
        ``read``, ``decode``, ``resize`` and ``transfer`` in milliseconds an image; ``images``, the number measured;
        ``cores``; ``per_second``, the images a second that all cores deliver; ``resident``, whether the decoded
        training images fit into memory, so that each is decoded once; ``resident_bytes``; ``advice``, a list of codes.
    """
    catalog, size = data.catalog, data.image_size
    rows = np.unique(np.linspace(0, len(catalog) - 1, min(len(catalog), _IMAGES)).astype(np.int64))
    spent = {"read": 0.0, "decode": 0.0, "resize": 0.0}
    views: list[torch.Tensor] = []
    start = time.perf_counter()
    least = (round(_ENLARGED * size), round(_ENLARGED * size))
    for row in np.random.Generator(np.random.Philox(0)).permutation(rows).tolist():
        try:
            t0 = time.perf_counter()
            encoded = catalog.encoded(row)
            t1 = time.perf_counter()
            image = decode(encoded, least, catalog.about.intensity)
            t2 = time.perf_counter()
        except (OSError, DecodeError):
            continue
        views.append(torch.from_numpy(resample_whole(image, (size, size)).copy()))
        t3 = time.perf_counter()
        for name, seconds in (("read", t1 - t0), ("decode", t2 - t1), ("resize", t3 - t2)):
            spent[name] += seconds
        if t3 - start > _SECONDS:
            break
    if not views:
        return None
    n = len(views)
    per_image = {name: 1000 * seconds / n for name, seconds in spent.items()}
    per_image["transfer"] = _transfer(torch.stack(views), choose_device(data.recipe.device)) / n
    work = per_image["read"] + per_image["decode"] + per_image["resize"]
    resident_bytes = _resident_bytes(data)
    free = free_memory(torch.device("cpu"))
    fits = free is not None and resident_bytes <= _RAM_SHARE * free
    return {
        **{name: round(value, 4) for name, value in per_image.items()},
        "images": n,
        "cores": cores(),
        "per_second": round(1000 * cores() / max(work, 1e-6), 1),
        "resident": fits,
        "resident_bytes": resident_bytes,
        "advice": _advice(data, per_image, fits),
    }


def _transfer(batch: torch.Tensor, device: torch.device) -> float:
    """Milliseconds to copy a batch to the device and to make it floating-point."""
    copies: list[float] = []
    for _ in range(3):
        start = time.perf_counter()
        moved = batch.to(device).float()
        moved.sum().item()  # Waits for the device.
        copies.append(time.perf_counter() - start)
    return 1000 * min(copies)


def _resident_bytes(data: DoctorData) -> int:
    augmentation, sizes = data.recipe.augmentation, data.catalog.sizes[data.train]
    if not len(sizes):
        return 0
    stored = stored_sizes(sizes, augmentation.crop_scale, augmentation.crop_ratio, data.image_size)
    return 3 * int(stored.prod(axis=1).sum())


def _advice(data: DoctorData, per_image: dict[str, float], fits: bool) -> list[str]:
    """Codes of advice: ``resident`` (nothing to do), else what costs half of the time or more."""
    if fits:
        return ["resident"]
    work = per_image["read"] + per_image["decode"] + per_image["resize"]
    advice: list[str] = []
    if per_image["read"] >= _HALF * work:
        advice.append("read")
    area = float(np.median(data.catalog.sizes.astype(np.float64).prod(axis=1)))
    if area >= _MUCH_LARGER * (_ENLARGED * data.image_size) ** 2:
        advice.append("shrink")
    elif per_image["decode"] >= _HALF * work:
        advice.append("decode")
    return advice or ["workers"]
