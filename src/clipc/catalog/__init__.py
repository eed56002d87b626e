"""Sources into one table of image-caption pairs; encoded images into pixels."""

from clipc.catalog.catalog import About, Catalog
from clipc.catalog.open import open_catalog

__all__ = ["About", "Catalog", "open_catalog"]
