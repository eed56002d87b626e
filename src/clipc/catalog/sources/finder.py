"""File names as people and spreadsheets write them, matched to existing files."""

import os
import unicodedata
from pathlib import Path

from clipc.catalog.catalog import inside
from clipc.errors import UserError

# Pairs of similar characters, of which Windows and other systems write different ones.
_LOOKALIKES = str.maketrans(
    {"\u301c": "\uff5e", "\u2212": "\uff0d", "\u2016": "\u2225", "\u00a5": "\\", "\u2014": "\u2015"}
)


class Finder:
    """Finds the files below a root by name, regardless of Unicode form, slashes and case.

    Args:
        root: The folder that names are relative to.
        prefix: A folder in it to look in.
    """

    def __init__(self, root: Path, prefix: str = "") -> None:
        self.root = root
        self.prefix = prefix
        self._folders: dict[str, tuple[dict[str, str], dict[str, str | None]]] = {}

    def find(self, name: str) -> str | None:
        """The path of an existing file relative to the root, with ``/``; None if there is none below the root.

        Tried in this order: the exact name; the name regardless of Unicode form (NFC, NFD, variants of the wave dash),
        case and backslashes; the name without its ending, if only one file has it.
        """
        name = name.strip()
        if os.path.isabs(name):
            try:
                name = Path(name).relative_to(self.root).as_posix()
            except ValueError:
                return None
        elif self.prefix:
            name = f"{self.prefix}/{name}"
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not parts or ".." in parts or "\0" in name:
            return None
        direct = "/".join(parts)
        if os.path.isfile(self.root / direct):
            return direct
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        at = ""
        for number, part in enumerate(parts):
            if part == "..":
                return None
            exact, loose = self._names(at)
            last = number == len(parts) - 1
            key = fold(part)
            match = exact.get(key) or loose.get(key.casefold()) or (loose.get(key.casefold() + ".*") if last else None)
            if match is None:
                return None
            at = f"{at}/{match}" if at else match
        return at if os.path.isfile(self.root / at) else None

    def _names(self, folder: str) -> tuple[dict[str, str], dict[str, str | None]]:
        """A folder's entries by folded name; and by casefolded name or stem, None if several share it."""
        if folder not in self._folders:
            exact: dict[str, str] = {}
            loose: dict[str, str | None] = {}
            try:
                entries = sorted(os.listdir(inside(self.root, folder)))
            except (OSError, UserError):
                entries = []
            for entry in entries:
                key = fold(entry)
                exact.setdefault(key, entry)
                for other in {key.casefold(), os.path.splitext(key.casefold())[0] + ".*"}:
                    loose[other] = None if other in loose else entry
            self._folders[folder] = exact, loose
        return self._folders[folder]


def fold(name: str) -> str:
    """A file name in canonical form: composed (NFC), similar characters unified."""
    return unicodedata.normalize("NFC", name).translate(_LOOKALIKES)
