"""Sources into one table of image-caption pairs; encoded images into pixels."""

from clipc.catalog.catalog import About, Catalog
from clipc.catalog.open import open_catalog
from clipc.catalog.rows import SourceOptions
from clipc.catalog.split import with_splits
from clipc.catalog.subsample import subsample

__all__ = ["About", "Catalog", "SourceOptions", "open_catalog", "subsample", "with_splits"]
