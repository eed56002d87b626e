"""Tables without anything private: no pictures, captions, names or paths, for pages that leave the company."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from clipc.report.readable import NONE
from clipc.report.words import Words, words

_FREE_TEXT: Final = ("note", "what", "why", "text", "reason")
"""Keys whose text the user wrote, wherever they stand."""

_KEPT: Final = (
    *("clipc", "created", "leakage", "baseline", "controls", "sizes", "seeds", "folds", "planned", "finished"),
    *("diverged", "search", "arms", "verdict", "budget", "composing_cost", "training", "untrained", "worth"),
    *("settings", "few_captions"),
)
"""The tables that are kept, besides those that are made anew; a table that is not named here is left out."""


def redacted(data: Mapping[str, Any], lang: str) -> dict[str, Any]:
    """The tables of a pilot with every private text removed or replaced; numbers stay.

    Removed are sample pictures with their captions, notes, warnings, reasons for rejects, own sections, and settings
    that name files. The names of the data set, of label columns, of arms that are not clipc's own, of runs, of rules,
    the machine's and the command are replaced. Metrics of own evaluators are left out, since their names are the
    user's.

    Args:
        data: The tables of ``report.json``.
        lang: The language of the page.
    """
    say = words(lang)
    columns = {column: _numbered(say, "column", i) for i, column in enumerate(data["source"]["label_columns"])}
    own_arms = [arm["name"] for arm in data["arms"] if f"arm.{arm['name']}" not in say.table]
    arms = {name: say("worth.redacted.arm", n=i + 1) for i, name in enumerate(own_arms)}
    metrics = {m["key"]: _metric(m["key"], columns, say) for m in data["metrics"]}
    rename = _renamer(columns, arms, {key: name for key, name in metrics.items() if name is not None})
    known = {key for key, name in metrics.items() if name is not None}
    result: dict[str, Any] = rename({key: data[key] for key in _KEPT if key in data})
    result |= {
        "metrics": [rename(m) for m in data["metrics"] if m["key"] in known],
        "comparisons": [rename(c) for c in data["comparisons"] if c["metric"] in known],
        "curves": [rename(c) for c in data["curves"] if c["metric"] in known],
        "power": [rename(row) for row in data["power"] if row["metric"] in known],
        "gain_differences": [rename(row) for row in data.get("gain_differences", ()) if row["metric"] in known],
    }
    result["source"] = _source(data["source"], columns, say)
    result["composites"] = [
        {"arm": arms.get(row["arm"], row["arm"]), "policy": _policy(row["policy"]), "samples": []}
        for row in data.get("composites", ())
    ]
    result |= {"note": "", "name": "pilot", "sections": [], "evaluators": {}}
    result |= {"command": say("worth.redacted.command"), "not_shown": _limits(data["not_shown"], rename)}
    result["settings"] = {
        key: value
        for key, value in result["settings"].items()
        if isinstance(value, int | float) or key in ("selection", "prompts")
    }
    result["machine"] = {**data["machine"], "cpu": data["machine"].get("device", "cpu"), "gpu": None}
    result["arms"] = [_arm(arm) for arm in result["arms"]]
    result["search"] = []
    result["untrained"] = [{**row, "model": NONE} for row in result.get("untrained", ())]
    result["diverged"] = [{**row, "run": ""} for row in result.get("diverged", ())]
    if (worth := result.get("worth")) is not None:
        result["worth"] = {**worth, "gates": [{**gate, "rules": None} for gate in worth["gates"]]}
        result["worth"]["alternatives"] = [
            {**row, "name": row["name"] if f"worth.alternative.{row['name']}" in say.table else say("page.none")}
            for row in worth["alternatives"]
        ]
    return result


def _numbered(say: Words, kind: str, index: int) -> str:
    return say(f"worth.redacted.{kind}") + (f"{index + 1}" if index else "")


def _metric(key: str, columns: Mapping[str, str], say: Words) -> str | None:
    """The metric's key with a neutral name of its label column; None for a metric that clipc does not know."""
    for column, name in columns.items():
        if f"/{column}/" in key:
            return key.replace(f"/{column}/", f"/{name}/", 1)
    return key if say.metric(key) != key else None


def _renamer(*tables: Mapping[str, str]) -> Callable[[Any], Any]:
    """A function that replaces names in values and keys, wherever they stand, and drops free text."""
    names = {old: new for table in tables for old, new in table.items()}

    def rename(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                names.get(key, key): rename(v)
                for key, v in value.items()
                if key not in _FREE_TEXT or not isinstance(v, str)
            }
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [rename(v) for v in value]
        return names.get(value, value) if isinstance(value, str) else value

    return rename


def _source(source: Mapping[str, Any], columns: Mapping[str, str], say: Words) -> dict[str, Any]:
    rejects = {"total": source["rejects"]["total"], "reasons": {}}
    kept = {key: source[key] for key in ("generated", "pairs", "captions", "splits_made", "fingerprint")}
    classes = {columns[column]: n for column, n in source["classes"].items() if column in columns}
    lists: dict[str, Any] = {"label_columns": list(columns.values()), "classes": classes, "notes": [], "warnings": []}
    return {**kept, **lists, "name": say("worth.redacted.source"), "rejects": rejects}


def _policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    """A policy without what the user wrote into it."""
    own = ("rules", "template", "joiner", "region", "reference", "group", "weights", "partner", "embedding")
    return {**policy, **{key: None for key in own if key in policy and not _plain(policy[key])}}


def _plain(value: Any) -> bool:
    """Whether a value of a policy is one of clipc's own: no file, column or sentence."""
    return value is None or (isinstance(value, str) and value in ("random", "nearest", "diverse", "auto", "captions"))


def _arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    changes = {key: v for key, v in arm["changes"].items() if isinstance(v, int | float)}
    results = [{**result, "trials": [{**trial, "runs": []} for trial in result["trials"]]} for result in arm["results"]]
    return {**arm, "changes": changes, "what": "", "results": results}


def _limits(entries: Sequence[Any], rename: Callable[[Any], Any]) -> list[Any]:
    """Codes of limitations; sentences that the user wrote are no codes, and are dropped."""
    return [rename(entry) for entry in entries if isinstance(entry, Mapping) or " " not in entry]
