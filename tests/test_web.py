"""Who is answered by a local page, and with which headers."""

import json
import threading
import urllib.request
from collections.abc import Callable

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from clipc.errors import UserError
from clipc.web import HEADERS, Access, address, is_loopback, listen, page_language, read_body, web_app

Ask = Callable[..., tuple[int, dict[str, str], bytes]]


async def page(request: Request) -> Response:
    return PlainTextResponse(page_language(request))


async def length(request: Request) -> Response:
    return JSONResponse(len(await read_body(request, 1000)))


async def mistake(request: Request) -> Response:
    if request.query_params.get("whose") == "ours":
        raise RuntimeError("a secret path")
    raise UserError("there is no such row.")


ROUTES = [Route("/", page), Route("/length", length, methods=["POST"]), Route("/mistake", mistake)]
OPEN = web_app(ROUTES, Access())
CLOSED = web_app(ROUTES, Access(None, "secret"))


def test_every_answer_has_the_headers(ask: Ask) -> None:
    for path in ("/", "/nothing", "/mistake"):
        _, headers, _ = ask(OPEN, path)
        assert HEADERS.items() <= headers.items()
        assert not any(name.startswith("access-control") or name == "set-cookie" for name in headers)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST", "[::1]"])
def test_it_answers_to_its_own_names(ask: Ask, host: str) -> None:
    assert ask(OPEN, "/", host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "", "127.0.0.1.nip.io"]
)
def test_a_name_that_was_made_to_lead_here_is_refused(ask: Ask, host: str) -> None:
    assert ask(OPEN, "/", host=host)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ],
)
def test_a_page_of_another_origin_reads_and_posts_nothing(ask: Ask, headers: dict[str, str]) -> None:
    for app, prefix in ((OPEN, ""), (CLOSED, "/secret")):
        assert ask(app, f"{prefix}/", headers=headers)[0] == 403
        assert ask(app, f"{prefix}/length", "POST", headers=headers, body=b"x")[0] == 403


def test_the_own_page_and_a_followed_link_are_answered(ask: Ask) -> None:
    own = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    assert ask(OPEN, "/length", "POST", headers=own, body=b"four")[2] == b"4"
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert ask(OPEN, "/", headers=link)[0] == 200
    assert ask(OPEN, "/length", "POST", headers=link, body=b"x")[0] == 403


def test_a_token_is_part_of_the_path_or_a_header(ask: Ask) -> None:
    assert ask(CLOSED, "/secret/", host="anything.example")[0] == 200
    assert ask(CLOSED, "/", headers={"authorization": "Bearer secret"})[0] == 200
    assert ask(CLOSED, "/secret")[1]["location"].endswith("/secret/")
    for path in ("/", "/secre/", "/secrett/", "/other/", "//secret/", "/%73ecre/"):
        assert ask(CLOSED, path)[0] == 401
    assert ask(CLOSED, "/", headers={"authorization": "Bearer wrong"})[0] == 401
    assert ask(CLOSED, "/é/")[0] == 401


def test_a_body_is_limited_by_its_length_and_by_what_arrives(ask: Ask) -> None:
    assert ask(OPEN, "/length", "POST", body=b"x" * 1000)[2] == b"1000"
    assert ask(OPEN, "/length", "POST", body=b"x" * 1001)[0] == 413
    assert ask(OPEN, "/length", "POST", body=[b"x" * 600, b"x" * 600])[0] == 413


def test_errors_are_sentences_without_secrets(ask: Ask) -> None:
    status, _, body = ask(OPEN, "/mistake")
    assert (status, json.loads(body)) == (400, {"error": "there is no such row."})
    assert ask(OPEN, "/nothing")[0] == 404
    with pytest.raises(RuntimeError):  # Starlette hands it on to the server, which logs it.
        ask(OPEN, "/mistake?whose=ours")


@pytest.mark.parametrize(
    ("path", "accepts", "language"),
    [
        ("/", "", "en"),
        ("/", "ja,en;q=0.5", "ja"),
        ("/", "fr, ja;q=0.3", "ja"),
        ("/?lang=ja", "en", "ja"),
        ("/?lang=en", "ja", "en"),
    ],
)
def test_the_language_is_that_of_the_address_or_the_browser(ask: Ask, path: str, accepts: str, language: str) -> None:
    assert ask(OPEN, path, headers={"accept-language": accepts})[2].decode() == language


def test_other_machines_need_a_token() -> None:
    assert Access.of_host("127.0.0.1").token is None
    assert len(Access.of_host("127.0.0.1", always_token=True).token or "") >= 32
    remote = Access.of_host("0.0.0.0")
    assert remote.hosts is None
    assert remote.token != Access.of_host("0.0.0.0").token
    with pytest.raises(ValueError, match="needs a token"):
        Access(None, None)
    assert [is_loopback(host) for host in ("::1", "[::1]", "127.8.8.8", "localhost", "10.0.0.1", "example.org")] == [
        *[True] * 4,
        *[False] * 2,
    ]


def test_a_port_in_use_is_a_sentence() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address(first, Access()) == f"http://127.0.0.1:{port}/"
        assert address(first, Access(None, "secret")) == f"http://127.0.0.1:{port}/secret/"
        with pytest.raises(UserError, match="in use"):
            listen("127.0.0.1", port)
    with pytest.raises(UserError, match="nothing can listen"):
        listen("203.0.113.7", 0)


def test_a_real_server_answers() -> None:
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(OPEN, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    with urllib.request.urlopen(address(listener, Access()), timeout=20) as answer:
        assert answer.read() == b"en"
        assert answer.headers["x-frame-options"] == "DENY"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
