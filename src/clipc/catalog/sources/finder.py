"""File names as people and spreadsheets write them, matched to existing files."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from clipc.catalog.catalog import inside
from clipc.catalog.rows import IMAGE_SUFFIXES, SPLIT_NAMES, SourceInfo
from clipc.catalog.sources.listing import is_hidden
from clipc.errors import UserError

# Pairs of similar characters, of which Windows and other systems write different ones.
_LOOKALIKES = str.maketrans(
    {"\u301c": "\uff5e", "\u2212": "\uff0d", "\u2016": "\u2225", "\u00a5": "\\", "\u2014": "\u2015"}
)
_FOREIGN = re.compile(r"[A-Za-z]:[\\/]|[\\/]|file:", re.IGNORECASE)
_UPLOAD = re.compile(r"/data/upload/\d+/(?P<name>(?:[0-9a-f]{8}-)?(?P<original>[^/]+))")
_LOCAL_FILES = "/data/local-files/?d="
_MAX_FOLDERS = 100
_IMAGE_FOLDERS = ("image", "img", "photo", "picture", "画像", "写真")


class _Match(NamedTuple):
    """A file below the root, the written path that led to it, and whether only the file's name did."""

    file: str
    written: tuple[str, ...]
    by_name: bool


class Finder:
    """Finds the files below a root by name, regardless of Unicode form, slashes and case, and of where they once were.

    Args:
        root: The folder that names are relative to.
        prefix: A folder in it to look in.
        rerooted: Whether the user said that the images are now below the root, so that paths which exist elsewhere are
            looked for in it.
    """

    def __init__(self, root: Path, prefix: str = "", *, rerooted: bool = False) -> None:
        self.root = root
        self.prefix = prefix
        self._below = os.path.join(root, "")
        self._rerooted = rerooted
        self._folders: dict[str, tuple[dict[str, str], dict[str, str | None]]] = {}
        self._direct: set[str] = set()
        self._matches: dict[str, _Match] = {}
        self._shared: set[str] = set()
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
        """Notes how many paths were found in another place than they name."""
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
        path = os.path.join(self.root, self.prefix, name)
        if self._is_outside(path):
            return "the path leads out of the source's folder; --images names the folder of the images"
        if "\0" not in name and os.path.lexists(path):
            return "is not a regular file"
        if len(self._candidates(name)) > 1:
            return "there is no such image file, and several end like it; --images names the folder of the images"
        return "there is no such image file"

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
            UserError: The same ones are found in several folders, and none is named like a folder of images.
        """
        names = [name.strip() for name in names[:50] if name.strip()]

        def hits(prefix: str) -> set[str]:
            finder = Finder(self.root, prefix)
            return {name for name in names if finder.direct(name) is not None}

        self.prefix = ""
        if (found := hits("")) or not names:
            return sum(name in found for name in names)
        folders = [e.name for e in os.scandir(self.root) if e.is_dir(follow_symlinks=False) and not is_hidden(e.name)]
        by_folder = {name: found for name in sorted(folders)[:_MAX_FOLDERS] if (found := hits(name))}
        most = max(map(len, by_folder.values()), default=0)
        best = [name for name, found in by_folder.items() if 10 * len(found) >= 9 * most]
        splits = [name for name in by_folder if name.casefold() in SPLIT_NAMES]
        if not set(best).isdisjoint(splits):  # 0.jpg of train is not 0.jpg of test, however few names test has
            best = [name for name in by_folder if name in best or name in splits]
        are_apart = sum(map(len, by_folder.values())) == len(set().union(*by_folder.values()))
        if len(by_folder) != 1 and are_apart:  # none, or each holds some of them
            return sum(self._elsewhere(name) is not None for name in names)
        named = [name for name in best if name.casefold().removesuffix("s").endswith(_IMAGE_FOLDERS)]
        if len(best) > 1 and len(named) != 1:
            raise UserError(
                f"the image files are found in several folders of {self.root} ({', '.join(best[:5])}); "
                "name the one that is meant with --images, or write the folders into the paths."
            )
        self.prefix = (named if len(best) > 1 else best)[0]
        return sum(name in by_folder[self.prefix] for name in names)

    def direct(self, name: str) -> str | None:
        """The file that a path means where it is written, below the root and prefix; None if there is none."""
        if name.startswith("/"):
            if not name.startswith(self._below):
                return None
            name = name.removeprefix(self._below)
        elif self.prefix:
            name = f"{self.prefix}/{name}"
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not parts or ".." in parts or "\0" in name:
            return None
        direct = "/".join(parts)
        if os.path.isfile(self._below + direct):
            return direct
        parts = _parts(name)
        at = ""
        for number, part in enumerate(parts):
            if part == "..":
                return None
            exact, loose = self._names(at)
            last = number == len(parts) - 1
            key = fold(part)
            match = exact.get(key) or loose.get(key.casefold())
            if match is None and last:
                match = next((entry for other in _other_keys(key) if (entry := loose.get(other))), None)
            if match is None:
                return None
            at = f"{at}/{match}" if at else match
        return at if os.path.isfile(self._below + at) else None

    def _names(self, folder: str) -> tuple[dict[str, str], dict[str, str | None]]:
        """A folder's entries by folded name; and by casefolded name, stem or number, None if several share it."""
        if folder not in self._folders:
            exact: dict[str, str] = {}
            loose: dict[str, str | None] = {}
            try:
                entries = sorted(os.listdir(inside(self.root, folder)))
            except (OSError, UserError):
                entries = []
            for entry in entries:
                exact.setdefault(fold(entry), entry)
                for other in _keys(entry):
                    loose[other] = None if other in loose else entry
            self._folders[folder] = exact, loose
        return self._folders[folder]

    def _elsewhere(self, name: str) -> _Match | None:
        """The one file below the root whose path ends like a path that was written for another place."""
        candidates = self._candidates(name)
        return candidates[0] if len(candidates) == 1 else None

    def _candidates(self, name: str) -> list[_Match]:
        """The files below the root that a path for another place may mean.

        They must lie in a folder that ends like the path's own, as far as any folder does. Only where none does, the
        name alone counts, and only in folders that share no names with others: ``masks/7.png`` is not ``images/7.png``.
        """
        if not name or "\0" in name or name.startswith(self._below):
            return []
        foreign = bool(_FOREIGN.match(name)) or ".." in _parts(name)
        if foreign and not self._rerooted and self._is_outside(os.path.join(self.root, name)):
            return []  # another file of its name would be another image
        names = [name]
        if name[:5].lower() == "file:":
            names = [unquote(name[5:])]
        elif name.startswith(_LOCAL_FILES):
            names = [unquote(name.removeprefix(_LOCAL_FILES))]
        elif upload := _UPLOAD.fullmatch(name):
            names = [upload["name"], upload["original"]]
        for written in map(_parts, names):
            if ".." in written:
                written = written[len(written) - written[::-1].index("..") :]
            if not written or not (foreign or self._is_for_elsewhere(written)):
                continue
            files, by_name = self._files_like(written, from_elsewhere=foreign or self._rerooted)
            if files:
                return [_Match(file, tuple(written), by_name) for file in files]
        return []

    def _is_for_elsewhere(self, parts: list[str]) -> bool:
        """Whether a relative path is not for this root: a file missing in a folder that exists is a missing file."""
        if len(parts) == 1:
            return not self.prefix or self.prefix.casefold() in SPLIT_NAMES
        return self._names(self.prefix)[1].get(fold(parts[0]).casefold()) is None

    def _files_like(self, parts: list[str], from_elsewhere: bool) -> tuple[list[str], bool]:
        """The files that end like a path, or like part of it if it is from elsewhere; and whether only by their names.

        A relative path may only start above the root: its whole folder must be the end of a folder's absolute path.
        """
        folders = [fold(part).casefold() for part in parts[:-1]]
        key = fold(parts[-1])
        tree = self._tree
        keys = (key.casefold(), *_other_keys(key))
        files = next((found for other in keys if (found := tree.files.get(other))), [])
        files = [file for file in files if fold(file.rpartition("/")[2]) == key] or files
        places = {file: file.rpartition("/")[0] for file in files}
        if split := _split(folders):
            places = {file: place for file, place in places.items() if _split(place.split("/")) in (None, split)}
        for start in range(len(folders) if from_elsewhere else min(1, len(folders))):
            end = "/".join(folders[start:])
            if like := tree.by_end.get(end):
                some = [file for file, place in places.items() if place in like]
                return [file for file in some if fold(places[file]).casefold() == end] or some, False
        if folders and not from_elsewhere:
            return [], False
        if self.prefix and not folders:  # in train, or else in another split
            places = {file: place for file, place in places.items() if _split(place.split("/"))}
        return [file for file, place in places.items() if place not in tree.mixed], bool(folders)

    @cached_property
    def _tree(self) -> "_Tree":
        return _Tree(self.root)


