"""For the engineer: data equivalence at all sizes, alternatives, return on investment, gates and assumptions."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.amounts import estimate, interval
from clipc.report.decision import DecisionWords
from clipc.report.page import fragment
from clipc.report.words import Words
from clipc.report.worth_plot import tornado_axis, tornado_bar, tornado_span


def worth(data: Mapping[str, Any], say: Words) -> Markup:
    """The tables behind the verdicts; empty without the table ``worth``."""
    if data.get("worth") is None:
        return Markup()
    texts = DecisionWords(data, say)
    return fragment(
        "worth.html",
        say,
        texts=texts,
        worth=data["worth"],
        readings=reading_rows(texts, say),
        facts=equivalence_facts(texts, say),
        alternatives=alternative_rows(texts, say),
        roi=roi_rows(texts, say),
        tornado=_tornado(texts, say),
        assumptions=assumption_lines(texts, say),
    )


def glossary(data: Mapping[str, Any], say: Words) -> Markup:
    """The terms of the manager's page; empty without the table ``worth``."""
    if data.get("worth") is None:
        return Markup()
    return fragment("glossary.html", say, rows=glossary_rows(say))


def glossary_rows(say: Words) -> list[tuple[str, str]]:
    """Terms with their explanations."""
    prefix = "worth.glossary.rows."
    rows = [phrase.partition("|") for key, phrase in say.table.items() if key.startswith(prefix)]
    return [(term, text) for term, _, text in rows]


def equivalence_facts(texts: DecisionWords, say: Words) -> dict[str, Any]:
    """The sentences around the table of equivalences."""
    table, gain = texts.worth["equivalence"], texts.worth["gain"]
    result: dict[str, Any] = {"lead": say("worth.detail.none"), "gain": "", "candidates": ""}
    if table is not None:
        ends = {"low": readable.count(table["sizes"][0]), "high": readable.count(table["sizes"][-1])}
        result["lead"] = say("worth.detail.lead", **ends, level=texts.level())
    if gain is not None:
        value, gain_ends = texts.with_interval(gain["difference"], texts.gain)
        values = {"size": readable.count(gain["size"]), "metric": texts.metric, "baseline": say.arm(gain["name"])}
        result["gain"] = say("worth.detail.gain", gain=value, interval=gain_ends, n=texts.n(gain), **values)
    if texts.worth["candidates"] > 1:
        result["candidates"] = say("worth.detail.candidates", n=texts.worth["candidates"])
    return result


def reading_rows(texts: DecisionWords, say: Words) -> list[dict[str, Any]]:
    """One row for each size: pairs, the equivalent pairs and the multiple with intervals, and n."""
    table = texts.worth["equivalence"]
    rows: list[dict[str, Any]] = []
    for row in table["rows"] if table else ():
        pairs, pair_ends = texts.with_interval(row["pairs"], texts.pairs)
        ratio, ratio_ends = texts.with_interval(row["ratio"], texts.ratio)
        n = f"{row['seeds']} × {readable.count(row['items'])}"
        cells = {"size": readable.count(row["size"]), "pairs": pairs, "pair_interval": pair_ends}
        rows.append(
            {**cells, "ratio": ratio, "ratio_interval": ratio_ends, "n": n, "decided": row["size"] == table["decision"]}
        )
    return rows


def alternative_rows(texts: DecisionWords, say: Words) -> list[dict[str, str]]:
    """One row for each alternative of the model."""
    rows: list[dict[str, str]] = []
    for row in texts.worth["alternatives"]:
        value, ends = texts.with_interval(row["difference"], texts.gain)
        levels = {key: readable.level(texts.unit, row[key]) for key in ("value", "against")}
        names = {"name": texts.alternative(row["name"]), "metric": say.metric(row["metric"])}
        n = f"{row['seeds']} × {readable.count(row['items'])}"
        rows.append({**names, **levels, "difference": value, "interval": ends, "n": n})
    return rows


def roi_rows(texts: DecisionWords, say: Words) -> list[tuple[str, str, str]]:
    """Benefit, cost, net, return and break-even: name, value, interval; empty without the user's figures."""
    roi = texts.worth["roi"]
    if roi is None:
        return []
    benefit = "benefit" if texts.worth["basis"] == "captions" else "benefit_points"
    rows = [(benefit, roi["benefit"], texts.money), ("net", roi["net"], texts.money)]
    rows += [("roi", roi["roi"], texts.roi), ("break_even", roi["break_even"], texts.money)]
    written = [
        (say(f"worth.roi.{code}"), estimate(e, write, say), interval(e, write, say))
        for code, e, write in rows
        if e is not None
    ]
    return [written[0], (say("worth.roi.cost"), texts.money(roi["cost"]), ""), *written[1:]]


def _tornado(texts: DecisionWords, say: Words) -> dict[str, Any] | None:
    """The tornado plot: bars with names and the amounts at both ends; None without assumptions to change."""
    rows, roi = texts.worth["sensitivity"], texts.worth["roi"]
    if not rows or roi is None:
        return None
    net = roi["net"]["value"]
    span = tornado_span(rows, net)
    bars = [
        {
            "name": say(f"worth.roi.row.{row['code']}"),
            "range": say(
                "worth.roi.from_to",
                low=_assumption(row["code"], row["from"], texts, say),
                high=_assumption(row["code"], row["to"], texts, say),
            ),
            "bar": tornado_bar(row, net, span),
            "net": say("worth.roi.from_to", **dict(zip(("low", "high"), _ends(row, texts), strict=True))),
        }
        for row in rows
    ]
    share = f"{texts.worth['thresholds']['sensitivity']:.0%}"
    note = say("worth.roi.sensitivity_note", share=share, net=texts.money(net))
    return {"bars": bars, "axis": tornado_axis(span, texts.money), "note": note}


def _ends(row: Mapping[str, Any], texts: DecisionWords) -> tuple[str, str]:
    low, high = sorted((row["low"], row["high"]))
    return texts.money(low), texts.money(high)


def _assumption(code: str, value: float, texts: DecisionWords, say: Words) -> str:
    """The value of an assumption as text."""
    if code == "ratio":
        return texts.ratio(value)
    if code == "pairs":
        return texts.pairs(value)
    return say("worth.machine_hours", h=readable.tidy(value)) if code == "expert" else texts.money(value)


def assumption_lines(texts: DecisionWords, say: Words) -> list[str]:
    """Every assumption as a sentence."""
    figures = texts.worth["figures"]
    lines: list[str] = []
    for row in texts.worth["assumptions"]:
        values = {key: readable.count(row[key]) for key in ("size", "low", "high", "pairs", "n") if key in row}
        if "metric" in row:
            values["metric"] = say.metric(row["metric"])
        if "hours" in row:
            values["hours"] = readable.tidy(row["hours"])
        if row["code"] == "costs-given":
            values["pair"] = texts.money(figures["pair"])
            values |= {key: texts.money(figures[key]["hour"]) for key in ("expert", "engineer", "machine")}
        lines.append(say(f"worth.assumptions.{row['code']}", **values))
    if any(gate.get("by") == "expert" for gate in texts.worth["gates"]):
        lines.append(say("worth.assumptions.review"))
    thresholds = texts.worth["thresholds"]
    shares = {"level": f"{thresholds['level']:.4g}", "acceptance": f"{thresholds['acceptance']:.0%}"}
    shares |= {"roi": texts.roi(thresholds["roi"]), "gain": texts.gain(thresholds["gain"])}
    shares["level"] = f"{100 * thresholds['level']:.4g}%"
    return [*lines, say("worth.assumptions.thresholds", **shares)]
