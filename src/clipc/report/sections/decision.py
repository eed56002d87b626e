"""The manager's page: verdicts, three values, one plot, risks, next steps, cost, and three sentences for a meeting."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import marks, readable
from clipc.report.amounts import hours
from clipc.report.decision import DecisionWords
from clipc.report.page import fragment
from clipc.report.words import Words
from clipc.report.worth_plot import equivalence_plot


def decision(data: Mapping[str, Any], say: Words) -> Markup:
    """The manager's page; empty without the table ``worth``."""
    if data.get("worth") is None:
        return Markup()
    texts, worth = DecisionWords(data, say), data["worth"]
    return fragment(
        "decision.html",
        say,
        texts=texts,
        worth=worth,
        plot=_plot(data, texts, say),
        costs=cost_rows(texts, say),
        pilot_cost=pilot_cost(texts, say),
    )


def _plot(data: Mapping[str, Any], texts: DecisionWords, say: Words) -> dict[str, Any] | None:
    """The plot, its legend, and notes; None where no arm has two sizes."""
    worth = data["worth"]
    lines = worth["curve"]["lines"]
    if all(len(line["points"]) < 2 for line in lines):
        return None
    by_name = {worth["baseline"]: marks.BASELINE, worth["arm"]: marks.TREATMENT}
    legend = [(Markup(marks.legend_swatch(by_name[line["name"]])), say.arm(line["name"])) for line in lines]
    row = texts.reading()
    notes: list[str] = []
    if row is not None:
        is_open = row["pairs"]["open_low"] or row["pairs"]["open_high"]
        beyond = say("worth.plot.beyond") if is_open else ""
        items = {"seeds": row["seeds"], "items": readable.count(row["items"])}
        size = readable.count(row["size"])
        notes.append(say("worth.plot.note", size=size, level=texts.level(), beyond=beyond, **items))
    if fits := [line["fit"]["rmse"] for line in lines if line["fit"] is not None]:
        unit = say.unit(texts.unit, "difference")
        notes.append(say("worth.plot.fit", rmse=f"{readable.plain(texts.unit, max(fits))} {unit}"))
    axis = {"x": say("worth.plot.x"), "y": say.unit(texts.unit, "level")}
    title = say("worth.plot.title", metric=texts.metric)
    narrow = equivalence_plot(worth, width=340.0, height=240.0, name="worth-narrow")
    return {
        "title": title,
        "figure": equivalence_plot(worth),
        "narrow": narrow,
        "legend": legend,
        "notes": notes,
        **axis,
    }


def cost_rows(texts: DecisionWords, say: Words) -> list[tuple[str, str, str, str]]:
    """What composition costs: name, hours, cost an hour, and cost; the sum last; empty without the user's figures."""
    roi = texts.worth["roi"]
    if roi is None:
        return []
    rows = [
        (
            say(f"worth.cost.{row['code']}"),
            say("worth.machine_hours", h=readable.tidy(row["hours"]))
            if row["code"] == "machine"
            else hours(row["hours"], say),
            texts.money(row["rate"]),
            texts.money(row["cost"]),
        )
        for row in roi["costs"]
        if row["cost"] or row["hours"]
    ]
    return [*rows, (say("worth.cost.sum"), "", "", texts.money(roi["cost"]))]


def pilot_cost(texts: DecisionWords, say: Words) -> str:
    """The machine hours that the pilot took; empty where they are unknown."""
    costs = texts.worth["costs"]
    if costs.get("hours") is None:
        return ""
    device = str(costs.get("device", "cpu")).upper()
    cores = costs.get("cores") or readable.NONE
    return say("worth.cost.pilot", hours=readable.tidy(costs["hours"]), device=device, cores=cores)
