"""Gates, risks, next steps, and three sentences for a meeting."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipc.report import readable
from clipc.report.decision_numbers import DecisionNumbers


class DecisionSteps(DecisionNumbers):
    """What may go wrong, and what to do next, filled with the values of the table ``worth``."""

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
        code, row = model["verdict"], self.smallest_gain()
        if code == "stop" and "not-better" in model["reasons"] and row is not None:
            key = "stop_public" if row["name"] == "public-model" else "stop"
            yield self.say(f"worth.next.model.{key}", name=self.alternative(row["name"]))
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

    def _deciding(self, reasons: Sequence[str]) -> Iterator[str]:
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
                yield self._priced(self.say("worth.next.seeds", **values), row["seeds"], 0)
            else:
                items = {"items": readable.count(more["test_items"]), "now_items": readable.count(row["items"])}
                sentence = self.say("worth.next.seeds_items", **values, **items)
                yield self._priced(sentence, row["seeds"], max(0, more["test_items"] - row["items"]))

    def _priced(self, sentence: str, seeds: int, pairs: int) -> str:
        """A sentence that asks for more seeds and test pairs, with what they cost by the user's figures."""
        figures = self.worth["figures"]
        if figures is None:
            return sentence
        hours = self.worth["costs"]["hours"] * self.worth["to_decide"]["seeds"] / seeds
        cost = hours * figures["machine"]["hour"] + pairs * figures["pair"]
        values = {"hours": readable.tidy(hours), "pairs": readable.count(pairs), "cost": self.money(cost)}
        return sentence + self.space() + self.say(f"worth.next.price{'' if pairs else '_seeds'}", **values)

    def _do(self, code: str) -> str:
        gate = next((g for g in self.worth["gates"] if g["code"] == code), None)
        if code == "undecided-expert" and gate is not None:
            if gate.get("needed") is None:
                return self.say("worth.next.do.undecided-expert_none")
            return self.say("worth.next.do.undecided-expert", needed=readable.count(gate["needed"]))
        return self.say(f"worth.next.do.{code}")

    def meeting(self) -> tuple[str, str, str]:
        """Three sentences for a meeting: what was found, what it is worth, what is proposed."""
        return self._found(), self._money_sentence(), self._proposal()

    def _found(self) -> str:
        row, gain = self.reading(), self.worth["gain"]
        if row is not None and self.worth["basis"] == "captions":
            _, ends = self.with_interval(row["pairs"], self.pairs)
            values = {"size": readable.count(row["size"]), "pairs": self.pairs(row["pairs"]["value"])}
            values |= {"interval": self.interval_line(ends), "n": self.n(row)}
            if self.say.lang == "en":
                values["pairs"] = readable.count(row["pairs"]["value"])
            return self.say(f"worth.meeting.found_{row['pairs']['side']}", **values)
        if gain is not None:
            value, ends = self.with_interval(gain["difference"], self.gain)
            values = {"size": readable.count(gain["size"]), "metric": self.metric, "gain": value}
            return self.say("worth.meeting.found_gain", **values, interval=self.interval_line(ends), n=self.n(gain))
        return self.say("worth.meeting.found_nothing")

    def _money_sentence(self) -> str:
        roi, figures = self.worth["roi"], self.worth["figures"]
        if roi is None:
            return self.say("worth.meeting.money_none")
        net, ends = self.with_interval(roi["net"], self.money)
        values = {"net": net, "cost": self.money(roi["cost"]), "interval": self.interval_line(ends)}
        if roi["break_even"] is None:
            return self.say("worth.meeting.money_points", value=self.money(figures["point_value"]), **values)
        pays = self.pays(roi["break_even"])
        return self.say("worth.meeting.money", pair=self.money(figures["pair"]), pays=pays, **values)

    def pays(self, even: Mapping[str, Any]) -> str:
        """From which cost of a pair on composition pays, with its interval."""
        key = even["side"] if even["value"] is not None else "never" if even["low"] is not None else "never_sure"
        ends = self.with_interval(even, self.money)[1]
        return self.say(f"worth.meeting.pays.{key}", x=self.money(even["value"] or 0.0), ends=ends)

    def _proposal(self) -> str:
        code = self.worth["composition"]["verdict"]
        verdict = self.say(f"worth.verdict.{self.worth['model']['verdict']}")
        model = self.space() + self.say("worth.meeting.model", verdict=verdict)
        if code != "extend":
            return self.say(f"worth.meeting.propose.{code}") + model
        step = self.composition_steps()[0]
        if step == self.say("worth.next.small"):
            return self.say("worth.meeting.propose.small") + model
        return self.say("worth.meeting.propose.extend", step=step.removesuffix("。")) + model
