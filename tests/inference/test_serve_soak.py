"""The real server: it answers, refuses, ends on a signal, and its memory does not grow under many requests."""

import http.client
import io
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

CLIENTS, REQUESTS = 32, 10_000


@pytest.fixture
def server(tiny_run: Path, tiny_source: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, with a token, and its address."""
    command = [
        sys.executable,
        "-m",
        "clipc",
        "serve",
        str(tiny_run),
        str(tiny_source),
        "--host",
        "0.0.0.0",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield process, line.split()[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def megabytes(process: subprocess.Popen[str]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000  # pyright: ignore


def image(size: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((size, size), 60).convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.mark.soak
def test_ten_thousand_requests_from_32_clients(server: tuple[subprocess.Popen[str], str]) -> None:
    process, address = server
    parts = urlsplit(address)
    assert parts.port is not None
    token, large, small = parts.path, image(2000), image(64)
    kinds: list[tuple[str, str, bytes, int]] = [
        ("GET", "api/search?text=a%20red%20plate", b"", 200),
        ("GET", "images/3?side=320", b"", 200),
        ("POST", "api/search", small, 200),
        ("POST", "api/classify", small[:200], 400),
        ("GET", "", b"", 200),
        ("POST", "api/classify", large, 200),
        ("GET", "images/9999", b"", 404),
        ("POST", "api/search", b"\xff\xd8\xff" + b"\0" * 1000, 400),
    ]

    def client(requests: int) -> Counter[bool]:
        answers: Counter[bool] = Counter()
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=300)
        for number in range(requests):
            method, path, body, expected = kinds[number % len(kinds)]
            connection.request(method, token + path, body or None)
            answer = connection.getresponse()
            answer.read()
            answers[answer.status == expected] += 1
        connection.close()
        return answers

    def all_clients(requests: int) -> Counter[bool]:
        with ThreadPoolExecutor(CLIENTS) as pool:
            return sum(pool.map(client, [requests // CLIENTS] * CLIENTS), Counter[bool]())

    assert all_clients(CLIENTS * 32)[False] == 0
    before = megabytes(process)
    assert all_clients(REQUESTS // 2)[False] == 0
    half = megabytes(process)
    assert all_clients(REQUESTS // 2)[False] == 0
    end = megabytes(process)
    # The threads' heaps settle in the first thousands of requests; what leaks grows on.
    assert half < before + 200
    assert end < half + 50
    assert process.poll() is None


@pytest.mark.soak
def test_it_needs_its_token_and_ends_quietly(server: tuple[subprocess.Popen[str], str]) -> None:
    process, address = server
    parts = urlsplit(address)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=60)
    connection.request("GET", "/api/about")
    answer = connection.getresponse()
    assert answer.status == 401
    assert "token" in json.loads(answer.read())["error"]
    connection.request("GET", f"{parts.path}api/about")
    assert json.loads(connection.getresponse().read())["images"] > 0
    connection.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
