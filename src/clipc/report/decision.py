"""The words of the manager's page: verdicts, three values, risks, next steps and sentences for a meeting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clipc.report import readable
from clipc.report.amounts import difference, estimate, interval, money, times
from clipc.report.words import Words


@dataclass(frozen=True)
class Value:
    """One of the three values.

    Attributes:
        title: What it is.
        text: The value.
        interval: Its interval; empty where it was not measured.
        n: The numbers that it rests on; empty where it was not measured.
        note: A sentence.
    """

    title: str
    text: str
    interval: str
    n: str
    note: str


@dataclass(frozen=True)
class Verdict:
    """A verdict with its reason.

    Attributes:
        question: The question.
        code: ``adopt``, ``extend`` or ``stop``.
        text: The verdict in words.
        reason: A sentence with values, and one on what is missing.
    """

    question: str
    code: str
    text: str
    reason: str


class DecisionWords:
    """The sentences of a decision, filled with the values of the table ``worth``.

    Args:
        data: The tables of a pilot, with ``worth``.
        say: The words of a language.
    """

    def __init__(self, data: Mapping[str, Any], say: Words) -> None:
        self.data, self.say = data, say
        self.worth: Mapping[str, Any] = data["worth"]
        self.metric: str = say.metric(self.worth["metric"]["key"])
        self.unit: str = self.worth["metric"]["unit"]
        self.currency: str = (self.worth["figures"] or {}).get("currency", "JPY")

    # -- Numbers -------------------------------------------------------------------------------------------------------

    def money(self, value: float) -> str:
        """An amount in the user's currency."""
        return money(value, self.currency, self.say.lang)

    def gain(self, value: float) -> str:
        """A difference of the metric."""
        return difference(self.unit, value, self.say)

    def ratio(self, value: float) -> str:
        """A multiple."""
        return times(value, self.say)

    def pairs(self, value: float) -> str:
        """A number of pairs."""
        return self.say("worth.pairs", n=readable.count(value))

    def n(self, row: Mapping[str, Any]) -> str:
        """The numbers of seeds and test items that a value rests on."""
        if not row["items"]:
            return self.say("worth.n_seeds", seeds=row["seeds"])
        return self.say("worth.n", seeds=row["seeds"], items=readable.count(row["items"]))

    def level(self) -> str:
        """The confidence level."""
        return f"{100 * self.worth['level']:.4g}%"

    def reading(self) -> Mapping[str, Any] | None:
        """The row of the data equivalence that the verdict rests on."""
        table = self.worth["equivalence"]
        if table is None:
            return None
        return next((row for row in table["rows"] if row["size"] == table["decision"]), None)

    def with_interval(self, e: Mapping[str, Any], write: Any) -> tuple[str, str]:
        """An estimate and its interval as text."""
        return estimate(e, write, self.say), interval(e, write, self.say)

    # -- Verdicts ------------------------------------------------------------------------------------------------------

    def headline(self) -> str:
        """Both verdicts in one line."""
        verdicts = {key: self.say(f"worth.verdict.{self.worth[key]['verdict']}") for key in ("model", "composition")}
        return self.say("worth.headline", **verdicts)

    def verdicts(self) -> list[Verdict]:
        """The verdict on the model and the verdict on composition."""
        rows: list[Verdict] = []
        for key, reason in (("model", self._model_reason()), ("composition", self._composition_reason())):
            code, missing = self.worth[key]["verdict"], self.worth[key]["missing"]
            if missing and code == "extend":
                what = self.say("page.list").join(self.say(f"worth.missing_what.{item}") for item in missing)
                reason += self._space() + self.say("worth.missing", what=what)
            rows.append(Verdict(self.say(f"worth.question.{key}"), code, self.say(f"worth.verdict.{code}"), reason))
        return rows

    def _space(self) -> str:
        return "" if self.say.lang == "ja" else " "

    def _smallest(self) -> Mapping[str, Any] | None:
        """The alternative over which the model gains least."""
        return min(self.worth["alternatives"], key=lambda row: row["difference"]["value"], default=None)

    def alternative(self, name: str) -> str:
        """A readable name of an alternative."""
        return self.say.get(f"worth.alternative.{name}", name)

    def _model_reason(self) -> str:
        code, row = self.worth["model"]["reasons"][0], self._smallest()
        if row is None or code in ("no-alternative", "costs-more", "net-undecided"):
            return self.say(f"worth.why.model.{code}")
        gain, ends = self.with_interval(row["difference"], self.gain)
        names = self.say("page.list").join(self.alternative(r["name"]) for r in self.worth["alternatives"])
        threshold = self.gain(self.worth["thresholds"]["gain"])
        values = {"name": self.alternative(row["name"]), "names": names, "threshold": threshold}
        return self.say(f"worth.why.model.{code}", gain=gain, interval=ends, **values)

    def _measured(self) -> tuple[Mapping[str, Any], Any] | None:
        """What the verdict on composition rests on, and how it is written."""
        if self.worth["basis"] == "points":
            gain = self.worth["gain"]
            return None if gain is None else (gain["difference"], self.gain)
        row = self.reading()
        return None if row is None else (row["ratio"], self.ratio)

    def needed(self) -> str:
        """What composition has to exceed to pay for itself."""
        basis = self.worth["basis"]
        roi = self.worth["roi"]
        value = (1.0 if basis == "captions" else 0.0) if roi is None else roi["needed"]
        if value is None:
            return self.say("worth.unbounded")
        return self.ratio(value) if basis == "captions" else self.gain(value)

    def _composition_reason(self) -> str:
        code, measured = self.worth["composition"]["reasons"][0], self._measured()
        if measured is None:
            return self.say("worth.why.composition.no-curve")
        value, ends = self.with_interval(*measured)
        return self.say(f"worth.why.composition.{code}", measured=value, interval=ends, needed=self.needed())

    # -- Three values --------------------------------------------------------------------------------------------------

    def values(self) -> list[Value]:
        """The model against the best alternative, the data equivalence, and what composition saves."""
        return [self._model_value(), self._equivalence_value(), self._net_value()]

    def _interval_line(self, ends: str) -> str:
        return self.say("worth.interval", level=self.level(), interval=ends)

    def _absent(self, title: str, note: str) -> Value:
        return Value(self.say(title), self.say("worth.not_measured"), "", "", self.say(note))

    def _model_value(self) -> Value:
        row = self._smallest()
        if row is None:
            return self._absent("worth.value.model", "worth.value.model_none")
        gain, ends = self.with_interval(row["difference"], self.gain)
        levels = {key: readable.level(self.unit, row[key]) for key in ("value", "against")}
        note = self.say(
            "worth.value.model_text",
            model=levels["value"],
            against=levels["against"],
            name=self.alternative(row["name"]),
            metric=self.say.metric(row["metric"]),
        )
        return Value(self.say("worth.value.model"), gain, self._interval_line(ends), self.n(row), note)

    def _equivalence_value(self) -> Value:
        row = self.reading()
        if row is None:
            return self._absent("worth.value.equivalence", "worth.value.equivalence_none")
        ratio, ends = self.with_interval(row["ratio"], self.ratio)
        pairs, pair_ends = self.with_interval(row["pairs"], self.pairs)
        size = readable.count(row["size"])
        note = self.say("worth.value.equivalence_text", size=size, pairs=pairs, interval=pair_ends)
        return Value(self.say("worth.value.equivalence"), ratio, self._interval_line(ends), self.n(row), note)

    def _net_value(self) -> Value:
        roi, points = self.worth["roi"], self.worth["basis"] == "points"
        title = "worth.value.net_points" if points else "worth.value.net"
        if roi is None:
            missing = "worth.value.net_none" if self.worth["figures"] is None else "worth.value.equivalence_none"
            return self._absent(title, missing)
        net, ends = self.with_interval(roi["net"], self.money)
        row = self.worth["gain"] if points else self.reading()
        note = self.say("worth.value.net_free") if roi["roi"] is None else self._roi_sentence(roi)
        return Value(self.say(title), net, self._interval_line(ends), self.n(row), note)

    def _roi_sentence(self, roi: Mapping[str, Any]) -> str:
        value, ends = self.with_interval(roi["roi"], self.roi)
        if roi["break_even"] is None:
            return self.say("worth.value.net_text_points", roi=value, interval=ends)
        even, even_ends = self.with_interval(roi["break_even"], self.money)
        names = {"break_even": even, "break_interval": even_ends}
        return self.say("worth.value.net_text", roi=value, interval=ends, **names)

    def roi(self, value: float) -> str:
        """A return on investment as a percentage of the cost."""
        return f"{100 * value:,.0f}%".replace("-", readable.MINUS)

    # -- Risks and next steps ------------------------------------------------------------------------------------------

    def gates(self) -> list[dict[str, str]]:
        """The gates: name, status, and a sentence."""
        return [
            {
                "name": self.say(f"worth.gate.{gate['name']}"),
                "status": gate["status"],
                "status_text": self.say(f"worth.gate.status.{gate['status']}"),
                "text": self._gate_text(gate),
            }
            for gate in self.worth["gates"]
        ]

    def _gate_text(self, gate: Mapping[str, Any]) -> str:
        values: dict[str, Any] = {key: gate.get(key) for key in ("broken", "examples", "tested", "amplified")}
        values |= {key: readable.count(gate.get(key)) for key in ("composites", "n")}
        if gate.get("share") is not None:
            ends = self.say("page.range", low=readable.percent(gate["low"]), high=readable.percent(gate["high"]))
            values |= {"share": readable.percent(gate["share"]), "interval": ends}
        if "threshold" in gate:
            values["threshold"] = f"{gate['threshold']:.0%}"
        return self.say(f"worth.gate.text.{gate['code']}", **values)

    def risks(self) -> list[str]:
        """The gates that did not pass, other causes of the gain, and what this pilot cannot tell."""
        return [*self._risks()] or [self.say("worth.risks.none_more")]

    def _risks(self) -> Iterator[str]:
        for gate in self.gates():
            if gate["status"] != "passed":
                yield f"{gate['name']}{'：' if self.say.lang == 'ja' else ': '}{gate['text']}"
        if self.worth["credit"] in ("shared", "open"):
            yield self.say(f"worth.risks.credit_{self.worth['credit']}")
        ratio = self.worth["costs"].get("composition_ratio")
        if ratio is not None and ratio < 0.98:
            yield self.say("worth.risks.slower", percent=readable.percent(1 - ratio))
        if self.data["source"]["generated"]:
            yield self.say("caution.generated")
        for entry in self.data.get("not_shown", ()):
            if isinstance(entry, Mapping) and entry["code"] == "small-test-set" and entry.get("few"):
                yield self.say.limit("small-test-set", entry)
        yield self.say("worth.risks.false_adopt", rate=readable.percent(self.worth["false_adopt"]))

    def next_steps(self) -> list[str]:
        """What to do next, for the model and for composition."""
        return [*self._model_steps(), *self.composition_steps()]

    def _model_steps(self) -> Iterator[str]:
        model = self.worth["model"]
        code, row = model["verdict"], self._smallest()
        if code == "stop" and "not-better" in model["reasons"] and row is not None:
            yield self.say("worth.next.model.stop", name=self.alternative(row["name"]))
        elif code == "stop":
            yield self.say("worth.next.model.stop_cost")
        elif code == "extend":
            key = "alternative" if "alternative" in model["missing"] else "gates" if model["missing"] else "more"
            yield self.say("worth.next.model.extend", how=self.say(f"worth.next.model_how.{key}"))
        else:
            yield self.say("worth.next.model.adopt")

    def composition_steps(self) -> list[str]:
        """What to do next about composition; the first sentence is the most important one."""
        composition = self.worth["composition"]
        if composition["verdict"] != "extend":
            return [self.say(f"worth.next.composition.{composition['verdict']}")]
        return [*self._deciding(composition["reasons"]), *(self._do(code) for code in composition["missing"])]

    def _deciding(self, reasons: Any) -> Iterator[str]:
        """What would decide where the interval contains the threshold."""
        if not {"undecided", "beyond-range"} & set(reasons):
            return
        more, row = self.worth["to_decide"], self.reading() or self.worth["gain"]
        if more["pairs"] is not None:
            last = self.worth["equivalence"]["sizes"][-1]
            yield self.say("worth.next.pairs", pairs=readable.count(more["pairs"]), last=readable.count(last))
        elif more["seeds"] is None:
            yield self.say("worth.next.small")
        else:
            values = {"seeds": more["seeds"], "now": row["seeds"]}
            if more["test_items"] is None:
                yield self.say("worth.next.seeds", **values)
            else:
                items = {"items": readable.count(more["test_items"]), "now_items": readable.count(row["items"])}
                yield self.say("worth.next.seeds_items", **values, **items)

    def _do(self, code: str) -> str:
        gate = next((g for g in self.worth["gates"] if g["code"] == code), None)
        if code == "undecided-expert" and gate is not None:
            if gate.get("needed") is None:
                return self.say("worth.next.do.undecided-expert_none")
            return self.say("worth.next.do.undecided-expert", needed=readable.count(gate["needed"]))
        return self.say(f"worth.next.do.{code}")

    # -- Meeting -------------------------------------------------------------------------------------------------------

    def meeting(self) -> tuple[str, str, str]:
        """Three sentences for a meeting: what was found, what it is worth, what is proposed."""
        return self._found(), self._money_sentence(), self._proposal()

    def _found(self) -> str:
        row, gain = self.reading(), self.worth["gain"]
        if row is not None and self.worth["basis"] == "captions":
            _, ends = self.with_interval(row["pairs"], self.pairs)
            values = {"size": readable.count(row["size"]), "pairs": self.pairs(row["pairs"]["value"])}
            values |= {"interval": self._interval_line(ends), "n": self.n(row)}
            if self.say.lang == "en":
                values["pairs"] = readable.count(row["pairs"]["value"])
            return self.say(f"worth.meeting.found_{row['pairs']['side']}", **values)
        if gain is not None:
            value, ends = self.with_interval(gain["difference"], self.gain)
            values = {"size": readable.count(gain["size"]), "metric": self.metric, "gain": value}
            return self.say(
                "worth.meeting.found_gain", **values, interval=self._interval_line(ends), n=self.n(gain)
            )
        return self.say("worth.meeting.found_nothing")

    def _money_sentence(self) -> str:
        roi, figures = self.worth["roi"], self.worth["figures"]
        if roi is None:
            return self.say("worth.meeting.money_none")
        net, ends = self.with_interval(roi["net"], self.money)
        values = {"net": net, "cost": self.money(roi["cost"]), "interval": self._interval_line(ends)}
        if roi["break_even"] is None:
            return self.say("worth.meeting.money_points", value=self.money(figures["point_value"]), **values)
        even, even_ends = self.with_interval(roi["break_even"], self.money)
        return self.say(
            "worth.meeting.money",
            pair=self.money(figures["pair"]),
            break_even=even,
            break_interval=even_ends,
            **values,
        )

    def _proposal(self) -> str:
        code = self.worth["composition"]["verdict"]
        step = self.composition_steps()[0] if code == "extend" else ""
        return self.say(f"worth.meeting.propose.{code}", **({"step": step} if code == "extend" else {}))


def decision_lines(data: Mapping[str, Any], say: Words) -> list[str]:
    """The decision in a few lines for a terminal; empty without the table ``worth``."""
    if data.get("worth") is None:
        return []
    texts = DecisionWords(data, say)
    return [texts.headline(), *(f"{v.question} {v.text}: {v.reason}" for v in texts.verdicts()), *texts.next_steps()]
