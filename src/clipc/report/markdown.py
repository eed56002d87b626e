"""The pilot's report as Markdown: the manager's page, the tables behind it, and the main results."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipc.report import readable
from clipc.report.decision import DecisionWords
from clipc.report.page import format_date
from clipc.report.pilot import readable_tables
from clipc.report.sections.decision import cost_rows, pilot_cost
from clipc.report.sections.headline import headline_words
from clipc.report.sections.rows import arm_names, comparisons_with, result, values
from clipc.report.sections.worth import (
    alternative_rows,
    assumption_lines,
    equivalence_facts,
    glossary_rows,
    reading_rows,
    roi_rows,
)
from clipc.report.words import Words, words


def pilot_markdown(data: Mapping[str, Any], *, lang: str = "en", redact: bool = False) -> str:
    """The report of a pilot as Markdown, without figures.

    Args:
        data: The tables of ``report.json``.
        lang: The language, one of :data:`clipc.report.words.LANGUAGES`.
        redact: Whether names, captions and paths are left out.

    Raises:
        UserError: There are no words in this language.
    """
    say = words(lang)
    tables, title = readable_tables(data, say, redact=redact)
    parts = [f"# {_text(title)}", format_date(tables["created"], say)]
    if tables.get("worth") is not None:
        texts = DecisionWords(tables, say)
        parts += [*_manager(texts, say), *_behind(texts, say)]
    parts += _results(tables, say)
    if tables.get("worth") is not None:
        parts += [f"## {say('worth.glossary.title')}", *(f"- **{t}**: {text}" for t, text in glossary_rows(say))]
    parts += [f"## {say('repeat.title')}", f"`{tables['command'].replace('`', '')}`", tables["source"]["fingerprint"]]
    return _join(parts)


def _manager(texts: DecisionWords, say: Words) -> Iterator[str]:
    yield f"## {_text(texts.headline())}"
    for verdict in texts.verdicts():
        yield f"**{_text(verdict.question)}** {verdict.text}. {_text(verdict.reason)}"
    for value in texts.values():
        numbers = "; ".join(part for part in (value.interval, value.n) if part)
        yield (
            f"- **{_text(value.title)}**: {value.text}"
            + (f" ({numbers})" if numbers else "")
            + f". {_text(value.note)}"
        )
    yield f"### {say('worth.risks.title')}"
    yield from (f"- {_text(line)}" for line in texts.risks())
    yield f"### {say('worth.next.title')}"
    yield from (f"{i}. {_text(line)}" for i, line in enumerate(texts.next_steps(), 1))
    yield f"### {say('worth.cost.title')}"
    head = [say(f"worth.cost.{key}") for key in ("what", "amount", "rate", "cost")]
    costs = cost_rows(texts, say)
    yield _table(head, costs) if costs else say("worth.cost.none")
    if line := pilot_cost(texts, say):
        yield line
    yield f"### {say('worth.meeting.title')}"
    yield from (f"{i}. {_text(line)}" for i, line in enumerate(texts.meeting(), 1))


def _behind(texts: DecisionWords, say: Words) -> Iterator[str]:
    facts = equivalence_facts(texts, say)
    yield f"## {say('worth.detail.title')}"
    yield facts["lead"]
    if rows := reading_rows(texts, say):
        head = [say(f"worth.detail.{key}") for key in ("size", "pairs", "interval", "ratio", "interval", "n")]
        keys = ("size", "pairs", "pair_interval", "ratio", "ratio_interval", "n")
        yield _table(head, [[row[key] for key in keys] for row in rows])
        yield say("worth.detail.rule")
    if facts["gain"]:
        yield _text(facts["gain"])
    if others := alternative_rows(texts, say):
        yield f"### {say('worth.detail.alternatives')}"
        keys = ("alternative", "metric", "model", "against", "difference", "interval", "n")
        names = ("name", "metric", "value", "against", "difference", "interval", "n")
        head = [say(f"worth.detail.{key}") for key in keys]
        yield _table(head, [[row[key] for key in names] for row in others])
    yield f"## {say('worth.gate.title')}"
    yield from (f"- **{gate['name']}**: {gate['status_text']}. {_text(gate['text'])}" for gate in texts.gates())
    yield f"## {say('worth.roi.title')}"
    if roi := roi_rows(texts, say):
        yield _table(["", say("worth.roi.value"), say("worth.roi.interval")], roi)
    yield f"### {say('worth.assumptions.title')}"
    yield from (f"- {_text(line)}" for line in assumption_lines(texts, say))


def _results(data: Mapping[str, Any], say: Words) -> Iterator[str]:
    """The headline of the experiment, and the main metrics of all arms at the largest size."""
    headline = headline_words(data, say)
    yield f"## {_text(headline.sentence)}"
    yield from (_text(sentence) for sentence in (*headline.more, *headline.limitations))
    size = data["sizes"][-1]
    arms = {arm["name"]: arm for arm in data["arms"]}
    head = [say(f"results.{key}") for key in ("arm", "mean")] + [say("worth.roi.interval"), say("results.verdict"), "n"]
    for metric in data["metrics"]:
        if not metric["main"]:
            continue
        unit, rows = metric["unit"], list[Sequence[str]]()
        compared = {c["arm"]: c for c in comparisons_with(data, metric["key"], size, data["baseline"])}
        for name in (data["baseline"], *arm_names(data)):
            level = readable.level(unit, readable.mean(values(result(arms[name], size), metric["key"])))
            row, n = compared.get(name), f"{len(values(result(arms[name], size), metric['key']))} × {metric['n']}"
            difference = "" if row is None else readable.signed(unit, row["difference"])
            ends = "" if row is None else f"{difference} ({say.interval(unit, row['both'] or row['interval'])})"
            rows.append([name, level, ends, "" if row is None else say(f"verdict.{row['verdict']}"), n])
        yield f"### {_text(say.metric(metric['key']))}"
        yield _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_text(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _text(text: str) -> str:
    """Text that Markdown cannot take for HTML or a link: on one line, with brackets and backquotes escaped."""
    escaped = " ".join(str(text).split())
    for mark in "\\`*_[]<>":
        escaped = escaped.replace(mark, f"\\{mark}" if mark not in "<>" else {"<": "&lt;", ">": "&gt;"}[mark])
    return escaped


def _join(parts: Sequence[str]) -> str:
    """Parts with an empty line between them; items of a list follow each other."""
    text = ""
    for before, part in zip(["", *parts[:-1]], parts, strict=True):
        same_list = _item(before) and _item(part)
        text += ("" if not text else "\n" if same_list else "\n\n") + part
    return text + "\n"


def _item(part: str) -> bool:
    return part.startswith("- ") or part.partition(". ")[0].isdigit()
