"""All files below a folder by name, for paths that were written for another place."""

import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from clipc.catalog.sources.listing import is_hidden
from clipc.catalog.sources.paths.file_names import fold, is_image, keys_of, may_hold


class FileTree:
    """The files and folders below a root.

    Attributes:
        files: The files by each key of their names.
        by_end: The folders by each end of their absolute paths, folded.
        mixed: The folders in which a name alone tells nothing, because they share names with others.
    """

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
                for key in keys_of(name):
                    self.files[key].append(f"{folder}/{name}" if folder else name)
            sizes[folder] = sum(map(is_image, names))
        self.mixed = self._mixed(sizes)

    def _mixed(self, sizes: dict[str, int]) -> set[str]:
        """The folders of which more than a tenth of the images have names that others have too, and these others.

        Folders of masks and the like do not count: their files are not taken by a name alone.
        """
        others = {folder for folder in sizes if not may_hold(folder, None)}
        sharing = [
            folders
            for key, files in self.files.items()
            if len(files) > 1 and key.endswith(".*")
            if len(folders := {file.rpartition("/")[0] for file in files} - others) > 1
        ]
        shared: defaultdict[str, int] = defaultdict(int)
        for folders in sharing:
            for folder in folders:
                shared[folder] += 1
        mixed = {folder for folder, count in shared.items() if 10 * count > sizes[folder]}
        return mixed.union(*(folders for folders in sharing if not mixed.isdisjoint(folders)))


def damage_warning(tree: FileTree, missing: Collection[str], used: Collection[str]) -> str | None:
    """A warning if as many image files are unused as names are missing, so that one may be a damaged form of the other.

    Args:
        tree: The files.
        missing: Names that no file has, with other letters than those of ASCII, which alone are damaged.
        used: The files that other names mean.
    """
    names = {file for files in tree.files.values() for file in files if not file.isascii() and is_image(file)}
    unused = len(names.difference(used))
    if unused < len(missing):
        return None
    return (
        f"{len(missing):,} image files that are named are not there, and {unused:,} that are there are named in no "
        "row: if their names were damaged by unpacking, unpack them again with the right encoding (unzip -O cp932 for "
        "archives of a Japanese Windows)"
    )
