"""Sources into one table of image-caption pairs; encoded images into pixels."""

from clipc.catalog.catalog import About, Catalog
from clipc.catalog.fewer import with_fewer
from clipc.catalog.open import open_catalog
from clipc.catalog.options import SourceOptions
from clipc.catalog.split import with_splits

__all__ = ["About", "Catalog", "SourceOptions", "open_catalog", "with_fewer", "with_splits"]
