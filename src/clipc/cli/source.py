"""What commands have in common: how a source is named and read, and where results go."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from clipc.catalog import Catalog, SourceOptions
from clipc.cli.screen import tell
from clipc.progress import Progress

if TYPE_CHECKING:
    from clipc.recipe.recipe import Data

Json = Annotated[bool, Parameter(name="--json", negative="")]
Out = Annotated[Path | None, Parameter(name="--out")]
Options = Annotated[SourceOptions, Parameter(name="*")]
AS_FOUND = SourceOptions()
Set = Annotated[tuple[str, ...], Parameter(name="--set", help="The same as key=value; may be repeated.")]


def data_of(source: str, options: SourceOptions) -> "Data":
    """A source and how it is read, as recipes hold it."""
    from clipc.recipe.recipe import Data

    return Data(source=source, **asdict(options))


def opened(source: str, options: SourceOptions, progress: Progress) -> Catalog:
    """The catalog of a source; what was read is told on standard error."""
    catalog = data_of(source, options).open(progress)
    tell(catalog)
    return catalog


def short_name(source: str) -> str:
    """A source's name as a part of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", Path(source.rstrip("/")).stem or source).strip("-") or "pairs"


def show(tables: Any, as_json: bool, lines: Sequence[str]) -> None:
    """Prints tables as one JSON object, or lines for people."""
    print(json.dumps(tables, ensure_ascii=False) if as_json else "\n".join(lines))
