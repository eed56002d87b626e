"""The one of several folders that holds the images of a table, where there is a reason to take it."""

from collections.abc import Collection, Mapping
from pathlib import Path

from clipc.catalog.sources.paths.file_names import is_named_as_images, may_hold, split_in_name
from clipc.errors import UserError, first_names


def choose_folder(held: Mapping[str, Collection[str]], split: str | None) -> str | None:
    """The folder that the names in a table mean.

    Folders whose names say another split, masks, heat maps, depths or labels are never meant. Of several others that
    hold the same names, one must have the only name of a folder of images, or the only one of the table's split.

    Args:
        held: The names that each folder holds of those in the table.
        split: The split that the table's name gives.

    Returns:
        The folder; None if none is meant, or if each holds names that no other has.

    Raises:
        ValueError: Several hold the same names, and there is no reason for one.
    """
    held = {folder: set(names) for folder, names in held.items() if names and may_hold(folder, split)}
    if len(held) < 2:
        return next(iter(held), None)
    if sum(map(len, held.values())) == len(set().union(*held.values())):
        return None
    if (reason := reason_for(held, split)) is None:
        raise ValueError("there is no reason for one of the folders")
    return reason


def reason_for(folders: Collection[str], split: str | None) -> str | None:
    """The only folder of which the name is a reason to take it rather than the others; None if there is none."""
    splits = {folder: split_in_name(folder) for folder in folders}
    of_split = [folder for folder in folders if split is not None and splits[folder] == split]
    if len(of_split) > 1:
        of_split = [folder for folder in of_split if is_named_as_images(folder)]
    plain = [folder for folder in folders if splits[folder] is None and is_named_as_images(folder)]
    reasons = {*of_split, *plain}
    return reasons.pop() if len(reasons) == 1 else None


def refusal(root: Path, held: Mapping[str, Collection[str]], split: str | None, tried: int) -> UserError:
    """The error that several folders hold the same names.

    Args:
        root: The folder that holds them.
        held: The names that each holds.
        split: The split that the table's name gives.
        tried: How many names were looked for.
    """
    counts = [f"{folder} {len(names)}" for folder, names in held.items() if may_hold(folder, split)]
    return UserError(
        f"image files with the same names are found in several folders of {root} (of the first {tried} names "
        f"{first_names(counts)}); name the folder that is meant with --images, or write the folders into the paths."
    )
