"""The code speaks the field's language: identifiers that were retired do not come back."""

import tokenize
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "clipc"
RETIRED = {
    "Ban",
    "Checked",
    "Found",
    "Journal",
    "Kept",
    "Lap",
    "Law",
    "Lawful",
    "Look",
    "Makeup",
    "Never",
    "Proposed",
    "Saying",
    "Shaped",
    "Tally",
    "Told",
    "bans",
    "by_image",
    "by_text",
    "cautions",
    "enact",
    "first_mistake",
    "glance_at",
    "in_proportion",
    "lawful",
    "law",
    "look_at",
    "look_at_all",
    "makeup",
    "mistakes",
    "nevers",
    "processes_ahead",
    "recompute",
    "reckoned",
    "rooms",
    "sayings",
    "seeds_told",
    "spoken",
    "told_once",
    "with_fewer",
    "weights_mark",
    "reference_mark",
    "folder_mark",
    "file_mark",
    "table_mark",
}
"""See docs/glossary.md and CONTRIBUTING.md for the words that took their place."""


def test_retired_identifiers_stay_retired() -> None:
    used: list[str] = []
    for file in sorted(PACKAGE.rglob("*.py")):
        with file.open("rb") as stream:
            names = {t.string for t in tokenize.tokenize(stream.readline) if t.type == tokenize.NAME}
        used += [f"{file.relative_to(PACKAGE)}: {name}" for name in sorted(names & RETIRED)]
    assert not used
