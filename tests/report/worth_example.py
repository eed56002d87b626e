"""Pilots with the table ``worth`` on constructed curves; run as a script, it writes pages to look at.

PYTHONPATH=src:tests python tests/report/worth_example.py FOLDER
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from clipc.study.worth.tables import worth_tables
from report.example import pilot_example
from study.worth.constructed import FIGURES, GATES, constructed

CASES: dict[str, dict[str, Any]] = {
    "adopt": {"multiple": 3.0, "credit": "own", "figures": {**FIGURES, "pair": 1200}},
    "extend": {"multiple": 1.5, "seeds": 3, "credit": "open", "gates": {**GATES, "bias": None}},
    "stop": {"multiple": 0.5, "probe": 0.5},
    "unknown": {"multiple": 1.5, "figures": None, "gates": {}, "alternatives": {}, "credit": "open"},
    "points": {
        "multiple": 3.0,
        "figures": {**FIGURES, "currency": "USD", "benefit": "points", "point_value": 5000.0},
    },
}


def decided_example(case: str, *, japanese: bool = False) -> dict[str, Any]:
    """The tables of a pilot with ``worth``, as JSON gives them back."""
    return {**json.loads(_pilot(japanese)), "worth": json.loads(_worth(case))}


@cache
def _pilot(japanese: bool) -> str:
    return json.dumps(pilot_example(japanese=japanese))


@cache
def _worth(case: str) -> str:
    settings = dict(CASES[case])
    return json.dumps(worth_tables(constructed(settings.pop("multiple"), **settings)), allow_nan=False)


def write_pages(folder: Path) -> None:
    """Writes a page of each case in both languages, and as Markdown."""
    from clipc.report.markdown import pilot_markdown
    from clipc.report.pilot import render_pilot

    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        for lang in ("en", "ja"):
            data = decided_example(case, japanese=lang == "ja")
            (folder / f"{case}-{lang}.html").write_text(render_pilot(data, lang=lang), encoding="utf-8")
            (folder / f"{case}-{lang}.md").write_text(pilot_markdown(data, lang=lang), encoding="utf-8")
            redacted = render_pilot(data, lang=lang, redact=True)
            (folder / f"{case}-{lang}-redacted.html").write_text(redacted, encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
