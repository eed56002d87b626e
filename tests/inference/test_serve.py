"""The local page and its API: what they answer, and what cannot be had through them."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from PIL import Image
from starlette.types import ASGIApp

from clipc.inference.classify import ClassifierOptions, make_classifier
from clipc.inference.image_index import ImageIndex
from clipc.inference.search import ImageSearch
from clipc.inference.serve import MAX_UPLOAD, Service
from clipc.web import Access

Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture(scope="module")
def app(index: ImageIndex) -> ASGIApp:
    return Service(ImageSearch(index), make_classifier(index, ClassifierOptions())).app(Access())


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 40, 40)).save(buffer, kind)
    return buffer.getvalue()


def test_a_sentence_and_an_image_find(app: ASGIApp, ask: Ask) -> None:
    status, _, body = ask(app, "/api/search?text=a%20red%20plate&count=4")
    found = json.loads(body)
    assert status == 200
    assert [hit["label"] for hit in found["hits"]] == ["red"] * 4
    assert found["hits"][0]["image"] == f"images/{found['hits'][0]['row']}"
    found = json.loads(ask(app, "/api/search?count=4", "POST", body=picture())[2])
    assert len(found["hits"]) == 4
    assert len(json.loads(ask(app, "/api/search?row=3&count=5")[2])["hits"]) == 5


def test_an_image_is_classified(app: ASGIApp, ask: Ask) -> None:
    status, _, body = ask(app, "/api/classify", "POST", body=picture("JPEG", (400, 300)))
    answer = json.loads(body)
    assert status == 200
    assert answer["class"] in ("blue", "green", "red", "white")
    assert answer["calibrated"] is False


def test_without_classes_nothing_is_classified(index: ImageIndex, ask: Ask) -> None:
    bare = Service(ImageSearch(index)).app(Access())
    assert ask(bare, "/api/classify", "POST", body=picture())[0] == 404
    assert json.loads(ask(bare, "/api/about")[2])["classifier"] is None


@pytest.mark.parametrize(
    "path",
    [
        "/api/search",
        "/api/search?text=",
        "/api/search?text=a&row=1",
        "/api/search?row=999",
        "/api/search?row=-1",
        "/api/search?row=١",
        "/api/search?text=a&count=0",
        "/api/search?text=a&count=1000000",
        "/api/search?text=a&count=x",
        "/images/0?side=7",
        "/images/0?side=99999999999999999999",
    ],
)
def test_a_wrong_question_is_a_sentence(app: ASGIApp, ask: Ask, path: str) -> None:
    status, _, body = ask(app, path)
    assert status == 400
    assert json.loads(body)["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no image",
        picture()[:60],
        picture("JPEG")[:80],
        b"\xff\xd8\xff" * 100,
        b"GIF89a" + b"\0" * 50,
        b"II*\0\xff\xff",
    ],
)
def test_a_damaged_upload_is_a_sentence(app: ASGIApp, ask: Ask, body: bytes) -> None:
    for path in ("/api/search", "/api/classify"):
        status, _, answer = ask(app, path, "POST", body=body)
        assert status == 400
        assert "no image" in json.loads(answer)["error"]


def test_a_large_upload_is_refused_by_bytes_and_by_pixels(app: ASGIApp, ask: Ask) -> None:
    assert ask(app, "/api/search", "POST", headers={"content-length": str(MAX_UPLOAD + 1)})[0] == 413
    bomb = bytearray(picture())
    bomb[16:24] = (200_000).to_bytes(4, "big") * 2  # the header says 200,000 x 200,000 pixels
    assert ask(app, "/api/search", "POST", body=bytes(bomb))[0] == 400


def test_images_are_reduced_by_the_server(app: ASGIApp, ask: Ask) -> None:
    status, headers, body = ask(app, "/images/0?side=96")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert max(Image.open(io.BytesIO(body)).size) <= 96


@pytest.mark.parametrize(
    "path",
    [
        "/images/60",
        "/images/../00.png",
        "/images/..%2f00.png",
        "/images/%2e%2e/%2e%2e/etc/passwd",
        "/images/..%c0%af..%c0%afetc/passwd",
        "/images/\u2025/etc/passwd".encode().decode("latin-1"),
        "/images//etc/passwd",
        "/images/00.png",
        "/00.png",
        "/pairs.jsonl",
        "/page.css/../../pairs.jsonl",
        "/page.css%00.png",
        "/images/1e1",
        "/images/-1",
        "/images/%D9%A1",
    ],
)
def test_no_address_leads_out_of_the_source(app: ASGIApp, ask: Ask, path: str) -> None:
    status, _, body = ask(app, path)
    assert status == 404
    assert b"root:" not in body
    assert b"plate" not in body


def test_the_page_in_both_languages_shows_text_as_text(index: ImageIndex, ask: Ask) -> None:
    name = "<script>alert(1)</script>"
    catalog = replace(index.catalog, about=replace(index.catalog.about, name=name))
    app = Service(ImageSearch(replace(index, catalog=catalog))).app(Access(None, "secret"))
    for lang, word in (("en", "What are you looking for?"), ("ja", "何を探しますか")):
        status, headers, body = ask(app, f"/secret/?lang={lang}")
        page = body.decode()
        assert status == 200
        assert word in page
        assert name not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "http://" not in page
        assert "default-src 'none'" in headers["content-security-policy"]
        assert f'lang="{lang}"' in page
    assert "innerHTML" not in ask(app, "/secret/page.js")[2].decode()
    assert ask(app, "/secret/page.css")[1]["content-type"].startswith("text/css")


def test_another_origin_cannot_search(app: ASGIApp, ask: Ask) -> None:
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}):
        assert ask(app, "/api/search?text=a", headers=headers)[0] == 403
        assert ask(app, "/api/search", "POST", headers=headers, body=picture())[0] == 403
        assert ask(app, "/images/0", headers=headers)[0] == 403
    assert ask(app, "/api/search?text=a", host="rebound.example:8000")[0] == 403


def test_the_api_describes_itself(app: ASGIApp, ask: Ask) -> None:
    description = json.loads(ask(app, "/api/openapi.json")[2])
    assert description["openapi"].startswith("3.1")
    for path, operations in description["paths"].items():
        for method in operations:
            address = path.replace("{row}", "0") + ("?text=a" if (path, method) == ("/api/search", "get") else "")
            body = picture() if method == "post" else b""
            assert ask(app, address, method.upper(), body=body)[0] == 200, (path, method)


def test_many_clients_get_equal_answers(app: ASGIApp, ask: Ask) -> None:
    def once(number: int) -> bytes:
        paths = ("/api/search?text=a%20blue%20plate&count=3", "/api/search?row=2&count=3", "/images/5?side=96")
        return ask(app, paths[number % 3])[2].partition(b'"created"')[0]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(once, range(48)))
    assert [len({*answers[kind::3]}) for kind in range(3)] == [1, 1, 1]
