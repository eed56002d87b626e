"""What commands say on a terminal beside their progress."""

import logging
import sys
from collections import Counter

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


class Notes(logging.Handler):
    """Says on standard error what the library logs; looked up anew each time, as a live table stands in for it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one message."""
        note(self.format(record))


def show_notes() -> None:
    """Shows what the library logs from now on."""
    logger = logging.getLogger("clipc")
    if not any(isinstance(handler, Notes) for handler in logger.handlers):
        logger.addHandler(Notes())
    logger.setLevel(logging.INFO)
