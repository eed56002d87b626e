"""What the catalog's tests share: small pictures, tars, and a cache of their own."""

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Encode = Callable[..., bytes]
WriteTar = Callable[[Path, Iterable[tuple[str, bytes]]], Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees another's cache, or the user's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CLIPC_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def picture() -> Encode:
    """Makes an encoded picture of smooth colours, another for each seed."""

    def make(seed: int = 0, size: tuple[int, int] = (24, 16), format: str = "JPEG", **options: object) -> bytes:
        rng = np.random.default_rng(seed)
        coarse = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        out = io.BytesIO()
        coarse.resize(size, Image.Resampling.BICUBIC).save(out, format, **options)
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def write_tar() -> WriteTar:
    def write(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as tar:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return write


@pytest.fixture(scope="session")
def samples(picture: Encode) -> Callable[..., list[tuple[str, bytes]]]:
    """Members of an img2dataset tar: ``count`` pairs from number ``start``, with labels and two captions."""

    def make(count: int, start: int = 0, **more: object) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        for n in range(start, start + count):
            record = {"captions": [f"picture {n}", f"number {n}"], "label": "ab"[n % 2], "n": n, **more}
            found += [
                (f"{n:06d}.jpg", picture(n)),
                (f"{n:06d}.txt", f"picture {n}".encode()),
                (f"{n:06d}.json", json.dumps(record).encode()),
            ]
        return found

    return make
