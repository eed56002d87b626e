"""Options, sources and output that commands share."""

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, default_name_transform

from clipc.catalog.options import ImageOptions, SourceOptions
from clipc.errors import UserError, printable, sentence
from clipc.files import check_writable, write_text
from clipc.progress import Progress
from clipc.translation import terminal_language, translate

if TYPE_CHECKING:
    from clipc.catalog.catalog import Catalog
    from clipc.inference.used_model import UsedModel
    from clipc.recipe.data import Data


def check_folder(_: Any, path: Path | None) -> None:
    """Refuses, before any work, a folder that cannot be written."""
    if path is not None:
        check_writable(path, "folder")


def check_file(_: Any, path: Path | None) -> None:
    """Refuses, before any work, a file that cannot be written."""
    if path is not None:
        check_writable(path, "file")


Json = Annotated[bool, Parameter(name="--json", negative="")]
OutFolder = Annotated[Path | None, Parameter(name="--out", validator=check_folder)]
OutFile = Annotated[Path | None, Parameter(name="--out", validator=check_file)]
SourceParameters = Annotated[
    SourceOptions,
    # Each use of --caption-template gives one template, so the option is in the singular.
    Parameter(name="*", name_transform=lambda name: default_name_transform(name).replace("-templates", "-template")),
]
DEFAULT_OPTIONS = SourceOptions()
Overrides = Annotated[
    tuple[str, ...],
    Parameter(name="--set", help="Override a recipe key (KEY=VALUE), like a positional override; may be repeated."),
]


def recipe_changes(overrides: Sequence[str], set_overrides: Sequence[str], rules: str | None) -> tuple[str, ...]:
    """The changes to a recipe that a command was given: positional ones, those of ``--set``, then ``--rules``."""
    by_rules = () if rules is None else (f"policy.rules={json.dumps(rules)}",)
    return (*overrides, *set_overrides, *by_rules)


def data_section(source: str, options: SourceOptions) -> "Data":
    """The ``data`` section of a recipe for a source and its options."""
    from clipc.recipe.data import Data

    return Data(source=source, **asdict(options))


def open_source(source: str, options: SourceOptions, progress: Progress) -> "Catalog":
    """The catalog of a source, with a summary on standard error."""
    catalog = data_section(source, options).open(progress)
    print_catalog(catalog)
    return catalog


def open_images(source: str, options: SourceOptions, used: "UsedModel", progress: Progress) -> "Catalog":
    """The catalog of a source whose images a model searches or classifies, with a summary on standard error.

    The source that the model was trained on is read as it was then. Images without captions are taken too. Where there
    are captions, pairs are set aside as in training, because what a score is worth is read from them.
    """
    from clipc.catalog.open import open_catalog
    from clipc.catalog.split import with_splits

    if (known := used.source_options(source, options)) != options:
        print_note(f"{source} is read as in training.")
    catalog = open_catalog(source, ImageOptions(**vars(known)), progress=progress)
    if catalog.caption_counts.any():
        with suppress(UserError):  # Few pairs are searched without splits.
            catalog = with_splits(catalog)
    print_catalog(catalog)
    return catalog


def print_catalog(catalog: "Catalog") -> None:
    """Prints to standard error the number of pairs, the notes on reading and the most frequent reasons of rejects."""
    if terminal_language() == "ja":
        splits = "、".join(f"{name} {count:,}組" for name, count in catalog.splits.items())
    else:
        splits = ", ".join(f"{count:,} {name}" for name, count in catalog.splits.items()) + " pairs"
    warnings = [f"warning: {_reading(text)}" for text in catalog.about.warnings]
    lines = [f"{catalog.about.name}: {splits}", *map(_reading, catalog.about.notes), *warnings]
    if rejects := len(catalog.rejects):
        counts = Counter(catalog.rejects["reason"].to_pylist()).most_common(3)
        reasons = "; ".join(f"{_reading(reason)} ({count:,})" for reason, count in counts)
        listed = f"all are listed in {catalog.rejects_file}"
        unlisted = "the cache cannot be written, so there is no list of them"
        lines.append(f"{rejects:,} were rejected: {reasons}; {listed if catalog.rejects_file else unlisted}")
    print("\n  ".join(translate(sentence(line)) for line in lines), file=sys.stderr)


def _reading(text: str) -> str:
    """What reading a source said, as pages say it in the terminal's language."""
    if terminal_language() == "en":
        return text
    from clipc.report.words import words

    return words(terminal_language()).reading(text)


def warn_of_small_split(catalog: "Catalog", split: str) -> None:
    """Prints a warning to standard error if few pairs are measured; call it once a command."""
    from clipc.evaluate.small_split import small_split
    from clipc.report.words import words

    if (limit := small_split(catalog, split)) is not None:
        print_note(f"warning: {words(terminal_language()).limit(limit['code'], limit)}")


def names_of(given: str | None) -> tuple[str, ...]:
    """The names in an option that separates them by commas; none where it is not given."""
    return tuple(name.strip() for name in (given or "").split(",") if name.strip())


def print_note(message: str) -> None:
    """Prints a message to standard error."""
    print(f"  {translate(sentence(message))}", file=sys.stderr)


class _LogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_note(record.getMessage())


@contextmanager
def print_logs() -> Generator[None]:
    """Prints log messages of clipc to standard error during the block."""
    logger, handler = logging.getLogger("clipc"), _LogHandler()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # open_clip logs to the root logger, which gives it a handler that would print them again.
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def source_slug(source: str) -> str:
    """The source's name, made safe for use in a folder's name."""
    return re.sub(r"[^\w.-]+", "-", Path(source.rstrip("/")).stem or source).strip("-") or "pairs"


def print_result(result: Any, as_json: bool, lines: Sequence[str]) -> None:
    """Prints the result as JSON, or the readable lines, to standard output."""
    text = json.dumps(result, ensure_ascii=False) if as_json else "\n".join(map(translate, lines))
    print(printable(text))


def write_pages(file: Path, tables: dict[str, Any], render: Callable[..., str], lang: str) -> str:
    """Writes a page in English and in Japanese.

    Args:
        file: The file of the page in ``lang``; the page in the other language is written to ``<stem>.<other>`` with the
            same suffix.
        tables: The tables of the page.
        render: Makes the page from the tables and a language.
        lang: ``"en"`` or ``"ja"``.

    Returns:
        One line that names both files.
    """
    other = "ja" if lang == "en" else "en"
    write_text(file, render(tables, lang=lang))
    second = file.with_suffix(f".{other}{file.suffix}")
    write_text(second, render(tables, lang=other))
    return f"{file}（および {second.name}）" if terminal_language() == "ja" else f"{file} (and {second.name})"
