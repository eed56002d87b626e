"""A trained model on a local page and as a small JSON API: search by sentence or image, and classification."""

import io
from asyncio import Semaphore
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from threading import Lock
from typing import Any, Final

import numpy as np
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from clipc.audit.thumbnails import fitted
from clipc.catalog.images.decode import DecodeError, decode
from clipc.compose.arrays import Bytes
from clipc.inference.classify import ImageClassifier
from clipc.inference.openapi import openapi
from clipc.inference.search import ImageSearch, encode_one
from clipc.inference.tables import answer_rows, search_tables
from clipc.report.use import SERVE_ASSETS, render_serve, serve_asset
from clipc.web import Access, page_language, read_body, web_app

MAX_UPLOAD: Final = 20_000_000
"""The largest image that a client may send, in bytes; its pixels are limited as those of all images are."""

MAX_COUNT: Final = 200
"""The most images that one search returns."""

SIDES: Final = (96, 320, 1024)
"""The longer sides, in pixels, at which images are shown."""

_UPLOADS_AT_ONCE: Final = 4


@dataclass(frozen=True, eq=False)
class Service:
    """What the routes share. One request at a time uses the model, so memory does not grow with the number of clients.

    Attributes:
        search: The search among the source's images.
        classifier: The classifier; None where there are no classes.
    """

    search: ImageSearch
    classifier: ImageClassifier | None = None
    _model: Lock = field(default_factory=Lock)
    _images: Lock = field(default_factory=Lock)
    _uploads: Semaphore = field(default_factory=lambda: Semaphore(_UPLOADS_AT_ONCE))

    def app(self, access: Access) -> ASGIApp:
        """The application.

        Args:
            access: Who may ask.
        """
        routes = [
            Route("/", self.page),
            *(Route(f"/{name}", self.asset) for name in SERVE_ASSETS),
            Route("/images/{row:int}", self.image),
            Route("/api/about", self.about),
            Route("/api/search", self.search_text),
            Route("/api/search", self.search_image, methods=["POST"]),
            Route("/api/classify", self.classify, methods=["POST"]),
            Route("/api/openapi.json", self.openapi),
        ]
        return web_app(routes, access)

    def facts(self) -> dict[str, Any]:
        """Model, source, number of images and, with a classifier, its classes and calibration."""
        index, model = self.search.index, self.classifier
        classifier = model and {
            "classes": list(model.names),
            "templates": model.templates,
            "calibration": model.calibration.as_json(),
        }
        return {
            "clipc": version("clipc"),
            "model": index.model.as_json(),
            "source": index.catalog.about.name,
            "images": len(np.unique(index.places)),
            "classifier": classifier,
            "limits": {"upload_bytes": MAX_UPLOAD, "count": MAX_COUNT},
        }

    def page(self, request: Request) -> Response:
        """The page, in the language of the address or the browser."""
        return HTMLResponse(render_serve(self.facts(), lang=page_language(request)))

    def asset(self, request: Request) -> Response:
        """The page's script or style."""
        name = request.url.path.rpartition("/")[2]
        return Response(serve_asset(name), media_type=SERVE_ASSETS[name])

    def about(self, _: Request) -> Response:
        """What is served."""
        return JSONResponse(self.facts())

    def openapi(self, _: Request) -> Response:
        """The description of the API."""
        return JSONResponse(openapi())

    def image(self, request: Request) -> Response:
        """An image of the source by its row, reduced, as JPEG; there is no other way to ask for a file."""
        row, side = request.path_params["row"], _number(request, "side", SIDES[1])
        if row >= len(self.search.index):
            raise HTTPException(404, f"there is no image {row}")
        if side not in SIDES:
            raise HTTPException(400, f"side is one of {', '.join(map(str, SIDES))}")
        try:
            with self._images:
                pixels = fitted(self.search.index.catalog.image(row, (side, side)), side)
        except (OSError, DecodeError) as error:
            raise HTTPException(410, "the image cannot be read any more; index the source again") from error
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
        return Response(buffer.getvalue(), media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    def search_text(self, request: Request) -> Response:
        """Searches by a sentence (``text``), or for images like one of the source's (``row``)."""
        count = _count(request)
        text, row = request.query_params.get("text"), request.query_params.get("row")
        if (text is None) == (row is None):
            raise HTTPException(400, "give text=SENTENCE, or row=NUMBER of an image")
        with self._model:
            if text is not None:
                hits = self.search.for_text(text, count)
            else:
                hits = self.search.for_row(_number(request, "row", 0), count)
        tables = search_tables(self.search.index, text or f"#{row}", hits, image_query=text is None)
        return JSONResponse(_with_addresses(tables))

    async def search_image(self, request: Request) -> Response:
        """Searches for images like the one that is sent."""
        count = _count(request)

        def find(image: Bytes) -> dict[str, Any]:
            hits = self.search.for_image(image, count)
            return _with_addresses(search_tables(self.search.index, "", hits, image_query=True))

        return await self._with_upload(request, find)

    async def classify(self, request: Request) -> Response:
        """Classifies the image that is sent."""
        model = self.classifier
        if model is None:
            raise HTTPException(404, "no classes are served; start the server with --classes")

        def answer(image: Bytes) -> dict[str, Any]:
            row = answer_rows(model, model(encode_one(self.search.index, image)), [(-1, "")])[0]
            abstention = model.calibration.abstention
            return {
                **{name: row[name] for name in ("class", "probability", "answered", "alarms")},
                "threshold": None if abstention is None else abstention.threshold,
                "calibrated": abstention is not None,
            }

        return await self._with_upload(request, answer)

    async def _with_upload(self, request: Request, work: Any) -> Response:
        async with self._uploads:
            body = await read_body(request, MAX_UPLOAD)

            def run() -> dict[str, Any]:
                with self._model:
                    return work(_decoded(body))

            return JSONResponse(await run_in_threadpool(run))


def _decoded(body: bytes) -> Bytes:
    try:
        return decode(body)
    except (DecodeError, OSError, ValueError) as error:
        raise HTTPException(400, f"this is no image that can be read ({error})") from error


def _count(request: Request) -> int:
    count = _number(request, "count", 24)
    if not 1 <= count <= MAX_COUNT:
        raise HTTPException(400, f"count is between 1 and {MAX_COUNT}")
    return count


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise HTTPException(400, f"{name} is a whole number")
    return int(text)


def _with_addresses(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with the address of each hit's image, relative to the page."""
    return {**tables, "hits": [{**hit, "image": f"images/{hit['row']}"} for hit in tables["hits"]]}
