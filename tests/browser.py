"""A headless Chromium for tests of pages, over the DevTools protocol: the plugin that gives the fixture ``tab``."""

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_KEYS = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32, "ArrowDown": 40, "ArrowUp": 38}


class Tab:
    """One tab of the browser.

    Attributes:
        requests: The address of every request that its pages made.
        messages: What its pages wrote to the console, errors and refusals by the content security policy among them.
    """

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.requests: list[str] = []
        self.messages: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the DevTools protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        values = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(values["request"]["url"])
            case "Runtime.exceptionThrown":
                self.messages.append(json.dumps(values["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.messages.append(json.dumps(values["args"]))
            case "Log.entryAdded":
                self.messages.append(values["entry"]["text"])
            case _:
                pass

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Opens a page in a window of a size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of a script, promises awaited."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> None:
        """Waits until a script gives a true value."""
        end = time.monotonic() + seconds
        while not self.run(script):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}; messages: {self.messages}")
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Presses and releases a key of the keyboard: a letter, or a name such as Enter."""
        code = _KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        names = {"key": key, "code": f"Key{key.upper()}" if key.isalpha() and len(key) == 1 else key}
        kind = "keyDown" if text else "rawKeyDown"
        self.send("Input.dispatchKeyEvent", type=kind, text=text, windowsVirtualKeyCode=code, **names)
        self.send("Input.dispatchKeyEvent", type="keyUp", windowsVirtualKeyCode=code, **names)

    def write(self, text: str) -> None:
        """Types text into what has the focus."""
        self.send("Input.insertText", text=text)

    def screenshot(self, file: Path) -> None:
        """Saves a picture of the whole page."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def running(app: Any, access: Any) -> Generator[str]:
    """An application on a free port of this machine, as long as the context lasts; gives its address."""
    import uvicorn

    from clipc.web import address, listen

    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield address(listener, access)
    server.should_exit = True
    thread.join()


def find_browser() -> str | None:
    """The program of a browser that understands the DevTools protocol; None where there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DevTools address of a headless browser; tests that use it are skipped where none is installed."""
    pytest.importorskip("websockets")
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium or Chrome is installed")
    options = [
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    with subprocess.Popen([program, *options], stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        address = next((m[1] for line in process.stderr if (m := re.search(r"listening on (ws://\S+)", line))), None)
        if address is None:
            pytest.skip("the browser does not start here")
        try:
            yield address
        finally:
            process.kill()


@pytest.fixture
def tab(browser: str) -> Iterator[Tab]:
    """A new tab of the headless browser."""
    from websockets.sync.client import connect

    with connect(browser, max_size=1 << 26, close_timeout=1) as socket:
        yield Tab(socket)
