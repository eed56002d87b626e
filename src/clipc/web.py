"""The local web server of pages for people: who may talk to it, what answers say to browsers, how much is read.

A page on a loopback address can be reached by every page that the same browser shows, and a name of another owner may
be made to lead to it (DNS rebinding). So a request is answered only if its ``Host`` is one of the server's own, its
origin is the server's own, and it names the token where there is one. Nothing is sent to other origins, there are no
cookies, and no answer may be framed. Starlette and uvicorn are the optional extra ``serve``.
"""

import ipaddress
import secrets
import socket
from asyncio import timeout
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from clipc.errors import UserError
from clipc.installation import install_command

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    install = install_command("serve")
    raise UserError(f"the local page needs Starlette and uvicorn, the extra serve: {install}") from error

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",  # The address holds the token.
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Headers of every answer. Scripts and styles are files of their own; a response may set another ``cache-control``."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_READING_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Access:
    """Who may talk to a server.

    Attributes:
        hosts: The names and addresses, without port, under which it may be asked for; None for any, which only a token
            makes safe.
        token: A secret that every request names: as the first part of the path (``/TOKEN/...``, so that the relative
            links of a page hold it too), or in the header ``Authorization: Bearer TOKEN``. None where none is needed.
    """

    hosts: frozenset[str] | None = _LOOPBACK
    token: str | None = None

    def __post_init__(self) -> None:
        if self.hosts is None and not self.token:
            raise ValueError("a server for any host needs a token")

    @classmethod
    def of_host(cls, host: str, *, always_token: bool = False) -> "Access":
        """The access to a server on an address: other machines need a new random token; this one only if asked for.

        Args:
            host: The address or name that the server listens on.
            always_token: Whether a token is needed on a loopback address too.
        """
        local = is_loopback(host)
        token = secrets.token_urlsafe(24) if always_token or not local else None
        return cls(_LOOPBACK if local else None, token)


def is_loopback(host: str) -> bool:
    """Whether an address, or the name localhost, is reached from this machine only."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host.lower() == "localhost"


def web_app(routes: Sequence[BaseRoute], access: Access) -> ASGIApp:
    """An application that answers with the routes what :class:`Access` allows, and errors as ``{"error": sentence}``.

    A :class:`UserError` that a route raises becomes an answer of code 400, ``HTTPException`` one of its own code.

    Args:
        routes: The routes, from the root on; links in pages are relative.
        access: Who may ask.
    """
    app = Starlette(
        routes=routes,
        exception_handlers={UserError: _user_error, HTTPException: _http_error, Exception: _bug},
    )
    return _Guard(app, access)


async def read_body(request: Request, most: int, seconds: float = _READING_SECONDS) -> bytes:
    """The body of a request, never more of it than is allowed.

    Args:
        request: The request.
        most: The largest number of bytes.
        seconds: How long the client may take.

    Raises:
        HTTPException: The body is larger (413), or comes too slowly or not whole (408).
    """
    too_large = HTTPException(413, f"the request is larger than {most / 1e6:,.0f} MB, which is the limit")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large
    body = bytearray()
    try:
        async with timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise too_large
    except (TimeoutError, ClientDisconnect) as error:
        raise HTTPException(408, "the request did not arrive whole in time; send it again") from error
    return bytes(body)


def page_language(request: Request) -> Literal["en", "ja"]:
    """The language of a page: ``?lang=ja`` of the address, else what the browser prefers, else English."""
    asked = request.query_params.get("lang", "")
    for part in (asked, *request.headers.get("accept-language", "").split(",")):
        name = part.strip().lower()[:2]
        if name in ("en", "ja"):
            return "ja" if name == "ja" else "en"
    return "en"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; a port of 0 takes any that is free.

    Raises:
        UserError: There is no such address on this machine, or the port is in use or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"nothing can listen on {host}, port {port} ({reason}); name another --port.") from error
    return listener


def address(listener: socket.socket, access: Access) -> str:
    """The address of the page, with its token, for the terminal."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    path = f"{access.token}/" if access.token else ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/{path}"


def run_server(app: ASGIApp, listener: socket.socket) -> None:
    """Answers requests until Ctrl-C or SIGTERM. Addresses are not logged, because they hold the token."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=15
    )
    with listener, suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


class _Guard:
    """Refuses what :class:`Access` does not allow, and adds :data:`HEADERS` to every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # No page uses web sockets; without an answer the server closes them.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        token = _token_in(scope["path"], headers)
        if (refusal := self._refusal(scope["method"], headers, token)) is not None:
            await refusal(scope, receive, send_with_headers)
            return
        if self._access.token is not None and scope["path"].startswith(f"/{self._access.token}"):
            scope = {**scope, "root_path": f"/{self._access.token}"}
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Mapping[str, str], token: str) -> Response | None:
        host = headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self._access.hosts is not None and name not in self._access.hosts:
            return _error(403, f"this server is not asked for as {name or 'nothing'}")
        if _foreign(method, headers, host):
            return _error(403, "requests from pages of other origins are not answered")
        if self._access.token is not None and not secrets.compare_digest(
            token.encode("utf-8", "replace"), self._access.token.encode()
        ):
            return _error(401, "the token is missing or wrong; open the whole address that the terminal shows")
        return None


def _token_in(path: str, headers: Mapping[str, str]) -> str:
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else path.split("/", 2)[1] if path.startswith("/") else ""


def _foreign(method: str, headers: Mapping[str, str], host: str) -> bool:
    """Whether a page of another origin made a browser send this request; following a link to the page is none."""
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
        return True
    followed = (
        method == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest", "document") == "document"
    )
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not followed


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status)


async def _user_error(_: Request, error: Any) -> Response:
    return _error(400, str(error))


async def _http_error(_: Request, error: Any) -> Response:
    return _error(error.status_code, str(error.detail))


async def _bug(_: Request, __: Any) -> Response:
    return _error(500, "the server made a mistake; its terminal says which")
