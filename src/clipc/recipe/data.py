"""The data section of a recipe."""

from pydantic import BaseModel, Field, model_validator

from clipc.catalog.catalog import Catalog
from clipc.catalog.folds import with_fold
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
    folds: int | None = Field(default=None, ge=2, le=20)
    """Divide all pairs into so many folds, and test on one of them; the source's own splits do not count."""
    fold: int = Field(default=0, ge=0)
    """The fold to test on, from 0."""

    @model_validator(mode="after")
    def _check_fold(self) -> "Data":
        if self.fold >= (self.folds or 1):
            raise ValueError("fold counts from 0 and is below folds; set folds too")
        return self

    @property
    def options(self) -> SourceOptions:
        """How the source is read."""
        return SourceOptions(**self.model_dump(exclude={"source", "pairs", "subset", "folds", "fold"}))

    def open(self, progress: Progress = silent) -> Catalog:
        """The catalog, split if the source has no splits, or into folds."""
        catalog = open_catalog(self.source, self.options, progress=progress)
        if self.folds is None:
            catalog = with_splits(catalog)
        else:
            catalog = with_fold(catalog, self.folds, self.fold, self.group_column)
        return catalog if self.pairs is None else subsample(catalog, self.pairs, self.subset)
