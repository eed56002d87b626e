"""The description of the JSON API (OpenAPI 3.1)."""

from importlib.metadata import version
from typing import Any

_INTERVAL = {
    "type": ["object", "null"],
    "description": "A share with its 95% interval and the number of images.",
    "properties": {name: {"type": "number"} for name in ("mean", "low", "high", "n", "level")},
}
_HIT = {
    "type": "object",
    "properties": {
        "rank": {"type": "integer"},
        "row": {"type": "integer", "description": "The image's row in the source."},
        "key": {"type": "string"},
        "score": {"type": "number", "description": "The cosine with the query."},
        "typical": {
            "type": ["number", "null"],
            "description": "The share of images that score lower with a caption of their own.",
        },
        "weak": {"type": "boolean", "description": "Whether perhaps nothing matches the query."},
        "captions": {"type": "array", "items": {"type": "string"}},
        "label": {"type": ["string", "null"]},
        "image": {"type": "string", "description": "The image's address, relative to the page."},
    },
}
_HITS = {
    "type": "object",
    "properties": {
        "query": {"type": "string"},
        "total": {"type": "integer"},
        "hits": {"type": "array", "items": _HIT},
    },
}
_ANSWER = {
    "type": "object",
    "properties": {
        "class": {"type": "string"},
        "probability": {"type": "number"},
        "answered": {"type": "boolean", "description": "False: the classifier is not sure enough; ask a person."},
        "threshold": {"type": ["number", "null"]},
        "calibrated": {"type": "boolean", "description": "Whether the probability was calibrated on labelled images."},
        "alarms": {"type": "array", "items": {"type": "string"}},
    },
}
_ABOUT = {
    "type": "object",
    "properties": {
        "model": {"type": "object"},
        "source": {"type": "string"},
        "images": {"type": "integer"},
        "classifier": {
            "type": ["object", "null"],
            "properties": {
                "classes": {"type": "array", "items": {"type": "string"}},
                "calibration": {"type": "object", "properties": {"accuracy": _INTERVAL, "n": {"type": "integer"}}},
            },
        },
    },
}
_IMAGE_BODY = {
    "required": True,
    "description": "The bytes of one image file: JPEG, PNG, WebP, TIFF and others.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
_COUNT = {"name": "count", "in": "query", "schema": {"type": "integer", "default": 24, "minimum": 1, "maximum": 200}}


def openapi() -> dict[str, Any]:
    """The description, ready for JSON. Addresses are relative to the page's, which holds the token if one is needed."""
    text_parameters: list[dict[str, Any]] = [
        {"name": "text", "in": "query", "schema": {"type": "string", "maxLength": 2000}},
        {
            "name": "row",
            "in": "query",
            "schema": {"type": "integer"},
            "description": "Images like this one, in place of text.",
        },
        _COUNT,
    ]
    row = {"name": "row", "in": "path", "required": True, "schema": {"type": "integer"}}
    side = {"name": "side", "in": "query", "schema": {"type": "integer", "enum": [96, 320, 1024], "default": 320}}
    picture = {"description": "The image, reduced.", "content": {"image/jpeg": {}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "clipc",
            "version": version("clipc"),
            "description": "Search and classification.",
        },
        "servers": [{"url": ".."}],
        "security": [{}, {"token": []}],
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/api/about": {"get": _operation("What is served", _ABOUT)},
            "/api/search": {
                "get": _operation("Search by a sentence", _HITS, parameters=text_parameters),
                "post": _operation("Search by an image", _HITS, parameters=[_COUNT], requestBody=_IMAGE_BODY),
            },
            "/api/classify": {"post": _operation("Classify an image", _ANSWER, requestBody=_IMAGE_BODY)},
            "/images/{row}": {
                "get": {"summary": "An image of the source", "parameters": [row, side], "responses": {"200": picture}}
            },
        },
    }


def _operation(summary: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    error = {"type": "object", "properties": {"error": {"type": "string"}}}
    codes = {
        "400": "What was sent is wrong.",
        "401": "The token is missing.",
        "403": "A page of another origin asked.",
        "413": "What was sent is too large.",
    }
    answers = {"200": ("The result.", schema), **{code: (text, error) for code, text in codes.items()}}
    responses = {
        code: {"description": text, "content": {"application/json": {"schema": of}}}
        for code, (text, of) in answers.items()
    }
    return {"summary": summary, **more, "responses": responses}
