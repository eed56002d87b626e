"""What commands say on a terminal beside their progress."""

import logging
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from clipc.catalog.catalog import Catalog

FEW_EPOCHS = 5
"""Below this a model from nothing is short of training, whatever is done to its examples."""


def tell(catalog: Catalog) -> None:
    """Says on standard error what was read, what could not be, and how."""
    splits = ", ".join(f"{count:,} {name}" for name, count in catalog.splits.items())
    lines = [f"{catalog.about.name}: {splits} pairs", *catalog.about.notes]
    if refused := len(catalog.rejects):
        reasons = Counter(catalog.rejects["reason"].to_pylist()).most_common(3)
        commonest = "; ".join(f"{reason} ({count:,})" for reason, count in reasons)
        lines.append(f"{refused:,} could not be read: {commonest}; all are listed in {catalog.rejects_file}")
    print("\n  ".join(lines), file=sys.stderr)


def note(sentence: str) -> None:
    """Says on standard error what was decided on the way."""
    print(f"  {sentence}", file=sys.stderr)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@contextmanager
def notes() -> Generator[None]:
    """Says on standard error what clipc logs while the block runs."""
    logger, handler, before = logging.getLogger("clipc"), _Notes(), logging.getLogger("clipc").level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def pilot_lines(tables: dict[str, Any]) -> list[str]:
    """The main comparisons in plain lines."""
    main = {m["key"] for m in tables["metrics"] if m["main"]}
    means = {
        (arm["name"], key): sum(t["metrics"][key] for t in arm["trials"]) / len(arm["trials"])
        for arm in tables["arms"]
        for key in main
    }
    lines = [f"{'':36s}" + "".join(f"{arm['name']:>10s}" for arm in tables["arms"])]
    lines += [
        f"{key:36s}" + "".join(f"{means[arm['name'], key]:10.3f}" for arm in tables["arms"]) for key in sorted(main)
    ]
    for row in tables["comparisons"]:
        if row["metric"] in main and row["arm"] == "clip-c":
            low, high = row["interval"]
            span = f"[{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else "[no interval]"
            said = {"gain": "a gain", "loss": "a loss"}.get(row["verdict"], "no evidence of a difference")
            lines.append(f"CLIP-C against {row['against']}, {row['metric']}: {row['difference']:+.3f} {span}: {said}")
    settings = tables["settings"]
    if settings["epochs"] < FEW_EPOCHS:
        hint = "more --minutes" if settings["model"] == "nano" else "more --minutes, or --recipe nano,"
        lines.append(f"Each trial saw the pairs only {settings['epochs']:.1f} times; {hint} would show more.")
    return lines
