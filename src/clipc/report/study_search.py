"""What a study's page says of the search for settings."""

from collections.abc import Mapping
from typing import Any

from clipc.report import readable
from clipc.report.words import Words


def search_rows(data: Mapping[str, Any], say: Words) -> list[dict[str, Any]]:
    """One row an arm: how many settings were tried, and the best; empty where nothing was searched."""
    return [_row(best, say) for best in data.get("search", ())]


def search_cautions(data: Mapping[str, Any], say: Words) -> list[str]:
    """Sentences that name the arms with fewer tries than others, and those that came out without settings."""
    tries = {best["arm"]: best["wanted"] for best in data.get("search", ())}
    few = [arm for arm, count in tries.items() if count < max(tries.values())]
    lost = [best["arm"] for best in data.get("search", ()) if best["settings"] is None]
    cautions = [say("study.search.caution", few=say("page.list").join(few))] if few else []
    return [*cautions, say.limit("search-left-out", {"arms": say("page.list").join(lost)})] if lost else cautions


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
