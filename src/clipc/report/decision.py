"""The words of the manager's page: the verdicts and three values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clipc.report import readable
from clipc.report.amounts import Format
from clipc.report.decision_steps import DecisionSteps
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


class DecisionWords(DecisionSteps):
    """The sentences of a decision, filled with the values of the table ``worth``."""

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
                reason += self.space() + self.say("worth.missing", what=what)
            rows.append(Verdict(self.say(f"worth.question.{key}"), code, self.say(f"worth.verdict.{code}"), reason))
        return rows

    def _model_reason(self) -> str:
        code, row = self.worth["model"]["reasons"][0], self.smallest_gain()
        if row is None or code in ("no-alternative", "costs-more", "net-undecided"):
            return self.say(f"worth.why.model.{code}")
        gain, ends = self.with_interval(row["difference"], self.gain)
        names = self.say("page.list").join(self.alternative(r["name"]) for r in self.worth["alternatives"])
        threshold = self.gain(self.worth["thresholds"]["gain"])
        values = {"name": self.alternative(row["name"]), "names": names, "threshold": threshold}
        if code in ("not-better", "undecided") and not self.worth["thresholds"]["gain"]:
            code += "_zero"
        return self.say(f"worth.why.model.{code}", gain=gain, interval=ends, **values)

    def _measured(self) -> tuple[Mapping[str, Any], Format] | None:
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

    def values(self) -> list[Value]:
        """The model against the best alternative, the data equivalence, and what composition saves."""
        return [self._model_value(), self._equivalence_value(), self._net_value()]

    def _absent(self, title: str, note: str) -> Value:
        return Value(self.say(title), self.say("worth.not_measured"), "", "", self.say(note))

    def _model_value(self) -> Value:
        row = self.smallest_gain()
        if row is None:
            return self._absent("worth.value.model", "worth.value.model_none")
        gain, ends = self.with_interval(row["difference"], self.gain)
        levels = {key: readable.level(self.unit, row[key]) for key in ("value", "against")}
        note = self.say(
            "worth.value.model_text",
            arm=self.worth["model_arm"],
            model=levels["value"],
            against=levels["against"],
            name=self.alternative(row["name"]),
            metric=self.say.metric(row["metric"]),
        )
        return Value(self.say("worth.value.model"), gain, self.interval_line(ends), self.n(row), note)

    def _equivalence_value(self) -> Value:
        row = self.reading()
        if row is None:
            return self._absent("worth.value.equivalence", "worth.value.equivalence_none")
        ratio, ends = self.with_interval(row["ratio"], self.ratio)
        pairs, pair_ends = self.with_interval(row["pairs"], self.pairs)
        size = readable.count(row["size"])
        note = self.say("worth.value.equivalence_text", size=size, pairs=pairs, interval=pair_ends)
        return Value(self.say("worth.value.equivalence"), ratio, self.interval_line(ends), self.n(row), note)

    def _net_value(self) -> Value:
        roi, points = self.worth["roi"], self.worth["basis"] == "points"
        title = "worth.value.net_points" if points else "worth.value.net"
        if roi is None:
            missing = "worth.value.net_none" if self.worth["figures"] is None else "worth.value.equivalence_none"
            return self._absent(title, missing)
        net, ends = self.with_interval(roi["net"], self.money)
        row: Mapping[str, Any] | None = self.worth["gain"] if points else self.reading()
        row = row or {"seeds": 0, "items": 0}
        note = self.say("worth.value.net_free") if roi["roi"] is None else self._roi_sentence(roi)
        return Value(self.say(title), net, self.interval_line(ends), self.n(row), note)

    def _roi_sentence(self, roi: Mapping[str, Any]) -> str:
        value, ends = self.with_interval(roi["roi"], self.roi)
        if roi["break_even"] is None:
            return self.say("worth.value.net_text_points", roi=value, interval=ends)
        return self.say("worth.value.net_text", roi=value, interval=ends, pays=self.pays(roi["break_even"]))


def decision_lines(data: Mapping[str, Any], say: Words) -> list[str]:
    """The decision in a few lines for a terminal; empty without the table ``worth``."""
    if data.get("worth") is None:
        return []
    texts = DecisionWords(data, say)
    return [texts.headline(), *(f"{v.question} {v.text}: {v.reason}" for v in texts.verdicts()), *texts.next_steps()]
