"""What the library logs, as a list of sentences."""

import logging
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def logged() -> Generator[list[str]]:
    """The sentences that are logged inside, as they come."""
    sentences: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sentences.append(record.getMessage())

    logger, handler = logging.getLogger("clipc.study"), Kept()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield sentences
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
