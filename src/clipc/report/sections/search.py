"""The results of the search for settings."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report import readable
from clipc.report.page import fragment
from clipc.report.words import Words


def search(data: Mapping[str, Any], say: Words) -> Markup:
    """One row an arm; nothing where nothing was searched."""
    rows = [_row(best, say) for best in data.get("search", ())]
    return fragment("search.html", say, search=rows) if rows else Markup()


def _row(best: Mapping[str, Any], say: Words) -> dict[str, Any]:
    settings, validation = best["settings"], best["validation"]
    note = say("study.search.left_out") if settings is None else "" if settings else say("study.search.only")
    tried, planned = best["tried"], best["wanted"]
    return {
        "arm": best["arm"],
        "settings": [
            (key, f"{value:g}" if isinstance(value, float) else str(value)) for key, value in (settings or {}).items()
        ],
        "said": note,
        "tried": str(tried) if tried == planned else f"{tried} / {planned}",
        "given_up": best["given_up"],
        "validation": readable.NONE if validation is None else readable.percent(validation),
    }
