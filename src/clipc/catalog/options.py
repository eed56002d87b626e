"""The options of a source, which the command line, recipes and :func:`clipc.open_catalog` share.

This module imports no library, so that ``clipc --help`` is there at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal


@dataclass(frozen=True)
class SourceOptions:
    """How a source is read, where clipc should not detect it.

    Attributes:
        images: The folder that a table's image paths are relative to, or in which the ends of paths from other
            computers are looked for; the table's own by default.
        image_column: The table's column of image paths; detected by name by default, like the other columns.
        caption_columns: A column of captions; may be repeated.
        caption_templates: A template that makes captions from columns, such as "a {part} with {defect|no defect}";
            what follows | stands for a missing value; may be repeated.
        label_columns: A column of class labels, the main one first; may be repeated.
        split_column: The column that names train, val and test.
        key_column: The column of unique keys.
        keys: A table with a column key: only these pairs are used, such as those that clipc doctor --fix keeps.
        group_column: Pairs of one group (a patient, a part) stay in one split, where the source names no splits.
        encoding: The encoding of tables and caption files; detected by default.
        intensity: auto scales all images alike, from the values that a sample of them uses: for sets of 12 bits in 16,
            or of values without a fixed range. By default each type's whole range is shown.
        cache: Where catalogs are stored; $CLIPC_CACHE or the user's cache folder by default.
        lang: Language of pages, of the terminal and of the demo set, and of captions made from class names unless all
            of these are in English letters; and which captions are taken where they are in several languages.
    """

    images: Path | None = None
    image_column: str | None = None
    caption_columns: tuple[str, ...] = ()
    caption_templates: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    split_column: str | None = None
    key_column: str | None = None
    keys: Path | None = None
    group_column: str | None = None
    encoding: str | None = None
    intensity: Literal["auto"] | None = None
    cache: Path | None = None
    lang: Literal["en", "ja"] = "en"

    captions_needed: ClassVar[bool] = True
    """Whether an image without a caption is rejected."""


@dataclass(frozen=True)
class ImageOptions(SourceOptions):
    """How a source is read to search or classify its images: those without a caption are taken too."""

    captions_needed: ClassVar[bool] = False
