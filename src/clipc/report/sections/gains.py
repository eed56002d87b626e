"""The section of differences of differences: how much one gain exceeds another."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from clipc.report.page import fragment
from clipc.report.sections.rows import SHOWN_AT_ONCE, heading
from clipc.report.words import Words


def gain_table(data: Mapping[str, Any], say: Words) -> Markup:
    """For each main metric a table of the gains that are compared; empty without any."""
    rows = data.get("gain_differences", ())
    blocks = [
        {**heading(metric, say), "metric": metric, "rows": [row for row in rows if row["metric"] == metric["key"]]}
        for metric in data["metrics"]
    ]
    blocks = [block for block in blocks if block["rows"]]
    return fragment("gains.html", say, blocks=blocks, data=data, at_once=SHOWN_AT_ONCE) if blocks else Markup()