class _Tree:
    """All files below a root by name, and all folders by the ends of their paths; ``mixed`` ones share names."""

    def __init__(self, root: Path) -> None:
        self.files: defaultdict[str, list[str]] = defaultdict(list)
        self.by_end: defaultdict[str, set[str]] = defaultdict(set)
        sizes: dict[str, int] = {}
        for at, inner, names in os.walk(root):
            inner[:] = sorted(name for name in inner if not is_hidden(name))
            folder = "" if at == str(root) else Path(at).relative_to(root).as_posix()
            ends = [fold(part).casefold() for part in Path(at).parts[1:]]
            for start in range(len(ends)):
                self.by_end["/".join(ends[start:])].add(folder)
            for name in names:
                for key in _keys(name):
                    self.files[key].append(f"{folder}/{name}" if folder else name)
            sizes[folder] = sum(_is_image(name) for name in names)
        shared: defaultdict[str, int] = defaultdict(int)
        for key, files in self.files.items():
            if len(files) > 1 and key.endswith(".*"):
                for folder in {file.rpartition("/")[0] for file in files}:
                    shared[folder] += 1
        self.mixed = {folder for folder, count in shared.items() if 10 * count > sizes[folder]}


def fold(name: str) -> str:
    """A file name in canonical form: composed (NFC), similar characters unified."""
    return name if name.isascii() else unicodedata.normalize("NFC", name).translate(_LOOKALIKES)


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]


def _split(folders: Sequence[str]) -> str | None:
    """The split that the innermost of some folders is named after."""
    return next((split for name in reversed(folders) if (split := SPLIT_NAMES.get(name.casefold()))), None)


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _keys(entry: str) -> Iterator[str]:
    """The keys of an entry: its name; for an image also the name without ending, and a number without zeros."""
    key = fold(entry).casefold()
    yield key
    if key.endswith(IMAGE_SUFFIXES):
        stem = os.path.splitext(key)[0]
        yield stem + ".*"
        if stem.isdecimal() and stem.isascii():
            yield f"{int(stem)}.#"


def _other_keys(key: str) -> Iterator[str]:
    """The keys under which a file may be found by a name without ending, or a number without leading zeros."""
    if not _is_image(key):
        yield key.casefold() + ".*"
        if key.isdecimal() and key.isascii() and (key == "0" or key[0] != "0"):
            yield key + ".#"
