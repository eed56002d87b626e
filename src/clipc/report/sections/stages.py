"""The sections on a pilot's stages: what came out of each, the doctor's findings, and the confirmation with pixels."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.doctor import finding_texts
from clipc.report.page import fragment
from clipc.report.words import Words


def stages(data: Mapping[str, Any], say: Words) -> Markup:
    """What came out of each stage, in a sentence, and how long it took; empty for an experiment that is no pilot."""
    rows = [{**row, "sentence": stage_sentence(row["name"], row, say)} for row in data.get("stages", ())]
    return fragment("stages.html", say, rows=rows) if rows else Markup()


def stage_sentence(name: str, row: Mapping[str, Any], say: Words) -> str:
    """The result of a stage in a sentence; its code where the language has no words for it.

    Args:
        name: The stage's name.
        row: The stage's ``code`` and ``values``.
        say: The words of the language.
    """
    values = {key: _readable(key, value, say) for key, value in row["values"].items()}
    code = f"pilot.stage.{name}.{row['code']}"
    if row["values"].get(row["code"]) == 1 and f"{code}_one" in say.table:
        code += "_one"
    try:
        return say(code, **values)
    except KeyError:
        return str(row["code"])


def doctor_findings(data: Mapping[str, Any], say: Words) -> Markup:
    """The doctor's findings with what to do; empty where it did not run."""
    if (tables := data.get("doctor")) is None:
        return Markup()
    findings = [{"severity": finding["severity"], **finding_texts(finding, say)} for finding in tables["findings"]]
    return fragment("doctor_findings.html", say, findings=findings)


def confirmation(data: Mapping[str, Any], say: Words) -> Markup:
    """The values on kept features and with pixels; empty without a confirmation."""
    if not (rows := data.get("confirmation")):
        return Markup()
    units = {metric["key"]: metric["unit"] for metric in data["metrics"]}
    seed = next((row["values"]["seed"] for row in data["stages"] if row["name"] == "confirm"), readable.NONE)
    named = [
        {**row, "name": say.metric(row["metric"]), "unit": units.get(row["metric"], readable.SHARE)} for row in rows
    ]
    return fragment("confirmation.html", say, rows=named, seed=seed)


def _readable(key: str, value: Any, say: Words) -> str:
    if key in ("arm", "winner"):
        return say.arm(str(value))
    if isinstance(value, list):
        items: list[Any] = value
        return say("page.list").join(readable.count(item) if isinstance(item, int) else str(item) for item in items)
    return readable.count(value) if isinstance(value, int) else str(value)
