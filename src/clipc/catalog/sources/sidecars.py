"""Which text belongs to which image: texts beside images, and texts in a folder parallel to theirs."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from clipc.catalog.sources.paths.file_names import fold
from clipc.errors import UserError

TEXT_SUFFIXES = (".caption", ".txt")
"""File name endings, in lower case, of captions; where an image has both, the first is the caption, the other tags."""

_PEEKED = 5

Folder = tuple[str, ...]


def texts_beside(images: Sequence[str], texts: Sequence[str], endings: Sequence[str] = TEXT_SUFFIXES) -> dict[str, str]:
    """The text of each image that has one beside it: ``0001.jpg.txt``, else ``0001.txt``.

    The exact name is preferred to one that differs in case or Unicode form, which only one text may have.

    Args:
        images: The images.
        texts: The texts.
        endings: The endings of texts, in lower case, those that are preferred first.
    """
    if not texts:
        return {}
    exact = set(texts)
    suffixes = [suffix for suffix in endings if any(text.endswith(suffix) for text in texts)]
    loose: dict[str, str | None] = {}
    beside: dict[str, str] = {}
    missed: list[str] = []
    for image in images:
        for name in (image, os.path.splitext(image)[0]):
            if text := next((name + suffix for suffix in suffixes if name + suffix in exact), None):
                beside[image] = text
                break
        else:
            missed.append(image)
    for text in texts if missed else ():
        key = _loose(text)
        loose[key] = None if key in loose else text
    if not loose:
        return beside
    for image in missed:
        names = [name + suffix for name in (image, os.path.splitext(image)[0]) for suffix in endings]
        if text := next((text for name in names if (text := loose.get(_loose(name)))), None):
            beside[image] = text
    return beside


def texts_in_parallel(
    images: Iterable[str], texts: Iterable[str], are_numbers: Callable[[Sequence[str]], bool]
) -> tuple[dict[str, str], list[str]]:
    """The text of each image whose text has the same name in a folder parallel to the image's.

    ``images/17.jpg`` and ``text/17.txt``; ``train/images/17.jpg`` and ``train/text/17.txt``; ``17.jpg`` and
    ``captions/17.txt``: the two paths are equal but for one folder. At least half of the images in a folder must have
    such a text.

    Args:
        images: Images without a text beside them.
        texts: Texts that belong to no image yet.
        are_numbers: Whether texts hold numbers rather than captions.

    Returns:
        The texts by image, and the folders whose texts belong to images in that way, but hold numbers.

    Raises:
        UserError: Two folders hold captions of the same images.
    """
    of_texts = _by_folder(texts)
    of_images = _by_folder(images) if of_texts else {}
    by_shape: defaultdict[Folder, list[Folder]] = defaultdict(list)
    for folder in of_texts:
        for shape in _shapes(folder):
            by_shape[shape].append(folder)
    pairs: dict[str, str] = {}
    annotations: list[str] = []
    for folder, named in of_images.items():
        candidates = dict.fromkeys(text for shape in _shapes(folder) for text in by_shape.get(shape, ()))
        captions: list[Folder] = []
        for text in candidates:
            common = named.keys() & of_texts[text].keys()
            if text == folder or 2 * len(common) < len(named):
                continue
            if are_numbers([same for key in sorted(common)[:_PEEKED] for same in of_texts[text][key]]):
                annotations.append("/".join(text) or ".")
            else:
                captions.append(text)
        if len(captions) > 1:
            first, second = ("/".join(text) or "." for text in captions[:2])
            raise UserError(
                f"the images in {'/'.join(folder) or 'the folder'} have captions in {first} and in {second}; "
                "keep one of these folders in the source."
            )
        for text in captions:
            for key, same in named.items():
                found = of_texts[text].get(key, [])
                pairs.update({image: found[0] for image in same if len(found) == 1})
    return pairs, list(dict.fromkeys(annotations))


def _loose(name: str) -> str:
    return fold(name.lower())


def _by_folder(files: Iterable[str]) -> dict[Folder, dict[str, list[str]]]:
    """For each folder its files by their names without ending, regardless of case and Unicode form."""
    folders: defaultdict[Folder, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        *parts, name = file.split("/")
        folders[tuple(parts)][_loose(os.path.splitext(name)[0])].append(file)
    return {folder: dict(named) for folder, named in folders.items()}


def _shapes(folder: Folder) -> list[Folder]:
    """A folder's path, and its path with each of its parts left out."""
    return [folder, *(folder[:at] + folder[at + 1 :] for at in range(len(folder)))]
