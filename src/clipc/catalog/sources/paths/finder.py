"""File names as people and spreadsheets write them, matched to existing files."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from clipc.catalog.rows import SPLIT_NAMES, SourceInfo
from clipc.catalog.sources.listing import is_hidden
from clipc.catalog.sources.paths.entries import Entries
from clipc.catalog.sources.paths.file_names import fold, may_hold, other_keys, parts_of, split_of_folders, written_parts
from clipc.catalog.sources.paths.file_tree import FileTree, damage_warning
from clipc.catalog.sources.paths.image_folder import choose_folder, reason_for, refusal
from clipc.errors import first_names

_FOREIGN = re.compile(r"[A-Za-z]:[\\/]|[\\/]|file:", re.IGNORECASE)
_ROUNDED = re.compile(r"\d(\.\d+)?[eE]\+\d+")
_MAX_FOLDERS = 100
_SHOWN = 3


class _Match(NamedTuple):
    """A file below the root, the written path that led to it, and how many of its folders the file is in."""

    file: str
    written: tuple[str, ...]
    agreeing: int

    @property
    def by_name(self) -> bool:
        """Whether the path names folders, but only the file's name led to it."""
        return not self.agreeing and len(self.written) > 1


class Finder:
    """Finds the files below a root by name, regardless of Unicode form, slashes and case, and of where they once were.

    Args:
        root: The folder that names are relative to.
        prefix: A folder in it to look in.
        rerooted: Whether the user said that the images are now below the root, so that paths which exist elsewhere are
            looked for in it.
        split: The split that the table's name gives.
        every_path: Gives all paths that will be looked for; they are asked for once, if some are from elsewhere.
    """

    def __init__(
        self,
        root: Path,
        prefix: str = "",
        *,
        rerooted: bool = False,
        split: str | None = None,
        every_path: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.root = root
        self.prefix = prefix
        self._split, self._every_path = split, every_path
        self._rivals: dict[str, list[str]] = {}
        self._below = os.path.join(root, "")
        self._entries = Entries(root)
        self._rerooted = rerooted
        self._direct: set[str] = set()
        self._matches: dict[str, _Match] = {}
        self._shared: set[str] = set()
        self._missing: set[str] = set()
        self._counts = [0, 0]
        self._example = ""

    def find(self, name: str) -> str | None:
        """The path of an existing file relative to the root, with ``/``; None if there is none below the root.

        Tried in this order: the exact name; the name regardless of Unicode form (NFC, NFD, variants of the wave dash),
        case and backslashes; the name without its ending, or a number without leading zeros, if only one file has it;
        and for a path from another computer or folder the file with the longest equal end of its path.
        """
        name = name.strip()
        if (file := self.direct(name)) is not None:
            if self._rivals and self._in_rivals(name):
                return None
            self._direct.add(file)
            return file
        match = self._elsewhere(name)
        if match is None:
            return None
        if self._matches.setdefault(match.file, match).written != match.written:
            self._shared.add(match.file)
        self._counts[match.by_name] += 1
        self._example = self._example or f"{name}: {match.file}"
        return match.file

    def is_doubtful(self, file: str) -> bool:
        """Whether different paths led to a file that was returned, so that it is unclear which of them means it."""
        return file in self._shared or (file in self._matches and file in self._direct)

    def describe(self, info: SourceInfo) -> None:
        """Notes how many paths were found in another place than they name, and warns of names that were damaged."""
        if self._missing:
            used = self._direct | self._matches.keys()
            info.warnings += filter(None, [damage_warning(self._tree, self._missing, used)])
        by_end, by_name = self._counts
        if by_end or by_name:
            alone = f", {by_name:,} of them by the file name alone" if by_name else ""
            info.notes.append(
                f"{by_end + by_name:,} image paths name another place; files with the same end of the path were taken"
                f"{alone} ({self._example})"
            )

    def reason(self, name: str) -> str:
        """Why :meth:`find` found no file."""
        name = name.strip()
        if not name.isascii():
            self._missing.add(name)
        path = os.path.join(self.root, self.prefix, name)
        if self._is_outside(path):
            return "the path leads out of the source's folder; --images names the folder of the images"
        if "\0" not in name and os.path.lexists(path) and not os.path.isfile(path):
            return "is not a regular file"
        candidates = self._candidates(name)
        if len(candidates) > 1:
            return "there is no such image file, and several end like it; --images names the folder of the images"
        return self._reason_of_name(name) or "there is no such image file"

    def _reason_of_name(self, name: str) -> str | None:
        """Why a name without a folder means no file although files have it; None if none has."""
        if len(parts_of(name)) != 1:
            return None
        files = [f"{folder}/{name}" for folder in [self.prefix, *self._in_rivals(name)]] if self._rivals else []
        files = files or ([] if self.prefix else self._files_named(name))
        images = sorted(file for file in files if may_hold(file.rpartition("/")[0], self._split))
        if len(images) > 1:
            return f"several files have this name: {first_names(images, _SHOWN)}; write the folder into the paths"
        if images and "/" in images[0]:
            shown = first_names(images)
            return f"{shown} has this name, but its folder shares names with others; write the folder into the paths"
        if files:
            shown = first_names(files, _SHOWN)
            return f"there is only {shown}, in a folder of another split or no images; --images names it if it is meant"
        if _ROUNDED.fullmatch(name):
            return "the name is a number that a spreadsheet has rounded; format the column as text and save it again"
        return None

    def _is_outside(self, path: str) -> bool:
        """Whether a path leads to something that exists outside the root."""
        return os.path.exists(path) and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))

    def choose_prefix(self, names: Sequence[str]) -> int:
        """Sets the prefix to the folder in the root that image paths are relative to, if it is not the root itself.

        Args:
            names: Image paths.

        Returns:
            How many of the first are found below the root, at least as far as was needed to choose.

        Raises:
            UserError: The same ones are found in several folders, and there is no reason to take one of them.
        """
        names = [name.strip() for name in names[:50] if name.strip()]
        self.prefix, self._rivals = "", {}
        if (found := self._held("", names)) or not names:
            return sum(name in found for name in names)
        folders = [e.name for e in os.scandir(self.root) if e.is_dir(follow_symlinks=False) and not is_hidden(e.name)]
        folders = sorted(folders)[:_MAX_FOLDERS]
        held = {folder: found for folder in folders if (found := self._held(folder, names))}
        try:
            chosen = choose_folder(held, self._split)
        except ValueError:
            raise refusal(self.root, held, self._split, len(set(names))) from None
        if chosen is None:
            return sum(self._elsewhere(name) is not None for name in names)
        self.prefix = chosen
        self._rivals = self._find_rivals(folders)
        return sum(name in held[chosen] for name in names)

    def _held(self, folder: str, names: Iterable[str]) -> set[str]:
        """Those of some paths that are files in a folder of the root."""
        return {name for name in names if self._entries.find(name, folder) is not None}

    def _find_rivals(self, folders: Sequence[str]) -> dict[str, list[str]]:
        """The folders, by the names in them, that the prefix shares names with and is not preferred to."""
        rivals: dict[str, list[str]] = {}
        for folder in folders:
            is_rival = folder != self.prefix and reason_for((self.prefix, folder), self._split) is None
            if is_rival and may_hold(folder, self._split):
                for key in self._entries.keys(folder).keys() & self._entries.keys(self.prefix).keys():
                    rivals.setdefault(key, []).append(folder)
        return rivals

    def _in_rivals(self, name: str) -> list[str]:
        """The other folders of images in which a path is a file too."""
        key = fold((parts_of(name) or [""])[0]).casefold()
        folders = next((found for other in (key, *other_keys(key)) if (found := self._rivals.get(other))), [])
        return [folder for folder in folders if self._entries.find(name, folder) is not None]

    def direct(self, name: str) -> str | None:
        """The file that a path means where it is written, below the root and prefix; None if there is none."""
        return self._entries.find(name, self.prefix)

    def _elsewhere(self, name: str) -> _Match | None:
        """The one file below the root whose path ends like a path that was written for another place.

        None if the file's folder is the end of another path's that has more folders in common with it.
        """
        candidates = self._candidates(name)
        if len(candidates) != 1:
            return None
        match = candidates[0]
        if len(match.written) > 1 and self._claims.get(match.file.rpartition("/")[0], 0) > match.agreeing:
            return None
        return match

    @cached_property
    def _claims(self) -> dict[str, int]:
        """With how many folders the paths in the table name each folder at the most."""
        claims: dict[str, int] = {}
        heads = {path.strip().replace("\\", "/").rpartition("/")[0] for path in self._every_path()}
        for head in heads:
            for written in written_parts(f"{head}/x"):
                folders = [fold(part).casefold() for part in written[:-1]]
                for start in range(len(folders)):
                    if places := self._tree.by_end.get("/".join(folders[start:])):
                        for place in places:
                            claims[place] = max(claims.get(place, 0), len(folders) - start)
                        break
        return claims

    def _candidates(self, name: str) -> list[_Match]:
        """The files below the root that a path for another place may mean.

        They must lie in a folder that ends like the path's own, as far as any folder does. Only where none does, the
        name alone counts, and only in folders that share no names with others: ``masks/7.png`` is not ``images/7.png``.
        """
        if not name or "\0" in name or name.startswith(self._below):
            return []
        foreign = bool(_FOREIGN.match(name)) or ".." in parts_of(name)
        if foreign and not self._rerooted and self._is_outside(os.path.join(self.root, name)):
            return []  # another file of its name would be another image
        for written in written_parts(name):
            if not written or not (foreign or self._is_for_elsewhere(written)):
                continue
            files, agreeing = self._files_like(written, from_elsewhere=foreign or self._rerooted)
            if files:
                return [_Match(file, tuple(written), agreeing) for file in files]
        return []

    def _is_for_elsewhere(self, parts: list[str]) -> bool:
        """Whether a relative path is not for this root: a file missing in a folder that exists is a missing file."""
        if len(parts) == 1:
            return not self.prefix or self.prefix.casefold() in SPLIT_NAMES
        return self._entries.keys(self.prefix).get(fold(parts[0]).casefold()) is None

    def _files_like(self, parts: list[str], from_elsewhere: bool) -> tuple[list[str], int]:
        """The files that end like a path, or like part of it if it is from elsewhere; and with how many folders.

        A relative path may only start above the root: its whole folder must be the end of a folder's absolute path.
        """
        folders = [fold(part).casefold() for part in parts[:-1]]
        tree, files = self._tree, self._files_named(parts[-1])
        places = {file: file.rpartition("/")[0] for file in files}
        if split := split_of_folders(folders) or self._split:
            fitting = (None, split)
            places = {file: at for file, at in places.items() if split_of_folders(at.split("/")) in fitting}
        for start in range(len(folders) if from_elsewhere else min(1, len(folders))):
            end = "/".join(folders[start:])
            if like := tree.by_end.get(end):
                some = [file for file, place in places.items() if place in like]
                agreeing = len(folders) - start
                return [file for file in some if fold(places[file]).casefold() == end] or some, agreeing
        if folders and not from_elsewhere:
            return [], 0
        if self.prefix and not folders:  # in train, or else in another split
            places = {file: place for file, place in places.items() if split_of_folders(place.split("/"))}
        return [file for file, place in places.items() if place not in tree.mixed and may_hold(place, split)], 0

    def _files_named(self, name: str) -> list[str]:
        """The files below the root that have a name, those in which it is exact if there are any."""
        key, files = fold(name), self._tree.files
        named = next((found for other in (key.casefold(), *other_keys(key)) if (found := files.get(other))), [])
        return [file for file in named if fold(file.rpartition("/")[2]) == key] or named

    @cached_property
    def _tree(self) -> FileTree:
        return FileTree(self.root)
