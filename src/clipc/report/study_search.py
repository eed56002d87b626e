"""What a study's page says of the search for settings."""

from collections.abc import Mapping
from typing import Any

from clipc.report import readable
from clipc.report.words import Words


def search_rows(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """One row an arm: how many settings were tried, and the best; empty where nothing was searched."""
    return [_row(best, say) for best in data.get("search", ())]


def search_cautions(data: Mapping[str, Any], say: Words) -> list[str]:
    """A sentence that names the arms with fewer tries than others, where there are any."""
    tries = {best["arm"]: best["wanted"] for best in data.get("search", ())}
    few = [arm for arm, count in tries.items() if count < max(tries.values())]
    return [say("study.search.caution", few=say("page.list").join(few))] if few else []


def _row(best: Mapping[str, Any], say: Words) -> dict[str, Any]:
    settings, validation = best["settings"], best["validation"]
    said = say("study.search.left_out") if settings is None else "" if settings else say("study.search.only")
    tried, wanted = best["tried"], best["wanted"]
    return {
        "arm": best["arm"],
        "settings": [
            (key, f"{value:g}" if isinstance(value, float) else str(value)) for key, value in (settings or {}).items()
        ],
        "said": said,
        "tried": str(tried) if tried == wanted else f"{tried} / {wanted}",
        "given_up": best["given_up"],
        "validation": readable.NONE if validation is None else readable.percent(validation),
    }
