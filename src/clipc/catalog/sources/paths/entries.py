"""Files by the paths that mean them, regardless of Unicode form, case and slashes."""

import os
from pathlib import Path

from clipc.catalog.catalog import inside
from clipc.catalog.sources.paths.file_names import fold, keys_of, other_keys, parts_of
from clipc.errors import UserError


class Entries:
    """The entries of the folders below a root; a folder is listed when it is first asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._below = os.path.join(root, "")
        self._folders: dict[str, tuple[dict[str, str], dict[str, str | None]]] = {}

    def find(self, path: str, prefix: str = "") -> str | None:
        """The file that a path means where it is written; None if there is none below the root.

        Args:
            path: The path, relative to the prefix, or absolute.
            prefix: A folder below the root.
        """
        if path.startswith("/"):
            if not path.startswith(self._below):
                return None
            path = path.removeprefix(self._below)
        elif prefix:
            path = f"{prefix}/{path}"
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not parts or ".." in parts or "\0" in path:
            return None
        direct = "/".join(parts)
        if os.path.isfile(self._below + direct):
            return direct
        parts = parts_of(path)
        at = ""
        for number, part in enumerate(parts):
            if part == "..":
                return None
            exact, loose = self._names(at)
            last = number == len(parts) - 1
            key = fold(part)
            match = exact.get(key) or loose.get(key.casefold())
            if match is None and last:
                match = next((entry for other in other_keys(key) if (entry := loose.get(other))), None)
            if match is None:
                return None
            at = f"{at}/{match}" if at else match
        return at if os.path.isfile(self._below + at) else None

    def keys(self, folder: str) -> dict[str, str | None]:
        """A folder's entries by casefolded name, stem or number; None if several share it."""
        return self._names(folder)[1]

    def _names(self, folder: str) -> tuple[dict[str, str], dict[str, str | None]]:
        """A folder's entries by folded name, and as :meth:`keys`."""
        if folder not in self._folders:
            exact: dict[str, str] = {}
            loose: dict[str, str | None] = {}
            try:
                entries = sorted(os.listdir(inside(self._root, folder)))
            except (OSError, UserError):
                entries = []
            for entry in entries:
                exact.setdefault(fold(entry), entry)
                for other in keys_of(entry):
                    loose[other] = None if other in loose else entry
            self._folders[folder] = exact, loose
        return self._folders[folder]
