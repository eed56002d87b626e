"""The built-in demo set: images of factory parts, drawn by a program and written as WebDataset tars."""

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from importlib import resources
from itertools import islice, product
from pathlib import Path

import numpy as np
from PIL import Image

from clipc.demo.captions import LANGUAGES, captions, class_names, load_language
from clipc.demo.defects import STATES
from clipc.demo.image import SIDE, draw, scene
from clipc.demo.shapes import SHAPES
from clipc.errors import UserError, unknown_name
from clipc.files import report_disk_errors
from clipc.progress import Progress, silent

VERSION = 1
"""The version of the set; increased whenever the same call would write other images or captions."""

COUNTS = {"train": 2100, "val": 280, "test": 420}
"""Images in each split: a multiple of the 70 combinations of shape and state, so that all are equally frequent."""

_SHARD_SIZE = 1000


def make_demo(folder: Path, lang: str = "en", progress: Progress = silent) -> Path:
    """Writes the demo set, unless the folder already holds it.

    Equal calls write equal bytes, given the same versions of NumPy and Pillow and the same hardware. The folder appears
    only when it is complete.

    Args:
        folder: The folder to write: ``train-00000.tar`` and so on, ``classes.json``, ``README.txt``.
        lang: The captions' language: ``"en"`` or ``"ja"``. The images are the same.
        progress: Called with the number of images drawn.

    Returns:
        The folder.

    Raises:
        UserError: There is no such language, the folder holds something else, or the disk is full.
    """
    if lang not in LANGUAGES:
        raise unknown_name("caption language", lang, LANGUAGES)
    readme = _readme(lang)
    with report_disk_errors(folder, "make room, or name another folder for the cache"):
        if _holds(folder, readme):
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            new = Path(temporary) / "set"
            new.mkdir()
            _write(new, lang, progress)
            names = json.dumps(class_names(load_language(lang)), ensure_ascii=False, indent=1)
            (new / "classes.json").write_text(names + "\n", encoding="utf-8")
            (new / "README.txt").write_text(readme, encoding="utf-8")
            try:
                os.rename(new, folder)
            except OSError:
                # Another process may have finished the same set first.
                if not _holds(folder, readme):
                    raise
    return folder


def _readme(lang: str) -> str:
    total = sum(COUNTS.values())
    text = (resources.files("clipc.demo") / "README.txt").read_text("utf-8")
    return text.format(version=VERSION, lang=lang, total=total, side=SIDE, shapes=len(SHAPES), states=len(STATES))


def _holds(folder: Path, readme: str) -> bool:
    """Whether the folder holds the set that the README describes; the README is the last file written.

    Raises:
        UserError: The folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    file = folder / "README.txt"
    if file.is_file() and file.read_text(encoding="utf-8", errors="replace") == readme:
        return True
    raise UserError(f"{folder} holds something other than this demo set; name a folder that does not exist yet.")


def _write(folder: Path, lang: str, progress: Progress) -> None:
    total = sum(COUNTS.values())
    done = 0
    for split, count in COUNTS.items():
        images = _images(split, count, lang)
        for shard in range(-(-count // _SHARD_SIZE)):
            with tarfile.open(folder / f"{split}-{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for files in islice(images, _SHARD_SIZE):
                    for name, data in files.items():
                        entry = tarfile.TarInfo(name)
                        entry.size = len(data)
                        tar.addfile(entry, io.BytesIO(data))
                    done += 1
                    progress("drawing the demo set", done, total)


def _images(split: str, count: int, lang: str) -> Iterator[dict[str, bytes]]:
    """Yields the files of each image of a split, by name; every combination of shape and state occurs equally often."""
    combinations = list(product(SHAPES, STATES))
    for number in range(count):
        cycle, position = divmod(number, len(combinations))
        shape, state = combinations[int(_generator(split, "order", cycle).permutation(len(combinations))[position])]
        yield _image_files(split, number, shape, state, lang)


def _image_files(split: str, number: int, shape: str, state: str, lang: str) -> dict[str, bytes]:
    rng = _generator(split, "image", number)
    drawn_scene = scene(shape, state, rng)
    encoded = io.BytesIO()
    Image.fromarray(draw(drawn_scene, rng)).save(encoded, "JPEG", quality=90, subsampling=0)
    texts = captions(drawn_scene, load_language(lang), _generator(split, "captions", number))
    labels = {name: getattr(drawn_scene, name) for name in ("shape", "state", "colour", "background")}
    about = {"captions": texts, "label": shape, **labels, "split": split, "generated": True}
    key = f"{split}-{number:05d}"
    return {
        f"{key}.jpg": encoded.getvalue(),
        f"{key}.txt": texts[0].encode(),
        f"{key}.json": json.dumps(about, ensure_ascii=False).encode(),
    }


def _generator(split: str, purpose: str, number: int) -> np.random.Generator:
    """A random generator for one split, purpose and number, so that no image depends on another."""
    stream = list(COUNTS).index(split) * 3 + ("order", "image", "captions").index(purpose)
    return np.random.Generator(np.random.Philox(key=[stream, number]))
