"""The files below a folder, with every folder that could not be listed and why."""

import os
from pathlib import Path
from typing import NamedTuple

from clipc.catalog.rows import IMAGE_SUFFIXES

_OF_SYSTEMS = {
    *("__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin"),
    *("@recently-snapshot", "system volume information", "lost+found"),
}


class Listing(NamedTuple):
    """Files and folders relative to the root, with ``/``; the root itself is ``"."`` among the folders.

    Attributes:
        files: The files; hidden ones are left out.
        folders: The folders that were listed.
        missing: Folders that were not listed, and why.
        repeated: Links to folders that are listed under another name, or that hold the link.
    """

    files: list[str]
    folders: list[str]
    missing: list[tuple[str, str]]
    repeated: list[str]


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: hidden, or thumbnails and waste of macOS, Windows or a NAS."""
    return name[:1] == "." or name.lower() in _OF_SYSTEMS


def list_files(root: Path, allowed: Path | None = None) -> Listing:
    """Lists the files below a folder.

    A link to a folder is followed where it leads to a place in ``allowed`` that is not listed anyway.

    Args:
        root: The folder.
        allowed: The folder that links may not lead out of; the root itself by default.

    Raises:
        OSError: The root cannot be listed.
    """
    listing = Listing([], [], [], [])
    real_root, real_allowed = root.resolve(), (allowed or root).resolve()
    followed: set[Path] = set()
    odd: list[tuple[str, str]] = []
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        inner: list[str] = []
        try:
            entries = os.scandir(root / prefix)
        except OSError as error:
            if not prefix:
                raise
            listing.missing.append((prefix[:-1], f"the folder cannot be read: {error.strerror or error}"))
            continue
        listing.folders.append(prefix[:-1] or ".")
        with entries:
            for entry in entries:
                name = entry.name
                if is_hidden(name):
                    continue
                if not entry.is_dir():
                    # What has no ending and leads nowhere was a folder.
                    if "." not in name and entry.is_symlink() and not os.path.exists(entry.path):
                        gone = os.readlink(entry.path)
                        listing.missing.append((prefix + name, f"is a link to {gone}, which does not exist"))
                    elif name.lower().endswith((*IMAGE_SUFFIXES, ".tar")):  # which are looked at when they are read
                        listing.files.append(prefix + name)
                    elif not _is_file(entry):
                        odd.append((prefix + name, "is no file, or a link to none"))
                    elif entry.is_symlink() and not _is_below(entry, real_root, real_allowed):
                        odd.append((prefix + name, f"is a link that leads out of {allowed or root}"))
                    else:
                        listing.files.append(prefix + name)
                    continue
                if entry.is_symlink():
                    target = Path(entry.path).resolve()
                    if target in followed or _is_listed(target, real_root):
                        listing.repeated.append(prefix + name)
                        continue
                    if not target.is_relative_to(real_root) and not target.is_relative_to(real_allowed):
                        reason = f"is a link that leads out of {allowed or root}, to {target}"
                        listing.missing.append(
                            (prefix + name, f"{reason}; name a folder that holds both with --images")
                        )
                        continue
                    followed.add(target)
                inner.append(f"{prefix}{name}/")
        waiting += sorted(inner, reverse=True)
    # So are the texts of images, which are then refused with the reason.
    images = {os.path.splitext(file)[0] for file in listing.files} if odd else set[str]()
    for name, reason in odd:
        if os.path.splitext(name)[0] in images:
            listing.files.append(name)
        else:
            listing.missing.append((name, reason))
    listing.missing.sort()
    return listing


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a regular file or leads to one: reading a pipe or a device could wait forever."""
    try:
        return entry.is_file()
    except OSError:  # links in a circle
        return False


def _is_below(entry: os.DirEntry[str], *folders: Path) -> bool:
    target = Path(os.path.realpath(entry.path))
    return any(target.is_relative_to(folder) for folder in folders)


def _is_listed(folder: Path, root: Path) -> bool:
    """Whether a folder is listed by its own name, or holds the root."""
    if not folder.is_relative_to(root):
        return root.is_relative_to(folder)
    return not any(map(is_hidden, folder.relative_to(root).parts))
