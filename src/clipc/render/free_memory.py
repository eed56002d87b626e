"""Free memory, within the limits of the machine and of the container."""

from pathlib import Path

import torch


def free_memory(device: torch.device, root: Path = Path("/")) -> int | None:
    """Free bytes of a CUDA device's memory, or of RAM for any other device.

    Memory beyond a container's limit does not count as free; the file cache does.

    Args:
        device: The device.
        root: The folder with ``/proc`` and ``/sys``.

    Returns:
        The number of bytes; None if the system does not report it.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [_machine_memory(root), *(_group_memory(folder) for folder in _group_folders(root))]
    return min((free for free in limits if free is not None), default=None)


def _machine_memory(root: Path) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _group_folders(root: Path) -> list[Path]:
    """The folders of this process's memory control groups (cgroups, version 1 or 2) and of their parent groups."""
    folders: set[Path] = set()
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, names, inner = line.split(":", 2)
        if names in ("", "memory"):
            top = root / ("sys/fs/cgroup" if number == "0" else "sys/fs/cgroup/memory")
            own = top / inner.lstrip("/")
            # In a container the path may be the host's, but only the container's own group, at the top, is visible.
            folders |= {top, *(folder for folder in (own, *own.parents) if folder.is_relative_to(top))}
    return sorted(folders)


def _group_memory(folder: Path) -> int | None:
    for limit, usage, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit_text, used_text = _text(folder / limit).strip(), _text(folder / usage).strip()
        if limit_text.isdigit() and used_text.isdigit():
            statistics = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines())
            return max(0, int(limit_text) - int(used_text) + int(statistics.get(cached, 0)))
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError:
        return ""
