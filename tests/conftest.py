"""Fixtures that many tests share."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog

pytest_plugins = ["browser"]

# How long an example takes hangs on what else the machine does. Where a change is judged, the same examples are tried
# each time; everywhere else new ones.
settings.register_profile("clipc", deadline=None, max_examples=50, derandomize="CI" in os.environ)
settings.load_profile("clipc")

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 200), "white": (240, 240, 240)}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that use it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data sets beside the checkout")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests never touch the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("CLIPC_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JSON-lines table of 60 coloured pictures with two captions, a label and a split each."""
    folder = tmp_path_factory.mktemp("tiny")
    generator = np.random.Generator(np.random.Philox(0))
    rows = []
    for i in range(60):
        name, colour = list(COLOURS.items())[i % 4]
        noise = generator.integers(-30, 30, size=(24 + i % 5, 32, 3))
        pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
        rows.append(
            {
                "image": f"{i:02d}.png",
                "captions": [f"a {name} plate, number {i}.", f"plate {i} is {name}"],
                "label": name,
                "split": "train" if i < 40 else "val" if i < 50 else "test",
            }
        )
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder / "pairs.jsonl"


@pytest.fixture(scope="session")
def tiny_catalog(tiny_source: Path) -> Catalog:
    """The opened :func:`tiny_source`."""
    return open_catalog(tiny_source)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model configuration that builds and runs in no time."""
    file = tmp_path_factory.mktemp("model") / "tiny.json"
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    file.write_text(json.dumps(config), "utf-8")
    return str(file)


@pytest.fixture(scope="session")
def cnn_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with weights: a small residual network whose map has 4 x 4 cells, and a small text tower."""
    from clipc.models.model import ClipModel

    path = tmp_path_factory.mktemp("cnn")
    vision = {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "mlp", "image_size": 128}
    text = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
    (path / "small.json").write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    ClipModel.create(str(path / "small.json")).save(path / "model")
    return str(path / "model")


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A function that runs clipc with some words: its exit code, what it printed, and what it told meanwhile."""
    import open_clip  # noqa: F401  Else the first command says that it loads it.

    def run(*words: object) -> tuple[int, str, str]:
        from clipc.cli import main

        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return run


@pytest.fixture(scope="session")
def ask() -> Callable[..., tuple[int, dict[str, str], bytes]]:
    """A client of a local page without a network: asks an ASGI application, returns code, headers and body.

    ``ask(app, "/search?text=a", method="GET", host="localhost:8000", headers={...}, body=b"")``; the path is taken as a
    browser sends it, encoded.
    """

    def once(
        app: Any,
        path: str,
        method: str = "GET",
        host: str = "localhost:8000",
        headers: Mapping[str, str] | None = None,
        body: bytes | Sequence[bytes] = b"",
    ) -> tuple[int, dict[str, str], bytes]:
        parts = [body] if isinstance(body, bytes) else list(body)
        sent = {"host": host, **(headers or {})}
        if isinstance(body, bytes) and body:
            sent.setdefault("content-length", str(len(body)))
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 40000),
        }
        answers: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            part = parts.pop(0) if parts else b""
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: dict[str, Any]) -> None:
            answers.append(message)

        asyncio.run(app(scope, receive, send))
        got = {name.decode(): value.decode("latin-1") for name, value in answers[0]["headers"]}
        return answers[0]["status"], got, b"".join(message.get("body", b"") for message in answers[1:])

    return once
