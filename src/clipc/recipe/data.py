"""The data section of a recipe."""

from pydantic import BaseModel, Field

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.catalog.options import SourceOptions
from clipc.catalog.split import with_splits
from clipc.catalog.subsample import subsample
from clipc.compose.policy import Name
from clipc.progress import Progress, silent


class Data(BaseModel, SourceOptions, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The source of the pairs, and how it is read (:class:`~clipc.catalog.SourceOptions`)."""

    source: Name = "demo"
    """A tar, a table, a folder, a Hugging Face dataset, or 'demo'; module:object for your own."""
    pairs: int | None = Field(default=None, ge=1)
    """Train on a subset of this size, stratified by label; a smaller subset is part of a larger one."""
    subset: int = Field(default=0, ge=0)
    """Seed of the draw of the subset."""

    def open(self, progress: Progress = silent) -> Catalog:
        """The catalog, split if the source has no splits."""
        options = self.model_dump(exclude={"source", "pairs", "subset"})
        catalog = with_splits(open_catalog(self.source, **options, progress=progress))
        return catalog if self.pairs is None else subsample(catalog, self.pairs, self.subset)
