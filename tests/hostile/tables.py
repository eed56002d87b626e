"""Tables and texts with too much in them, or with values of types that no one expects."""

import csv
import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from .images import encoded
from .oracle import Generator, Rng

_ROLES = ("image", "caption", "label", "split", "id", "extra")


def _images(root: Path, count: int = 4) -> list[str]:
    for number in range(count):
        (root / f"{number}.png").write_bytes(encoded("PNG", number))
    return [f"{number}.png" for number in range(count)]


def _rows(root: Path) -> list[dict[str, Any]]:
    return [
        {"image": name, "caption": f"a red plate, number {n}", "label": "ab"[n % 2], "split": "train", "id": str(n)}
        for n, name in enumerate(_images(root))
    ]


def _written(root: Path, rows: Sequence[Mapping[str, Any]], kind: str) -> Sequence[str]:
    """The rows as a file of a kind, and the command that reads it."""
    file = root / f"pairs.{kind}"
    if kind in ("csv", "tsv"):
        names = list(dict.fromkeys(name for row in rows for name in row))
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter="," if kind == "csv" else "\t")
            writer.writerow(names)
            writer.writerows([row.get(name, "") for name in names] for row in rows)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "json":
        file.write_text(json.dumps(rows))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows)), file)
    return ["read", str(file)]


def _kind(rng: Rng) -> str:
    return str(rng.choice(["csv", "tsv", "jsonl", "json", "parquet"]))


