"""The routes of the review page: HTTP in, tables of a sitting out, in the words of the page's language."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib.resources import files
from typing import Any, Final

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from clipc.report import readable
from clipc.report.page import layout_sides, page
from clipc.report.sheet import partner_sentence
from clipc.report.words import Words, words
from clipc.review.images import WHICH
from clipc.review.rule_book import OfferedRule
from clipc.review.rules_file import rule_yaml
from clipc.review.sitting import SHOWN, Sitting
from clipc.web import Access, page_language, read_body, web_app

_MOST_BYTES: Final = 10_000
_STATIC: Final = {"review.js": "text/javascript", "review.css": "text/css"}


def review_app(sitting: Sitting, access: Access) -> ASGIApp:
    """The application of the review page.

    All addresses are relative to the page's own, which holds the token; composites are named by their row in the queue
    alone, and rules by the number under which they were offered.

    Args:
        sitting: The state of the page.
        access: Who may ask.
    """
    return web_app(_Pages(sitting).routes(), access)


@dataclass
class _Pages:
    """The routes. Sittings are used by one request at a time."""

    sitting: Sitting

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        return [
            Route("/", self._page),
            *(Route(f"/{name}", _static(name, kind)) for name, kind in _STATIC.items()),
            Route("/images/{row:int}/{which}", self._image),
            Route("/state", self._get(self._state)),
            Route("/composites", self._get(self._composites)),
            Route("/composites/{row:int}", self._get(self._composite)),
            Route("/composites/{row:int}/rules", self._get(self._proposals)),
            Route("/rules", self._get(self._mined)),
            Route("/decisions", self._post(self._decide), methods=["POST"]),
            Route("/undo", self._post(self._undo), methods=["POST"]),
            Route("/words", self._post(self._word_rule), methods=["POST"]),
            Route("/rules", self._post(self._accept_rule), methods=["POST"]),
            Route("/rules/withdraw", self._post(self._withdraw_rule), methods=["POST"]),
        ]

    def _get(self, answer: Callable[[Request, Words], Any]) -> Callable[[Request], Response]:
        def route(request: Request) -> Response:
            with self._lock:
                return JSONResponse(answer(request, words(page_language(request))))

        return route

    def _post(self, answer: Callable[[Mapping[str, Any], Words], Any]) -> Any:
        async def route(request: Request) -> Response:
            body = await read_body(request, _MOST_BYTES)
            try:
                asked: Any = json.loads(body)
            except ValueError:
                asked = None
            if not isinstance(asked, dict):
                raise HTTPException(400, "the request is no JSON object")

            def work() -> Any:
                with self._lock:
                    return answer(asked, words(page_language(request)))

            return JSONResponse(await run_sync(work))

        return route

    def _page(self, request: Request) -> Response:
        say, sitting, own = words(page_language(request)), self.sitting, "review.js."
        content = {
            "name": sitting.queue.pairs.about.name,
            "generated": sitting.queue.pairs.about.generated,
            "by": sitting.book.by,
            "shown": SHOWN,
            "labels": sitting.labels(),
            "phrases": {key.removeprefix(own): text for key, text in say.table.items() if key.startswith(own)},
        }
        return HTMLResponse(page("review.html", say, content))

    def _image(self, request: Request) -> Response:
        row, which = self._row(request.path_params["row"]), request.path_params["which"]
        if which not in WHICH:
            raise HTTPException(404, "there is no such image")
        return Response(self.sitting.images.jpeg(row, which), media_type="image/jpeg")

    def _state(self, _: Request, say: Words) -> Any:
        sitting = self.sitting
        experts = sorted({each.by for each in sitting.book.decisions()})
        accepted = sitting.rules.accepted
        rules = [{"text": each.text, "why": each.rule.why or "", "removes": each.removes} for each in accepted]
        sentences = [_agreement(row, say) for row in sitting.book.agreement()]
        return {
            "progress": sitting.progress(),
            "experts": experts,
            "agreement": sentences,
            "rules": rules,
            "rules_file": str(sitting.rules.file),
            "rejected": sitting.latest_rejection(),
        }

    def _composites(self, request: Request, _: Words) -> Any:
        show = request.query_params.get("show", "undecided")
        if show not in SHOWN:
            raise HTTPException(400, f"show one of {', '.join(SHOWN)}")
        return {"rows": self.sitting.rows(show, request.query_params.get("label") or None)}

    def _composite(self, request: Request, say: Words) -> Any:
        row = self._row(request.path_params["row"])
        return {"row": row, **_in_words(self.sitting.details(row), say)}

    def _proposals(self, request: Request, say: Words) -> Any:
        rules = self.sitting.proposals(self._row(request.path_params["row"]))
        return {"rules": [self._offered(rule, say) for rule in rules]}

    def _mined(self, _: Request, say: Words) -> Any:
        rules, counts = self.sitting.mined()
        code = "none" if counts["enough"] else "few"
        sentence = "" if rules else say(f"review.mined.{code}", **counts)
        return {"rules": [self._offered(rule, say) for rule in rules], "sentence": sentence}

    def _decide(self, asked: Mapping[str, Any], _: Words) -> Any:
        row, accept = self._row(asked.get("row")), asked.get("accept")
        if not isinstance(accept, bool):
            raise HTTPException(400, "accept is true or false")
        self.sitting.decide(row, accept)
        return {"progress": self.sitting.progress()}

    def _undo(self, _: Mapping[str, Any], __: Words) -> Any:
        undone, row = self.sitting.undo()
        return {"undone": undone, "row": row, "progress": self.sitting.progress()}

    def _word_rule(self, asked: Mapping[str, Any], say: Words) -> Any:
        rule = self.sitting.word_rule(str(asked.get("first", "")), str(asked.get("second", "")))
        return {"rules": [self._offered(rule, say)]}

    def _accept_rule(self, asked: Mapping[str, Any], _: Words) -> Any:
        number = asked.get("id")
        if not isinstance(number, int):
            raise HTTPException(400, "id is the number of a rule")
        self.sitting.rules.accept(number, str(asked.get("why", "")))
        return {"progress": self.sitting.progress()}

    def _withdraw_rule(self, asked: Mapping[str, Any], _: Words) -> Any:
        self.sitting.rules.withdraw(str(asked.get("text", "")))
        return {"progress": self.sitting.progress()}

    def _row(self, row: Any) -> int:
        """A row of the queue that a request names; nothing else names a composite."""
        if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < len(self.sitting.queue):
            raise HTTPException(404, "there is no such composite")
        return row

    def _offered(self, rule: OfferedRule, say: Words) -> dict[str, Any]:
        proposal, numbers = (
            rule.proposal,
            {"n": readable.count(rule.removes), "of": readable.count(len(self.sitting.queue))},
        )
        values = _sides(proposal.values)
        if proposal.conditions:
            said = [say(f"review.rule.if.{c.code}", column=c.column, **_sides(c.values)) for c in proposal.conditions]
            values["conditions"] = reduce(lambda one, other: say("review.rule.and", first=one, second=other), said)
        effect = say("review.rule.removes", **numbers)
        accepted, rejected = self.sitting.own_counts(rule)
        if accepted or rejected:
            own = {"accepted": readable.count(accepted), "rejected": readable.count(rejected)}
            effect += say("review.rule.own", **own)
        evidence = ""
        if rule.mined is not None:
            precision = rule.mined.precision
            shares = {
                name: f"{value:.0%}"
                for name, value in (("mean", precision.mean), ("low", precision.low), ("high", precision.high))
            }
            evidence = say("review.rule.mined_on", n=rule.mined.support, rejected=rule.mined.rejected, **shares)
        return {
            "id": rule.id,
            "title": say(f"review.rule.{proposal.code}", column=proposal.column, **values),
            "effect": effect,
            "evidence": evidence,
            "yaml": rule_yaml(proposal.rule),
            "contradicted": accepted > 0,
        }


def _sides(values: Sequence[str]) -> dict[str, str]:
    return dict(zip(("first", "second"), values, strict=False))


def _in_words(details: dict[str, Any], say: Words) -> dict[str, Any]:
    """Details of a composite with its reasons and marks as sentences; the page shows all of it as text."""
    marks = [say("sheet.was_shortened")] if details["shortened"] else []
    if details["removed"]:
        marks.append(say("review.removed"))
    score = details["score"]
    layout = say.get(f"sheet.layout.{details['layout']}", details["layout"])
    reasons = [say("review.hit", what=say("review.layout"), text=layout), partner_sentence(details["why"], say)]
    for hit in details["hits"]:
        what = say.get(f"sheet.hit.{hit['code']}", hit["code"])
        text = f"{hit['text']} – {hit['why']}" if hit["why"] else hit["text"]
        reasons.append(say("review.hit", what=what, text=text))
    if details["passed"]:
        reasons.append(say("sheet.passed", n=details["passed"]))
    return {
        **{key: details[key] for key in ("left_key", "right_key", "left_caption", "right_caption", "caption", "parts")},
        **{key: details[key] for key in ("decision", "columns", "removed")},
        "sides": [say(f"samples.{side}") for side in layout_sides(details["layout"])],
        "score": None if score is None else say("quality.score", score=f"{score:.2f}"),
        "kept": [say("sheet.kept", share=f"{share:.0%}") for share in details["kept"]],
        "marks": marks,
        "reasons": reasons,
    }


def _agreement(row: Mapping[str, Any], say: Words) -> str:
    values = {
        "first": row["first"],
        "second": row["second"],
        "n": readable.count(row["n"]),
        "agree": f"{row['agree']:.0%}",
    }
    if row["kappa"] is None:
        return say("quality.summary.agree", **values)
    return say("quality.summary.kappa", **values, kappa=f"{row['kappa']:.2f}")


def _static(name: str, kind: str) -> Callable[[Request], Response]:
    content = files("clipc.report").joinpath("pages", name).read_bytes()

    def route(_: Request) -> Response:
        return Response(content, media_type=kind)

    return route
