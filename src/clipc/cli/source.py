"""What commands have in common: how a source is named and read, and where results go."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from clipc.catalog.catalog import Catalog
from clipc.cli.screen import tell
from clipc.progress import Progress

if TYPE_CHECKING:
    from clipc.recipe.recipe import Data

Json = Annotated[bool, Parameter(name="--json", negative="")]
Out = Annotated[Path | None, Parameter(name="--out")]


@Parameter(name="*")
@dataclass(frozen=True)
class Columns:
    """How a source is read, where clipc does not find it out by itself.

    Attributes:
        images: The folder that a table's image paths are relative to.
        image_column: The table's column of image paths.
        caption_columns: A column of captions; may be repeated.
        label_columns: A column of class labels, the main one first; may be repeated.
        split_column: The column that names train, val and test.
        key_column: The column of unique keys.
        group_column: Pairs of one group (a patient, a part) stay in one split.
        encoding: The encoding of tables and caption files.
        cache: Where catalogs are kept; $CLIPC_CACHE or the user's cache folder by default.
        lang: Language of the demo set, of prompts and of pages.
    """

    images: Path | None = None
    image_column: str | None = None
    caption_columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    split_column: str | None = None
    key_column: str | None = None
    group_column: str | None = None
    encoding: str | None = None
    cache: Path | None = None
    lang: Literal["en", "ja"] = "en"


def data_of(source: str, columns: Columns) -> "Data":
    """A source and how it is read, as recipes hold it."""
    from clipc.recipe.recipe import Data

    return Data(source=source, **asdict(columns))


def opened(source: str, columns: Columns, progress: Progress) -> Catalog:
    """The catalog of a source; what was read is told on standard error."""
    catalog = data_of(source, columns).open(progress)
    tell(catalog)
    return catalog


def short_name(source: str) -> str:
    """A source's name as a part of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", Path(source.rstrip("/")).stem or source).strip("-") or "pairs"


def write(file: Path, text: str) -> None:
    """Writes a text file, and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def show(tables: Any, as_json: bool, lines: Sequence[str]) -> None:
    """Prints tables as one JSON object, or lines for people."""
    print(json.dumps(tables, ensure_ascii=False) if as_json else "\n".join(lines))
