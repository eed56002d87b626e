"""The one way in: a source of any kind becomes a catalog."""

from collections.abc import Sequence
from pathlib import Path

from clipc.catalog.build import build
from clipc.catalog.catalog import Catalog
from clipc.catalog.tar import tars
from clipc.errors import UserError
from clipc.progress import Progress, silent


def open_catalog(
    source: str | Path,
    *,
    images: Path | None = None,
    image_column: str | None = None,
    caption_columns: Sequence[str] = (),
    label_columns: Sequence[str] = (),
    split_column: str | None = None,
    key_column: str | None = None,
    encoding: str | None = None,
    cache: Path | None = None,
    lang: str = "en",
    progress: Progress = silent,
) -> Catalog:
    """Opens a source."""
    path = Path(source).absolute()
    paths = sorted(path.rglob("*.tar")) if path.is_dir() else [path]
    if not paths:
        raise UserError(f"{path} holds no tars.")
    return build(tars(paths, name=path.stem, encoding=encoding, lang=lang), progress)
