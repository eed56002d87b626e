"""The contact sheet of ``clipc compose``: composites with their sources, and the plan in figures."""

from collections.abc import Mapping
from typing import Any

from clipc.report import readable
from clipc.report.page import page, sample
from clipc.report.pilot import policy_facts
from clipc.report.words import Words, words


def render_sheet(data: dict[str, Any], *, lang: str = "en") -> str:
    """A contact sheet of composites as one self-contained HTML page, as :func:`render_pilot` makes them.

    Args:
        data: The source, the policy, the plan's statistics and the samples.
        lang: The language of the page, one of :data:`clipc.report.words.LANGUAGES`.

    Raises:
        UserError: There are no words in that language.
        ValueError: A sample's picture is no ``data:`` URI.
    """
    say = words(lang)
    content = {
        "source": data["source"],
        "statistics": data["statistics"],
        "figures": _figures(data["statistics"], say),
        "policy": policy_facts(data["policy"], say),
        "partner": say.either(f"sheet.partner.{data['policy']['partner']}", str(data["policy"]["partner"])),
        "samples": [sample(row, data["policy"]) for row in data["samples"]],
    }
    return page("sheet.html", say, content)


def _figures(statistics: Mapping[str, Any], say: Words) -> list[tuple[str, str]]:
    """The plan's statistics as named lines."""
    axes = [f"{say.either(f'sheet.axis.{axis}', axis)} {readable.count(n)}" for axis, n in statistics["axes"].items()]
    tokens = say(
        "sheet.tokens_value",
        plain=readable.count(statistics["tokens_plain_median"]),
        composed=readable.count(statistics["tokens_composed_median"]),
        max=readable.count(statistics["tokens_max"]),
        limit=statistics["context_length"],
    )
    return [
        (say("sheet.rows"), readable.count(statistics["rows"])),
        (say("sheet.composed"), readable.count(statistics["composed"])),
        (say("sheet.share"), f"{statistics['share']:.1%}"),
        (say("sheet.axes"), say("page.list").join(axes) if axes else readable.NONE),
        (say("sheet.tokens"), tokens),
        (say("sheet.shortened"), readable.count(statistics["shortened"])),
    ]
