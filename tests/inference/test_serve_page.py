"""The page of clipc serve in a real headless browser, with the keyboard alone."""

from collections.abc import Iterator

import pytest

from browser import Tab, running
from clipc.inference.classify import ClassifierOptions, make_classifier
from clipc.inference.image_index import ImageIndex
from clipc.inference.search import ImageSearch
from clipc.inference.serve import Service
from clipc.web import Access


@pytest.fixture
def url(index: ImageIndex) -> Iterator[str]:
    """The address of a running page."""
    access = Access()
    service = Service(ImageSearch(index), make_classifier(index, ClassifierOptions()))
    with running(service.app(access), access) as where:
        yield where


def upload(tab: Tab, content: str) -> None:
    """Sends a file as the button does."""
    tab.run(f"sendImage(new File([{content}], 'a.png'))")


RED = (
    "await new Promise((done) => { const canvas = document.createElement('canvas'); "
    "const pen = canvas.getContext('2d'); pen.fillStyle = 'red'; pen.fillRect(0, 0, 300, 150); canvas.toBlob(done); })"
)


def test_searching_with_the_keyboard_alone(tab: Tab, url: str) -> None:
    tab.open(f"{url}?lang=en")
    tab.write("a red plate")  # The field has the focus.
    tab.press("Enter")
    tab.wait("document.querySelectorAll('#hits li').length > 0")
    said = tab.run("document.getElementById('status').textContent")
    name = tab.run("document.querySelector('.more').getAttribute('aria-label')")
    assert name.startswith("more like this: ")
    tab.run("document.querySelector('.more').focus()")
    tab.press("Enter")
    tab.wait("document.activeElement.id === 'status'")
    assert "the most alike first" in tab.run("document.getElementById('status').textContent") != said
    assert not tab.run("document.getElementById('scores').hidden")
    assert tab.messages == []


@pytest.mark.parametrize(("lang", "sentence"), [("en", "no image that can be read"), ("ja", "画像として読み取れない")])
def test_a_failed_upload_leaves_no_earlier_answer(tab: Tab, url: str, lang: str, sentence: str) -> None:
    tab.open(f"{url}?lang={lang}")
    tab.run(f"(async () => sendImage(new File([{RED}], 'a.png')))()")
    tab.wait("document.querySelector('#answer b') !== null")
    assert tab.run("document.getElementById('answer').getAttribute('aria-live')") == "polite"
    upload(tab, "'no image'")
    tab.wait(f"document.getElementById('status').textContent.includes('{sentence}')")
    assert tab.run("document.getElementById('own').hidden")
    assert tab.run("document.querySelectorAll('#answer *, #hits li').length") == 0
