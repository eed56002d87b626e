"""The review page in a real headless browser, with the keyboard alone, on a wide and on a narrow screen."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser import Tab, running
from clipc.audit.decisions import read_decisions
from clipc.compose.rules.read import read_rules
from clipc.review.app import review_app
from clipc.review.sitting import Sitting
from clipc.web import Access

WIDTHS = (1280, 400)


@pytest.fixture
def url(sitting: Sitting) -> Iterator[str]:
    """The address of a running page."""
    access = Access(token="secret")
    with running(review_app(sitting, access), access) as where:
        yield where


def shown(tab: Tab, url: str, width: int, lang: str = "en") -> None:
    tab.open(f"{url}?lang={lang}", width)
    tab.wait("document.getElementById('picture').naturalWidth > 0")


def press(tab: Tab, key: str, position: str) -> None:
    """Presses a key and waits until the page shows a position, such as ``2 of 300``."""
    tab.press(key)
    tab.wait(f"document.getElementById('position').textContent === 'Composite {position}'")


def focus_by_tab(tab: Tab, element: str) -> None:
    """Presses Tab until an element has the focus."""
    for _ in range(80):
        if tab.run(f"document.activeElement.id === '{element}'"):
            return
        tab.press("Tab")
    raise AssertionError(f"{element} is not reached with Tab")


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_and_asks_for_nothing_elsewhere(tab: Tab, url: str, width: int, lang: str) -> None:
    shown(tab, url, width, lang)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run("document.documentElement.lang") == lang
    boxes = tab.run(
        "[...document.querySelectorAll('#work button')].map((each) => each.getBoundingClientRect())"
        ".map((box) => [box.left, box.right, box.height])"
    )
    assert all(left >= 0 and right <= width and height >= 40 for left, right, height in boxes)
    assert all(request.startswith((url, "blob:", "data:")) for request in tab.requests if request != "about:blank")
    assert tab.messages == []


@pytest.mark.parametrize("width", WIDTHS)
def test_captions_with_markup_show_as_text(tab: Tab, url: str, sitting: Sitting, width: int) -> None:
    row = next(row for row in range(300) if "<script>" in sitting.details(row)["caption"])
    shown(tab, url, width)
    tab.run("window.alert = () => { window.attacked = true; }")
    for place in range(row):
        press(tab, "s", f"{place + 2} of 300")
    text = tab.run("document.getElementById('caption').textContent")
    assert "<script>alert(1)</script>" in text
    assert tab.run("document.querySelectorAll('#work script').length") == 0
    assert tab.run("window.attacked") is None


@pytest.mark.parametrize("width", WIDTHS)
def test_a_sitting_with_the_keyboard_alone(
    tab: Tab, url: str, sitting: Sitting, labels: Callable[[int], tuple[str, str]], width: int
) -> None:
    shown(tab, url, width)
    press(tab, "a", "2 of 300")
    press(tab, "r", "3 of 300")
    press(tab, "s", "4 of 300")
    press(tab, "a", "5 of 300")
    press(tab, "u", "4 of 300")
    press(tab, "b", "3 of 300")
    assert [(d.composite, d.decision) for d in read_decisions(sitting.book.file)] == [
        (sitting.queue.names[0], "accept"),
        (sitting.queue.names[1], "reject"),
    ]
    assert "2 of 300 decided: 1 accepted, 1 rejected" in tab.run("document.getElementById('progress').textContent")
    # A rule from the rejection: choose it with an arrow, say why, accept it.
    tab.press("p")
    tab.wait("document.activeElement.name === 'rule'")
    tab.press(" ")
    assert "label" in tab.run("document.getElementById('yaml').textContent")
    focus_by_tab(tab, "why")
    tab.write("never seen <b>together</b>")
    focus_by_tab(tab, "accept-rule")
    tab.press("Enter")
    tab.wait("!document.getElementById('dialog').open")
    tab.wait("document.getElementById('rules').children.length === 1")
    (rule,) = read_rules(sitting.rules.file).pairs
    assert rule.why == "never seen <b>together</b>"
    one, other = labels(1)
    assert rule.forbid == f"a.label = '{one}' and b.label = '{other}'"
    assert "never seen <b>together</b>" in tab.run("document.getElementById('rules').textContent")
    tab.wait("document.getElementById('status').textContent.includes('rules.yaml')")
    # What the rule removes is not shown any more, and the page goes on where it was.
    left = tab.run("document.getElementById('position').textContent").split(" of ")[1]
    assert int(left) == len(sitting.rows("undecided"))
    tab.press("a")
    tab.wait("document.getElementById('progress').textContent.includes('2 accepted')")
    assert tab.messages == []


def test_a_rule_is_chosen_changed_made_of_words_and_withdrawn(tab: Tab, url: str, sitting: Sitting) -> None:
    shown(tab, url, 1280)
    press(tab, "r", "2 of 300")
    shown(tab, url, 1280)  # After a reload the page still knows the latest rejection.
    tab.press("p")
    tab.wait("document.activeElement.name === 'rule'")
    tab.press(" ")
    first = tab.run("document.getElementById('yaml').textContent")
    tab.press("ArrowDown")
    assert tab.run("document.getElementById('yaml').textContent") != first
    focus_by_tab(tab, "first-word")
    tab.write("dent")
    focus_by_tab(tab, "second-word")
    tab.write("stain")
    tab.press("Enter")
    tab.wait("document.getElementById('yaml').textContent.includes('dent')")
    focus_by_tab(tab, "accept-rule")
    tab.press("Enter")
    tab.wait("document.getElementById('rules').children.length === 1")
    assert str(sitting.rules.file) in tab.run("document.getElementById('rules-note').textContent")
    tab.run("document.querySelector('#rules button').focus()")
    tab.press("Enter")
    tab.wait("document.getElementById('rules').children.length === 0")
    assert not read_rules(sitting.rules.file).pairs
    assert tab.messages == []


def test_a_held_key_decides_once_and_skipped_ones_come_again(tab: Tab, url: str, sitting: Sitting) -> None:
    shown(tab, url, 1280)
    focus_by_tab(tab, "show")
    tab.press("Enter")
    assert tab.run("document.activeElement.id") == "position"
    focus_by_tab(tab, "accept")
    held = {"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
    tab.send("Input.dispatchKeyEvent", type="keyDown", **held)
    for _ in range(3):
        tab.wait("!busy")
        tab.send("Input.dispatchKeyEvent", type="keyDown", autoRepeat=True, **held)
    tab.send("Input.dispatchKeyEvent", type="keyUp", **held)
    tab.wait("document.getElementById('said').textContent === 'Accepted.'")
    assert len(read_decisions(sitting.book.file)) == 1
    tab.run("rows.splice(3)")  # The last of a short queue.
    for _ in range(2):
        tab.press("s")
    tab.wait("!document.getElementById('done').hidden")
    focus_by_tab(tab, "again")
    tab.press("Enter")
    tab.wait("document.getElementById('position').textContent === 'Composite 1 of 299'")


@pytest.mark.soak
def test_two_hundred_decisions_in_one_sitting(tab: Tab, url: str, sitting: Sitting) -> None:
    shown(tab, url, 1280)
    begin = time.monotonic()
    for number in range(200):
        press(tab, "ar"[number % 7 == 0], f"{number + 2} of 300")
    seconds = (time.monotonic() - begin) / 200
    decisions = read_decisions(sitting.book.file)
    assert [d.composite for d in decisions] == sitting.queue.names[:200]
    assert [d.decision for d in decisions] == [("accept", "reject")[n % 7 == 0] for n in range(200)]
    assert seconds < 1


def test_typing_and_switched_off_keys_decide_nothing(tab: Tab, url: str, sitting: Sitting) -> None:
    shown(tab, url, 1280)
    focus_by_tab(tab, "show")
    tab.press("a")  # chooses "All" in the list
    tab.wait("document.getElementById('show').value === 'all'")
    focus_by_tab(tab, "keys")
    tab.press(" ")
    tab.press("a")
    tab.run("document.activeElement.blur()")
    tab.press("a")
    focus_by_tab(tab, "accept")
    tab.press("Enter")
    tab.wait("document.getElementById('progress').textContent.includes('1 accepted')")
    assert len(read_decisions(sitting.book.file)) == 1
    assert tab.run("document.activeElement.id") == "accept"  # the focus stays where it was


def test_a_screen_reader_is_told_names_and_changes(tab: Tab, url: str) -> None:
    shown(tab, url, 1280)
    nodes = tab.send("Accessibility.getFullAXTree")["nodes"]
    named = [(n["role"]["value"], n.get("name", {}).get("value", "").strip()) for n in nodes if not n["ignored"]]
    controls = [
        name for role, name in named if role in ("button", "combobox", "checkbox", "image", "progressbar", "link")
    ]
    assert all(controls)
    assert {"Accept", "Reject", "Skip", "Undo last", "Back", "Propose a rule"} <= set(controls)
    assert any(name.startswith("Composite of two pictures: plate") for role, name in named if role == "image")
    press(tab, "a", "2 of 300")
    tab.wait("/^Accepted\\. Composite 2 of 300\\. .*plate/.test(document.getElementById('status').textContent)")
    assert tab.run("document.getElementById('status').getAttribute('aria-live')") == "polite"


def test_a_program_that_ended_is_told_and_nothing_is_taken_for_saved(tab: Tab, url: str, sitting: Sitting) -> None:
    shown(tab, url, 1280)
    press(tab, "a", "2 of 300")
    tab.run("window.fetch = () => Promise.reject(new TypeError('ended'))")
    tab.press("a")
    tab.wait("!document.getElementById('problem').hidden")
    assert "Not saved" in tab.run("document.getElementById('problem').textContent")
    assert tab.run("document.getElementById('position').textContent") == "Composite 2 of 300"
    assert len(read_decisions(sitting.book.file)) == 1


def test_a_page_of_another_origin_cannot_read_or_decide(tab: Tab, url: str, sitting: Sitting, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.html"
    foreign.write_text("<!DOCTYPE html><title>foreign</title>", "utf-8")
    tab.open(foreign.as_uri())
    for options in ("{}", "{method: 'POST', body: '{\"row\": 0, \"accept\": true}'}"):
        path = "state" if options == "{}" else "decisions"
        assert tab.run(f"fetch('{url}{path}', {options}).then(() => 'read', () => 'refused')") == "refused"
    opaque = "{method: 'POST', mode: 'no-cors', body: '{\"row\": 0, \"accept\": true}'}"
    tab.run(f"fetch('{url}decisions', {opaque}).catch(() => 0).then(() => 0)")
    assert not sitting.book.file.exists()
    image = (
        "new Promise((done) => { const image = new Image(); image.onload = () => done('read'); "
        f"image.onerror = () => done('refused'); image.src = '{url}images/0/picture'; }})"
    )
    assert tab.run(image) == "refused"
