"""What commands say on a terminal beside their progress."""

import logging
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from clipc.catalog.catalog import Catalog


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
