"""The section of the data check, for pages of experiments: what the doctor found, shortly."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report.doctor import clean_sentence, finding_texts, headline
from clipc.report.page import fragment, missing_check
from clipc.report.words import Words


def doctor_summary(data: Mapping[str, Any], say: Words) -> Markup:
    """The verdict on the data, each finding in a sentence, and what to do; notes are folded.

    Args:
        data: The page's tables. ``doctor`` holds those of :func:`clipc.audit.doctor.doctor`, with images or without, or
            what :func:`clipc.report.page.missing_check` tells.
        say: The words of the language.
    """
    if (missing := missing_check(data, "doctor", say("doctor.short.title"), say)) is not None:
        return missing
    tables: Mapping[str, Any] = data["doctor"]
    findings = [{**finding, **finding_texts(finding, say)} for finding in tables["findings"]]
    return fragment(
        "doctor_summary.html",
        say,
        tables=tables,
        headline=headline(tables, say),
        serious=[finding for finding in findings if finding["severity"] != "note"],
        notes=[finding for finding in findings if finding["severity"] == "note"],
        clean=clean_sentence(tables, say) if tables["removed"] else None,
        loss=say("doctor.loss.short", batch=tables["loss"]["batch"], loss=f"{tables['loss']['untrained']:.2f}"),
    )