def long_value(rng: Rng, root: Path) -> Sequence[str]:
    """A value of up to 50 MB under any column: words, one endless word, or nothing but brackets or spaces."""
    rows = _rows(root)
    size = int(rng.choice([9_990, 20_000, 140_000, 3_000_000, 50_000_000]))
    piece = str(rng.choice(["a plate ", "a", "傷", "[", " ", "'", "a|", "\\", "\x1b[31m"]))
    role = str(rng.choice(_ROLES))
    rows[int(rng.integers(4))][role] = (piece * (size // len(piece) + 1))[:size]
    return _written(root, rows, _kind(rng))


def many_keys(rng: Rng, root: Path) -> Sequence[str]:
    """A hundred thousand keys in one record, or other ones in each, or a heading of as many columns."""
    rows = _rows(root)
    count = int(rng.choice([900, 3000, 100_000]))
    for number, row in enumerate(rows):
        prefix = f"{number}_" if rng.integers(2) else ""
        row |= {f"{prefix}key{k}": k for k in range(count)}
        if rng.integers(2):
            break
    kind = _kind(rng)
    return _written(root, rows, "jsonl" if kind == "parquet" and count > 5000 else kind)


def literal(rng: Rng, root: Path) -> Sequence[str]:
    """A caption or label written as a list or object of Python, of up to 16 MB, or nested as deeply."""
    rows = _rows(root)
    size = int(rng.choice([100, 50_000, 130_000, 16_000_000]))
    texts = [
        "['a', " * (size // 6) + "]" * (size // 6),
        "[" + "'a plate', " * (size // 11) + "]",
        "{'raw': " * (size // 9) + "'a'" + "}" * (size // 9),
        "[" + "0," * (size // 2) + "]",
        "(" * (size // 2) + ")" * (size // 2),
        "['" + "\\x41" * (size // 4) + "']",
        "[" + "'" * size + "]",
        "{" + "'k': {}, " * (size // 9) + "}",
        "['a', __import__('os').system('true')]",
        "[" + "-" * size + "1]",
    ]
    role = str(rng.choice(["caption", "label", "image", "split"]))
    rows[1][role] = texts[int(rng.integers(len(texts)))]
    return _written(root, rows, _kind(rng))


def deep_json(rng: Rng, root: Path) -> Sequence[str]:
    """JSON nested up to a hundred thousand deep: a document, a line, a value of a record."""
    depth = int(rng.choice([50, 300, 700, 980, 5000, 100_000]))
    inner = [("[", "]"), ('{"a":', "}"), ('{"label":', "}"), ('{"caption":', "}"), ('[{"captions":', "}]")]
    opening, closing = inner[int(rng.integers(len(inner)))]
    value = opening * depth + '"a plate"' + closing * depth
    rows = [json.dumps(row) for row in _rows(root)]
    role = str(rng.choice(_ROLES))
    if rng.integers(3):
        rows[1] = rows[1].replace(json.dumps(f"{role}")[1:-1], f"old_{role}")[:-1] + f', "{role}": {value}}}'
        (root / "pairs.jsonl").write_text("\n".join(rows))
        return ["read", str(root / "pairs.jsonl")]
    (root / "pairs.json").write_text(value)
    return ["read", str(root / "pairs.json")]


def json_document(rng: Rng, root: Path) -> Sequence[str]:
    """A JSON document of a known form with wrong types, or of hundreds of thousands of tiny values."""
    names = _images(root)
    forms: list[Any] = [
        {"images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
         "annotations": [{"image_id": n, "caption": "a plate"} for n in range(4)]},
        [{"filename": name, "sentences": [{"raw": "a plate"}], "split": "train"} for name in names],
        [{"data": {"image": name}, "annotations": [{"result": [
            {"from_name": "c", "value": {"text": ["a plate"]}}]}]} for name in names],
        [{"image": name, "conversations": [{"from": "gpt", "value": "a plate"}]} for name in names],
        {"samples": [{"filepath": name, "_media_type": "image", "tags": ["train"],
                      "caption": {"_cls": "Classification", "label": "a plate"}} for name in names]},
        {name: ["a plate", "a red plate"] for name in names},
        {"train": {name: ["a plate"] for name in names}, "test": {}},
        {"columns": ["image", "caption"], "data": [[name, "a plate"] for name in names]},
    ]  # fmt: skip
    document = forms[int(rng.integers(len(forms)))]
    for _ in range(int(rng.integers(1, 4))):
        document = mutated(document, rng)
    text = json.dumps(document)
    if rng.integers(5) == 0:
        text = str(
            rng.choice(["[" + "[]," * 3_000_000 + "[]]", "[" + "{}," * 1_000_000 + "{}]", '{"images":[1]}', "[1"])
        )
    (root / "pairs.json").write_text(text)
    return ["read", str(root / "pairs.json")]


ODD_VALUES: list[Any] = [
    *(None, True, "64", "", -1, 0, 1, 10_000_000, 10**30, 1e308, float("nan"), float("inf"), [], {}, [1, 2], [[]]),
    *({"a": 1}, "x" * 5000, "\x1b[31mred\x1b[0m", "a\nb", "\ud800", "../../outside/secret.png", [None], -0.5),
]
"""Values that may stand in place of any other."""


def mutated(value: Any, rng: Rng) -> Any:
    """A JSON value with one of its parts, wherever it lies, taken away or replaced by an odd one."""
    if isinstance(value, dict) and value and rng.integers(8):
        key = list(value)[int(rng.integers(len(value)))]
        if rng.integers(10) == 0:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: mutated(value[key], rng)}
    if isinstance(value, list) and value and rng.integers(8):
        at = int(rng.integers(len(value)))
        return [*value[:at], mutated(value[at], rng), *value[at + 1 :]]
    return ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]


def odd_values(rng: Rng, root: Path) -> Sequence[str]:
    """Records with values of any type under any column, as JSON."""
    rows = _rows(root)
    for _ in range(int(rng.integers(1, 6))):
        rows[int(rng.integers(4))][str(rng.choice(_ROLES))] = ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
    return _written(root, rows, str(rng.choice(["json", "jsonl"])))


def parquet_types(rng: Rng, root: Path) -> Sequence[str]:
    """A column of any of Arrow's types in the place of images, captions, labels, splits or keys."""
    import datetime as dt
    from decimal import Decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    n = len(_images(root))
    png = [encoded("PNG", k) for k in range(n)]
    columns: list[Callable[[], Any]] = [
        lambda: pa.array([1, 2, None, 2**62]),
        lambda: pa.array([2**64 - 1, 1, 2, 3], pa.uint64()),
        lambda: pa.array([0.5, float("nan"), float("inf"), -1e308]),
        lambda: pa.array([1.0, 2.0, 3.0, 0.0], pa.float16()),
        lambda: pa.array([[1, 2], [], None, [3]]),
        lambda: pa.array([["a"], ["b", "c"], [None], []]),
        lambda: pa.array([[{"text": "a"}], [], None, [{"text": None}]]),
        lambda: pa.array([Decimal("1.50"), None, Decimal("-3"), Decimal("1e10")], pa.decimal128(38, 2)),
        lambda: pa.array([dt.datetime(2024, 1, 1), None, dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1)]),
        lambda: pa.array([2**62, 1, -(2**62), None], pa.timestamp("us")),
        lambda: pa.array([2**40, 1, -(2**40), None], pa.timestamp("s", "Nowhere/Atlantis")),
        lambda: pa.array([1, 2**31 - 1, -(2**31), None], pa.date32()),
        lambda: pa.array([1, 2, 3, None], pa.time64("ns")),
        lambda: pa.array([1, 2, 2**62, None], pa.duration("us")),
        lambda: pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}, {"a": 2, "b": None}]),
        lambda: pa.array(
            [{"bytes": png[0], "path": "../outside/secret.png"}, {"bytes": None, "path": "0.png"}, None, {}]
        ),
        lambda: pa.array(
            [{"bytes": b"", "path": None}] * n, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        ),
        lambda: pa.array([b"\xff\xfe\xfd", b"ok", None, b"\x80"], pa.binary()),
        lambda: pa.array([b"\xff\xfe\xfd", b"ok", b"\xe3\x81", None], pa.binary()).cast(pa.string(), safe=False),
        lambda: pa.Array.from_buffers(  # Strings that are no UTF-8.
            pa.string(),
            4,
            [None, pa.py_buffer(struct.pack("<5i", 0, 2, 4, 6, 8)), pa.py_buffer(b"\xff\xfeok\xe3\x81\x80x")],
        ),
        lambda: pa.array(png, pa.binary()),
        lambda: pa.array([True, False, None, True]),
        lambda: pa.array([b"abcd"] * 4, pa.binary(4)),
        lambda: pa.array(["a", "b", None, "a"]).dictionary_encode(),
        lambda: pa.array([[("k", 1)], [], None, [("k", 2), ("k", 3)]], pa.map_(pa.string(), pa.int64())),
        lambda: pa.nulls(4),
        lambda: pa.array([[[1.0]], [[]], [], None]),
        lambda: pa.array(["a plate"] * 4, pa.large_string()),
        lambda: pa.array([[0.5] * 3] * 4, pa.list_(pa.float32(), 3)),
    ]
    table = {name: pa.array([row[name] for row in _rows(root)]) for name in _ROLES[:-1]}
    for _ in range(int(rng.integers(1, 3))):
        table[str(rng.choice(_ROLES))] = columns[int(rng.integers(len(columns)))]()
    if rng.integers(8) == 0:
        table["split"] = pa.array(["train\x1b[2J", "‮tset", "a\nb", "x" * 5000])
    pq.write_table(pa.table(table), root / "pairs.parquet", store_schema=bool(rng.integers(4)))
    return ["read", str(root / "pairs.parquet")]


def parquet_bomb(rng: Rng, root: Path) -> Sequence[str]:
    """A Parquet file of kilobytes whose columns unpack to gigabytes: by a dictionary, by compression, or in a list."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _images(root)
    rows, size = int(rng.choice([100, 5000])), int(rng.choice([100_000, 4_000_000]))
    value: Any = "a plate " * (size // 8)
    role = str(rng.choice(["caption", "label", "image", "extra"]))
    shape = int(rng.integers(4))
    if shape == 1:
        value = [value]
    elif shape == 2:
        value, role = {"bytes": value.encode(), "path": "x.png"}, "image"
    table: dict[str, Any] = {
        "image": pa.array([f"{n % 4}.png" for n in range(rows)]),
        "caption": pa.array(["a plate"] * rows),
    }
    kind = pa.array([value]).type
    dictionary = pa.array([value], kind)
    if shape in (0, 3):
        table[role] = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), dictionary)
    else:
        rows = min(rows, 200_000_000 // size + 1)
        table = {name: column.slice(0, rows) for name, column in table.items()}
        table[role] = pa.concat_arrays([dictionary] * rows)
    zipped = str(rng.choice(["zstd", "gzip", "snappy"]))
    limit = 1 << 30 if shape != 3 else 1 << 10
    pq.write_table(
        pa.table(table),
        root / "pairs.parquet",
        compression=zipped,
        dictionary_pagesize_limit=limit,
        write_statistics=False,
    )
    return ["read", str(root / "pairs.parquet")]


def damaged_table(rng: Rng, root: Path) -> Sequence[str]:
    """A table of any kind with flipped bits, cut, or with other bytes put in."""
    kind = _kind(rng)
    words = _written(root, _rows(root), kind)
    file = Path(words[1])
    data = bytearray(file.read_bytes())
    for _ in range(int(rng.integers(1, 12))):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    if rng.integers(3) == 0:
        at = int(rng.integers(len(data)))
        data[at:at] = rng.bytes(int(rng.integers(1, 5000)))
    if rng.integers(4) == 0:
        del data[int(rng.integers(len(data))) :]
    file.write_bytes(bytes(data))
    return words


def quotes(rng: Rng, root: Path) -> Sequence[str]:
    """Separated text that invites endless reading: unclosed quotation marks, a heading of megabytes, one long line."""
    _images(root)
    good = "image,caption\n" + "".join(f"{n}.png,a plate\n" for n in range(4))
    size = int(rng.choice([10_000, 1_000_000, 20_000_000]))
    texts = [
        good + '0.png,"' + "a plate\n" * (size // 8),
        good + '"' * size,
        "image,caption," + ",".join("c" * 5 for _ in range(size // 6)) + "\n0.png,a plate\n",
        "," * size + "\n" + good,
        good + "0.png," + "a" * size,
        good + '1.png,"\n' * (size // 100),
        "\n" * size + good,
        good.replace(",", "|" * 3) + "\0" * size,
        "image\tcaption\n" + "0.png\t" * (size // 6),
        good + "\r" * size,
        "sep=" + "x" * size + "\n" + good,
        "image,caption\n" + "0.png,a plate\n" * (size // 14),
    ]
    (root / "pairs.csv").write_text(texts[int(rng.integers(len(texts)))])
    return ["read", str(root / "pairs.csv")]


def sidecars(rng: Rng, root: Path) -> Sequence[str]:
    """A folder of images whose texts, JSON or card are too long, damaged or of other types."""
    for number in range(6):
        (root / f"{number}.jpg").write_bytes(encoded("JPEG", number))
        (root / f"{number}.txt").write_text(f"a plate with the number {number}")
    size = int(rng.choice([1000, 900_000, 1_100_000, 30_000_000]))
    record = json.dumps(mutated({"caption": "a plate", "label": "x", "split": "test", "n": [1.0, 2.0]}, rng))
    contents = [
        ("1.txt", b"a " * (size // 2)), ("1.txt", b"line\n" * (size // 5)), ("1.txt", bytes(size)), ("1.txt",
        rng.bytes(999)),
        ("1.txt", b"a" * size), ("1.json", record.encode()), ("1.json", b'{"k":' * (size // 5)),
        ("1.json", json.dumps({f"k{n}": n for n in range(size // 50)}).encode()), ("1.caption",
        b"\xff\xfe" + bytes(99)),
        ("README.md", b"---\nconfigs:\n- data_files: [*x" + b"]" * 9 + b"\n---\n"),
        ("README.md", b"---\ndata_files:\nconfigs: " + b"[" * (size // 100) + b"\n---\n"),
        ("classes.json", record.encode()), ("classes.json", b"[" * size), ("train.txt", b"1.jpg\n" * (size // 6)),
        ("metadata.csv", b"file_name,text\n1.jpg,\"" + b"a" * size), ("metadata.jsonl", record.encode() + b"\n"),
    ]  # fmt: skip
    for _ in range(int(rng.integers(1, 3))):
        name, content = contents[int(rng.integers(len(contents)))]
        (root / name).write_bytes(content)
    return ["read", str(root)]


def tars(rng: Rng, root: Path) -> Sequence[str]:
    """A tar with absurd texts, names, sizes or headers."""
    with tarfile.open(root / "a.tar", "w", format=int(rng.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))) as tar:
        for number in range(5):
            name = str(
                rng.choice([f"{number}", f"../{number}", "a" * 900, f"\x1b[31m{number}", f"{number}\n", "same", "ü"])
            )
            text = [b"a plate", b"a" * int(rng.choice([20_000, 5_000_000])), rng.bytes(99), b"\n" * 9999][
                int(rng.integers(4))
            ]
            record = json.dumps(mutated({"caption": "a plate", "label": "x", "split": "val"}, rng)).encode()
            for ending, data in (("png", encoded("PNG", number)), ("txt", text), ("json", record)):
                info = tarfile.TarInfo(f"{name}.{ending}")
                info.size = len(data)
                if rng.integers(20) == 0:
                    info.type, info.linkname = tarfile.SYMTYPE, "../outside/secret.png"
                    info.size = 0
                tar.addfile(info, BytesIO(data))
    if rng.integers(2):
        data = bytearray((root / "a.tar").read_bytes())
        for _ in range(int(rng.integers(1, 9))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        (root / "a.tar").write_bytes(bytes(data))
    return ["read", str(root / "a.tar")]


def packed(rng: Rng, root: Path) -> Sequence[str]:
    """A file of another format under the name of a table."""
    name = str(rng.choice(["a.csv", "a.parquet", "a.jsonl", "a.json", "a.tar", "a.arrow", "a.xlsx"]))
    data = [
        b"",
        b"\0" * 999,
        b"PAR1" * 99,
        zlib.compress(bytes(99)),
        b"\x1f\x8b\x08" + bytes(99),
        b"PK\x03\x04",
        rng.bytes(999),
    ]
    (root / name).write_bytes(data[int(rng.integers(len(data)))])
    return ["read", str(root / name)]


KINDS: list[Generator] = [
    *(long_value, many_keys, literal, deep_json, json_document, odd_values, parquet_types, parquet_bomb, damaged_table),
    *(quotes, sidecars, tars, packed),
]
