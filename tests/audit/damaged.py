"""A sound copy of real pairs, and a damaged one, for the tests of the doctor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clipc.catalog.catalog import Catalog

PAIRS = {"train": 300, "val": 40, "test": 60}


def sound_copy(catalog: Catalog, folder: Path) -> Path:
    """A table and image files of some pairs, spread over the classes."""
    rows = _rows(catalog)
    (folder / "images").mkdir(parents=True)
    lines = [["image", "caption", "label", "split"]]
    for row in rows:
        name = f"images/{catalog.keys[row]}.jpg"
        (folder / name).write_bytes(catalog.encoded(row))
        label = str(catalog.table["label"][row].as_py())
        lines.append([name, catalog.caption(row, 0), label, str(catalog.split_names[row])])
    return _written(folder, lines)


def damaged_copy(sound: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The same with one kind of damage after another.

    Returns:
        The table, and for each code of a finding the number of rows or captions that were damaged.
    """
    lines = [json.loads(line) for line in _rows_of(sound).read_text("utf-8").splitlines()]
    (folder / "images").mkdir(parents=True)
    for line in lines[1:]:
        (folder / line[0]).write_bytes((sound.parent / line[0]).read_bytes())
    train = [line for line in lines[1:] if line[3] == "train"]
    test = [line for line in lines[1:] if line[3] == "test"]
    # Test images that are in training too: five byte by byte, five re-encoded at another size.
    for number, line in enumerate(test[:10]):
        name = f"images/leak-{number}.jpg"
        if number < 5:
            (folder / name).write_bytes((folder / line[0]).read_bytes())
        else:
            _reencoded(folder / line[0], folder / name)
        lines.append([name, f"a leaked view with number {number} of its own", line[2], "train"])
    for number, line in enumerate(train[:8]):
        name = f"images/near-{number}.jpg"
        _reencoded(folder / line[0], folder / name)
        lines.append([name, f"a near copy with number {number} of its own", line[2], "train"])
    # As augmentation on disk leaves them: three test images and five training images mirrored.
    for number, line in enumerate([*test[20:23], *train[70:75]]):
        name = f"images/mirrored-{number}.jpg"
        _mirrored(folder / line[0], folder / name)
        lines.append([name, f"a turned view with number {number} of its own", line[2], "train"])
    for line in train[10:16]:
        data = (folder / line[0]).read_bytes()
        (folder / line[0]).write_bytes(data[: len(data) // 2])
    useless = ["0 0.51 0.42 0.1 0.2"] * 4 + ["unknown"] * 3 + ["photo_17.jpg, a port"] * 3
    for line, caption in zip(train[20:30], useless, strict=True):
        line[1] = caption
    for line in train[30:36]:
        line[1] = "a port with ships and houses on the shore and " * 40 + line[2]
    for number, line in enumerate(train[40:52]):
        generator = np.random.Generator(np.random.Philox(number))
        dark = generator.integers(0, 4096, size=(64, 64), dtype=np.uint16)
        line[0] = f"images/dark-{number}.png"
        Image.fromarray(dark).save(folder / line[0])
    mixed = [line[0] for line in train[60:67]]
    planted = {
        "leaked-images": 5,
        "near-leaks": 5,
        "near-images": 16,  # both images of each
        "mirrored-leaks": 3,
        "mirrored-images": 10,
        "unreadable": 6,
        "separators": 7,
        "caption-numbers": 4,
        "caption-missing": 3,
        "caption-file-name": 3,
        "long-captions": 6,
        "dark-set": 12,
    }
    return _written(folder, lines, mixed), planted


def constant_copy(sound: Path) -> Path:
    """The sound table with one caption for all images."""
    lines = [json.loads(line) for line in _rows_of(sound).read_text("utf-8").splitlines()]
    file = sound.with_name("constant.csv")
    text = "\n".join(",".join([line[0], "a photo of an images", line[3]]) for line in lines[1:])
    file.write_text(f"image,caption,split\n{text}", "utf-8")
    return file


def _rows(catalog: Catalog) -> list[int]:
    rows: list[int] = []
    for split, count in PAIRS.items():
        members = np.flatnonzero(catalog.split_names == split)
        rows += members[np.linspace(0, len(members) - 1, count).astype(int)].tolist()
    return rows


def _written(folder: Path, lines: list[list[str]], mixed: list[str] | None = None) -> Path:
    text = [("\t" if line[0] in (mixed or ()) else ",").join([line[0], f'"{line[1]}"', *line[2:]]) for line in lines]
    file = folder / "pairs.csv"
    file.write_text("\n".join(text), "utf-8")
    _rows_of(file).write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    return file


def _rows_of(table: Path) -> Path:
    """The rows of a table as JSON, outside of its folder."""
    return table.parent.with_suffix(".rows.jsonl")


def _reencoded(source: Path, target: Path) -> None:
    image = Image.open(source)
    image.resize((image.width * 3 // 2, image.height * 3 // 2)).save(target, quality=70)


def _mirrored(source: Path, target: Path) -> None:
    image = Image.open(source)
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((image.width, image.height)).save(target, quality=80)
