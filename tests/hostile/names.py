"""Names and links: loops, bytes that are no text, escapes of terminals, lengths, and encodings that are none."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from .images import encoded
from .oracle import Generator, Rng

ESCAPES = (
    *(
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x1b[2J\x1b[H",
        "\x9b31m",
        "a\rb",
        "\u202egpj.x",
        "a\x7f\x08b",
        "a\u2028b",
    ),
    *("a\nclipc: all is well", "\u2066x\u2069", "\x1bP+q\x1b\\", "tab\there"),
)


def _secret(root: Path) -> Path:
    place = root.parent / "outside"
    (place / "secret.png").write_bytes(encoded("PNG", 99))
    (place / "secret.txt").write_text("a secret plate")
    return place


def _folder(root: Path, count: int = 4) -> None:
    for number in range(count):
        (root / f"{number}.png").write_bytes(encoded("PNG", number))
        (root / f"{number}.txt").write_text(f"a red plate with the number {number}")


def links(rng: Rng, root: Path) -> Sequence[str]:
    """Links that lead in circles, out of the folder, to each other, to themselves, to devices or to nothing."""
    place = _secret(root)
    _folder(root)
    (root / "sub").mkdir()
    choices = [
        ("loop", root), ("sub/up", root / "sub"), ("self.png", root / "self.png"), ("self", root / "self"),
        ("out", place), ("out.png", place / "secret.png"), ("1.caption", place / "secret.txt"), ("gone.png",
        root / "none"),
        ("zero.png", Path("/dev/zero")), ("stdin.png", Path("/dev/stdin")), ("proc", Path("/proc/self")), ("etc",
        Path("/etc")),
        ("a.png", root / "b.png"), ("b.png", root / "a.png"), ("sub/a", root / "sub/b"), ("sub/b", root / "sub/a"),
        ("classes.json", place / "secret.txt"), ("README.md", root / "README.md"), ("train.txt", Path("/dev/zero")),
        ("pairs.csv", root / "pairs.csv"), ("metadata.jsonl", place / "secret.txt"), ("fd", Path("/proc/self/fd/0")),
    ]  # fmt: skip
    for at in rng.choice(len(choices), int(rng.integers(1, 6)), replace=False):
        name, target = choices[at]
        (root / name).symlink_to(target)
    if rng.integers(3) == 0:
        os.mkfifo(root / "pipe.png")
        os.mkfifo(root / "4.txt")
    if rng.integers(4) == 0:
        chain = root / "sub"
        for step in range(60):
            (root / f"step{step}").symlink_to(chain)
            chain = root / f"step{step}"
    if rng.integers(3) == 0:
        name = str(rng.choice(["self.png", "self", "pairs.csv", "loop"]))
        return ["read", str(root / name)]
    return ["read", str(root)]


def table_links(rng: Rng, root: Path) -> Sequence[str]:
    """A table whose paths lead out, through links, or to what is no file."""
    place = _secret(root)
    _folder(root)
    (root / "out").symlink_to(place)
    (root / "loop").symlink_to(root)
    (root / "self.png").symlink_to(root / "self.png")
    paths = [
        "0.png", "out/secret.png", "../outside/secret.png", str(place / "secret.png"), "loop/" * 30 + "0.png",
        "self.png",
        "a/" * 5000 + "0.png", "x" * 300, "0.png/", "0.png/1.png", ".", "/", "\0", "~root", "0.png\n", "$HOME",
        "/dev/zero",
        "file://" + str(place / "secret.png"), "%2e%2e/outside/secret.png", "..\\outside\\secret.png", "\x1b[31m",
        "C:\\x.png",
    ]  # fmt: skip
    with (root / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        writer.writerow(["0.png", "a plate"])
        writer.writerows([paths[int(rng.integers(len(paths)))], f"a plate {n}"] for n in range(12))
    return ["read", str(root / "pairs.csv")]


def bytes_in_names(rng: Rng, root: Path) -> Sequence[str]:
    """Files and folders whose names are no UTF-8, hold escapes, or are as long as they may be."""
    base = os.fsencode(root)
    names = [
        b"\xff\xfe",
        "caf\u00e9".encode("latin-1"),
        b"\x83\x65\x83\x58\x83\x67",
        b"a" * 240,
        "傷".encode() * 80,
        b"-rf",
        b" ",
    ]
    names += [text.encode().replace(b"/", b"_")[:200] for text in ESCAPES]
    folders = [names[int(rng.integers(len(names)))] for _ in range(2)]
    for at, folder in enumerate(folders if rng.integers(2) else [b"one", b"two"]):
        os.makedirs(os.path.join(base, folder), exist_ok=True)
        for number in range(3):
            stem = names[int(rng.integers(len(names)))] + str(number).encode()
            with open(os.path.join(base, folder, stem + b".png"), "wb") as file:
                file.write(encoded("PNG", 3 * at + number))
            if rng.integers(2):
                with open(os.path.join(base, folder, stem + b".txt"), "wb") as file:
                    file.write(b"a red plate")
    if rng.integers(3) == 0:
        return ["read", os.fsdecode(os.path.join(base, folders[0]))]
    return ["read", str(root)]


def escapes(rng: Rng, root: Path) -> Sequence[str]:
    """Escapes of terminals in headings, captions, labels, splits, keys, paths, and in the words of the command."""
    _folder(root)
    odd = [ESCAPES[int(rng.integers(len(ESCAPES)))] for _ in range(6)]
    heading = ["image", "caption", "label", "split", "id", odd[0]]
    if rng.integers(3) == 0:
        heading[int(rng.integers(5))] = odd[1]
    place = int(rng.integers(5))
    rows = [[f"{n}.png", f"a plate {n}", "ab"[n % 2], "train", str(n), "x"] for n in range(4)]
    for row in rows[: int(rng.integers(1, 5))]:
        row[place] += odd[2]
    name = f"pairs{odd[3]}.csv".replace("/", "_") if rng.integers(2) else "pairs.csv"
    with (root / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *rows])
    options = [[], [f"caption_columns={odd[4]}"], [f"caption_templates=a {{{odd[4]}}}"], [f"split_column={odd[5]}"]]
    if rng.integers(6) == 0:
        return ["read", str(root / f"none{odd[4]}")]
    return ["read", str(root / name), *options[int(rng.integers(4))]]


def encodings(rng: Rng, root: Path) -> Sequence[str]:
    """An encoding that Python has and no text is in, with a text in any other."""
    _folder(root)
    text = "image,caption\n" + "".join(f"{n}.png,a plate é 傷 {n}\n" for n in range(4))
    written = str(rng.choice(["utf-8", "utf-16", "utf-32", "cp932", "euc_jp", "utf-7", "gb18030"]))
    (root / "pairs.csv").write_bytes(text.encode(written, "replace"))
    named = str(
        rng.choice(
            ["idna", "punycode", "rot13", "hex", "base64", "zlib", "unicode_escape", "raw_unicode_escape",
            "undefined", "mbcs",
             "utf-7", "utf-16-be", "utf-32-le", "cp037", "charmap", "ascii", "", "x" * 5000, "\x1b[31m", "utf-8-sig",
             "hz",
             "iso2022_jp", "uu", "bz2", "oem", "utf-8\n"]
        )
    )  # fmt: skip
    source = root / "pairs.csv" if rng.integers(2) else root
    return ["read", str(source), f"encoding={named}"]


def words(rng: Rng, root: Path) -> Sequence[str]:
    """Names in the words of a command that are too long, odd, or mean something else."""
    _folder(root)
    odd = [
        *ESCAPES,
        "a" * 5000,
        "a/" * 3000,
        "",
        " ",
        "-",
        "--",
        "\udcff",
        "~nobody/x",
        "*" * 500,
        "[" * 500,
        "hf:" + "a" * 500,
    ]
    odd += [
        "hf:../..",
        "http://localhost/x",
        "x:y",
        "os:system",
        "::",
        "demo\0"[:4] + "/..",
        "con",
        "/dev/null",
        "/dev/fd/0",
    ]
    word = odd[int(rng.integers(len(odd)))]
    return [
        ["read", word],
        ["read", str(root / (word or "x"))[:6000]],
        ["train", "nano", "demo", f"model={word}"],
        ["train", f"data.source={word}", "nano"],
        ["compose", str(root), f"--rules={word}", "--check"],
        ["compose", str(root), f"--out={word}", "--recipe", "none"],
        ["study", word],
        ["export", word],
        ["compose", "--print-rules", word],
        ["eval", word, str(root)],
        ["train", "nano", str(root), word],
    ][int(rng.integers(11))]


KINDS: list[Generator] = [links, table_links, bytes_in_names, escapes, encodings, words]
