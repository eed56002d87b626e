"""The review page over HTTP: who may decide, what answers hold, and that nothing else can be asked for."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from clipc.audit.decisions import read_decisions
from clipc.compose.rules.read import read_rules
from clipc.report.words import words
from clipc.review.app import review_app
from clipc.review.book import DecisionBook
from clipc.review.queue import ReviewQueue
from clipc.review.sitting import SHOWN, Sitting
from clipc.web import HEADERS, Access

Ask = Callable[..., tuple[int, dict[str, str], bytes]]
SCRIPT = "<script>alert(1)</script>"


class Page:
    """A page as a browser asks it, with its token and origin."""

    def __init__(self, sitting: Sitting, ask: Ask) -> None:
        self.app = review_app(sitting, Access(token="secret"))
        self._ask = ask

    def get(self, path: str, code: int = 200, prefix: str = "/secret") -> Any:
        status, headers, body = self._ask(self.app, f"{prefix}/{path}")
        assert status == code, body
        assert HEADERS.items() <= headers.items()
        return json.loads(body) if "json" in headers["content-type"] else body

    def post(self, path: str, body: Any, code: int = 200, **headers: str) -> Any:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, answer = self._ask(self.app, f"/secret/{path}", "POST", headers=headers, body=sent)
        assert status == code, answer
        return json.loads(answer)


@pytest.fixture
def page(sitting: Sitting, ask: Ask) -> Page:
    return Page(sitting, ask)


def test_a_decision_is_in_the_file_when_the_answer_comes(page: Page, sitting: Sitting) -> None:
    answer = page.post("decisions", {"row": 4, "accept": False})
    assert answer["progress"] == {"total": 300, "accepted": 0, "rejected": 1, "removed": 0}
    (decision,) = read_decisions(sitting.book.file)
    assert (decision.composite, decision.decision, decision.by) == (sitting.queue.names[4], "reject", "Mori")
    assert page.get("composites/4")["decision"] == "reject"
    assert page.get("composites?show=rejected")["rows"] == [4]
    assert 4 not in page.get("composites?show=undecided")["rows"]
    assert page.post("undo", {}) == {
        "undone": True,
        "row": 4,
        "progress": {"total": 300, "accepted": 0, "rejected": 0, "removed": 0},
    }
    assert page.post("undo", {})["undone"] is False
    assert read_decisions(sitting.book.file) == []


def test_the_label_filter_shows_composites_with_the_label(page: Page, labels: Callable[[int], tuple[str, str]]) -> None:
    rows = page.get("composites?show=all&label=dent")["rows"]
    assert rows == [row for row in range(300) if "dent" in labels(row)]
    assert page.get("composites?show=all&label=nothing")["rows"] == []


def test_a_composite_is_told_with_captions_data_and_reasons(page: Page, sitting: Sitting) -> None:
    told = page.get("composites/0")
    left, right, _ = sitting.queue.names[0]
    assert (told["left_key"], told["right_key"]) == (left, right)
    assert "".join(part["text"] for part in told["parts"]) == told["caption"]
    assert [column["name"] for column in told["columns"]] == ["label", "camera", "oven"]
    assert any("random" in reason for reason in told["reasons"])
    assert "無作為" in str(page.get("composites/0?lang=ja")["reasons"])
    for which in ("picture", "left", "right"):
        assert page.get(f"images/0/{which}")[:3] == b"\xff\xd8\xff"


def test_a_rule_is_proposed_counted_and_accepted(page: Page, sitting: Sitting) -> None:
    page.post("decisions", {"row": 0, "accept": False})
    rules = page.get("composites/0/rules")["rules"]
    chosen = rules[0]
    assert re.match("Never .* with .* \\(label\\)", chosen["title"])
    count = int(re.search(r"Removes (\d+) of 300", chosen["effect"])[1])  # pyright: ignore[reportOptionalSubscript]
    assert "of your decisions 1 rejected and 0 accepted" in chosen["effect"]
    answer = page.post("rules", {"id": chosen["id"], "why": "no plate has\nboth"})
    assert answer["progress"]["removed"] == count - 1  # what is decided is not removed any more
    (rule,) = read_rules(sitting.rules.file).pairs
    assert rule.why == "no plate has both"
    assert chosen["yaml"].splitlines()[1] in sitting.rules.file.read_text("utf-8")
    assert len(page.get("composites?show=removed")["rows"]) == count
    assert page.get("state")["rules"][0]["removes"] == count
    assert "already" in page.post("rules", {"id": chosen["id"], "why": ""}, 400)["error"]
    again = Sitting(sitting.queue, sitting.book, sitting.rules.file, None)
    assert len(again.rows("removed")) == count


def test_a_rule_by_words_of_captions(page: Page, sitting: Sitting) -> None:
    (rule,) = page.post("words", {"first": "dent", "second": "it's"})["rules"]
    assert "word(a.caption, 'dent') and word(b.caption, 'it''s')" in rule["yaml"]
    (rule,) = page.post("words", {"first": "dent", "second": "stain"})["rules"]
    page.post("rules", {"id": rule["id"], "why": ""})
    assert len(page.get("composites?show=removed")["rows"]) == page.get("state")["rules"][0]["removes"] > 10
    assert "a word of each caption" in page.post("words", {"first": " ", "second": "b"}, 400)["error"]


def test_mined_rules_are_offered(page: Page, labels: Callable[[int], tuple[str, str]]) -> None:
    assert "Too few decisions" in page.get("rules")["sentence"]
    for row in range(120):
        page.post("decisions", {"row": row, "accept": set(labels(row)) != {"dent", "scratch"}})
    answer = page.get("rules")
    assert answer["sentence"] == ""
    assert "rejected, 100% (95% interval" in answer["rules"][0]["evidence"]
    assert re.match(r"Never where (dent meets scratch|scratch meets dent) \(label\)", answer["rules"][0]["title"])
    page.post("rules", {"id": answer["rules"][0]["id"], "why": "seen"})
    left = page.get("composites?show=undecided")["rows"]
    assert left
    assert all(set(labels(row)) != {"dent", "scratch"} for row in left)
    assert answer["rules"][0]["yaml"] not in [rule["yaml"] for rule in page.get("rules")["rules"]]
    page.post("rules/withdraw", {"text": page.get("state")["rules"][0]["text"]})
    assert page.get("rules")["rules"][0]["yaml"] == answer["rules"][0]["yaml"]
    assert "no such rule" in page.post("rules/withdraw", {"text": "forbid: a.label = 'x'"}, 400)["error"]


def test_the_agreement_of_two_experts_is_told(page: Page, sitting: Sitting, queue: Any) -> None:
    other = DecisionBook(sitting.book.file, "佐藤")
    for row in range(10):
        page.post("decisions", {"row": row, "accept": row % 2 == 0})
        other.decide(queue.names[row], row % 2 == 0 or row == 1)
    state = page.get("state")
    assert state["experts"] == ["Mori", "佐藤"]
    assert "0.80" in state["agreement"][0]  # kappa


def test_ten_thousand_composites_stay_small(page: Page) -> None:
    """What is sent of the whole queue is a list of numbers."""
    assert len(json.dumps(page.get("composites?show=all"))) < 300 * 6


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_page_is_whole_and_holds_no_text_of_the_data_as_html(page: Page, lang: str) -> None:
    html = page.get(f"?lang={lang}").decode()
    assert f'<html lang="{lang}">' in html
    assert words(lang)("review.accept") in html
    found: list[tuple[str, dict[str, str | None]]] = []
    ids: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Reader().feed(html)
    for tag, attributes in found:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            if (value := attributes.get(name)) is not None:
                assert re.fullmatch(r"review\.(js|css)|data:,|\?lang=(en|ja)", value), (tag, value)
        ids += [attributes["id"] or ""] if "id" in attributes else []
    assert len(ids) == len(set(ids))
    script = page.get("review.js").decode()
    assert "innerHTML" not in script
    assert set(re.findall(r'\bat\("([\w-]+)"\)', script)) <= set(ids)
    phrases = json.loads(re.search(r'id="phrases">(.*?)</script>', html, re.DOTALL)[1])  # pyright: ignore
    assert set(re.findall(r'(?:phrases\.|say\(")(\w+)', script)) <= set(phrases)
    assert page.get("review.css")


def test_markup_in_a_caption_stays_text(page: Page, sitting: Sitting) -> None:
    rows = [row for row in range(300) if SCRIPT in page.get(f"composites/{row}")["caption"]]
    assert rows
    assert SCRIPT not in page.get("").decode()


@pytest.mark.parametrize(
    "path",
    [
        "images/300/picture",
        "images/-1/picture",
        "images/0/..%2f..%2fetc%2fpasswd",
        "images/0/..",
        "images/..%2f..%2f..%2fetc%2fpasswd",
        "images/%2e%2e/%2e%2e/pairs.jsonl",
        "images/0/%u002e%u002e/picture",
        "images/０/picture",
        "images/%ef%bc%90/picture",
        "images/0/picture%00.png",
        "images/0x0/picture",
        "pairs.jsonl",
        "..%2fdecisions.csv",
        "%252e%252e%252fdecisions.csv",
        "decisions.csv",
        "rules.yaml",
        "composites/1e9",
        "composites/300",
        "composites/0/rules/..%2f..",
    ],
)
def test_no_address_leads_to_a_path(page: Page, sitting: Sitting, path: str) -> None:
    assert "error" in page.get(path, 404)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"row": 0}', b'{"row": "0", "accept": true}'])
def test_a_wrong_request_is_refused_and_writes_nothing(page: Page, sitting: Sitting, body: bytes) -> None:
    status, _, answer = page._ask(page.app, "/secret/decisions", "POST", body=body)
    assert status in (400, 404)
    assert json.loads(answer)["error"]
    assert not sitting.book.file.exists()


def test_unknown_rows_rules_and_filters_are_refused(page: Page) -> None:
    for row in (-1, 300, 1.5, True, None, "1"):
        page.post("decisions", {"row": row, "accept": True}, 404)
    page.post("rules", {"id": 10**6, "why": ""}, 400)
    page.post("rules", {"id": "0"}, 400)
    page.get("composites?show=everything", 400)
    page.post("decisions", b"x" * 20_000, 413)


@pytest.mark.parametrize(
    ("path", "headers", "host"),
    [
        ("/secret/decisions", {"origin": "https://evil.example"}, "localhost:8000"),
        ("/secret/decisions", {"origin": "http://localhost:9000"}, "localhost:8000"),
        ("/secret/decisions", {"origin": "null"}, "localhost:8000"),
        ("/secret/decisions", {"sec-fetch-site": "cross-site"}, "localhost:8000"),
        ("/secret/decisions", {}, "evil.example"),
        ("/wrong/decisions", {"origin": "http://localhost:8000"}, "localhost:8000"),
        ("/decisions", {"origin": "http://localhost:8000"}, "localhost:8000"),
    ],
)
def test_other_origins_hosts_and_tokens_can_neither_read_nor_decide(
    page: Page, sitting: Sitting, ask: Ask, path: str, headers: dict[str, str], host: str
) -> None:
    body = json.dumps({"row": 0, "accept": True}).encode()
    status, answered, _ = ask(page.app, path, "POST", host=host, headers=headers, body=body)
    assert status in (401, 403)
    assert not any(name.startswith("access-control") for name in answered)
    assert ask(page.app, path.replace("decisions", "state"), host=host, headers=headers)[0] in (401, 403)
    assert not sitting.book.file.exists()


def test_every_filter_has_words() -> None:
    for lang in ("en", "ja"):
        assert all(f"review.show.{show}" in words(lang).table for show in SHOWN)


def test_a_killed_program_loses_no_decision_that_was_answered(
    factory: Path, queue: ReviewQueue, tmp_path: Path
) -> None:
    """kill -9 while decisions are posted: every answered one is read again, and the next sitting goes on there."""
    command = [sys.executable, "-m", "clipc", "review", str(factory), "policy.group=null", "--by", "Mori", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, "--out", str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    base = json.loads(process.stdout.readline())["address"]
    for row in range(9):
        data = json.dumps({"row": row, "accept": True}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{base}decisions", data)) as answer:
            assert json.loads(answer.read())["progress"]["accepted"] == row + 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{base}state")
    file = tmp_path / "decisions.csv"
    with file.open("ab") as stream:
        stream.write(b"10.png,11.png,left-ri")  # the decision that was being written
    assert len(read_decisions(file)) == 9
    again = Sitting(queue, DecisionBook(file, "Mori"), tmp_path / "rules.yaml", None)
    assert again.rows("accepted") == list(range(9))  # the same queue, and all answered decisions
    again.decide(9, False)
    assert len(read_decisions(file)) == 10
