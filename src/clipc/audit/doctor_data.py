"""What the checks of the data doctor examine: the catalog, and the model that a recipe would train on it."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clipc.audit.detail import Detail, detail
from clipc.audit.thumbnails import of_rows
from clipc.catalog.catalog import Catalog, first_rows
from clipc.compose.arrays import Bools, Int64s
from clipc.models.tokenizer import Tokenizer
from clipc.progress import Progress
from clipc.recipe.recipe import Recipe

_SAMPLE: Final = 120
_SAMPLE_PIXELS: Final = 5e8


@dataclass(frozen=True, eq=False)
class DistinctCaptions:
    """The captions of a catalog, each text once.

    Attributes:
        texts: The distinct captions, in the order of their first occurrence; (d,).
        ids: For each caption, pair by pair, its index in ``texts``; ``int64``, shape (captions,).
        owners: The row of the pair that has the caption; ``int64``, shape (captions,).
    """

    texts: list[str]
    ids: Int64s
    owners: Int64s

    @classmethod
    def of(cls, catalog: Catalog) -> "DistinctCaptions":
        """The distinct captions of a catalog."""
        ids = catalog.caption_ids.astype(np.int64)
        first, inverse = np.unique(first_rows(ids), return_inverse=True)
        kernels: Any = pc  # its functions are generated at run time, which type checkers cannot see
        flat = kernels.list_flatten(catalog.table["captions"])
        owners = np.repeat(np.arange(len(catalog)), catalog.caption_counts)
        return cls(flat.take(pa.array(first)).to_pylist(), inverse.astype(np.int64), owners)

    @cached_property
    def counts(self) -> Int64s:
        """How often each text occurs, shape (d,)."""
        return np.bincount(self.ids, minlength=len(self.texts)).astype(np.int64)

    @cached_property
    def first_owner(self) -> Int64s:
        """The first row that has each text, shape (d,)."""
        owner = np.full(len(self.texts), -1, dtype=np.int64)
        owner[self.ids[::-1]] = self.owners[::-1]
        return owner

    def pairs_with(self, has: Bools, *, all_captions: bool = False) -> Int64s:
        """The rows of the pairs of which a caption, or all captions, are among some texts.

        Args:
            has: Which texts, shape (d,).
            all_captions: Whether all captions of a pair must be among them.
        """
        marked = has[self.ids]
        if not all_captions:
            return np.unique(self.owners[marked])
        return np.setdiff1d(self.owners[marked], self.owners[~marked])


@dataclass(frozen=True, eq=False)
class DoctorData:
    """A catalog and what a recipe would make of it.

    Attributes:
        catalog: The pairs, with all splits.
        recipe: The recipe that would be trained.
        tokenizer: The tokenizer of its model.
        image_size: The side of the model's images in pixels.
        pixels: Whether images may be decoded.
        progress: Receives the number of images examined.
    """

    catalog: Catalog
    recipe: Recipe
    tokenizer: Tokenizer
    image_size: int
    pixels: bool
    progress: Progress

    @cached_property
    def captions(self) -> DistinctCaptions:
        """The distinct captions of all splits."""
        return DistinctCaptions.of(self.catalog)

    @cached_property
    def details(self) -> dict[int, Detail]:
        """What a sample of images loses at the model's size, by row; empty where images may not be decoded."""
        if not self.pixels:
            return {}
        n, area = len(self.catalog), float(self.catalog.sizes.astype(np.float64).prod(axis=1).mean())
        most = int(max(12, min(_SAMPLE, _SAMPLE_PIXELS / max(1.0, area))))
        rows = np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)).tolist()
        measure = partial(detail, size=self.image_size)
        return of_rows(self.catalog, rows, measure, what="measuring detail", progress=self.progress)

    @cached_property
    def splits(self) -> Any:
        """The split of each pair, ``object`` strings, shape (n,)."""
        return self.catalog.split_names

    @cached_property
    def train(self) -> Bools:
        """Which pairs are in the training split, shape (n,)."""
        return self.splits == "train"

    @cached_property
    def held_out(self) -> Bools:
        """Which pairs are in ``val`` or ``test``, shape (n,)."""
        return np.isin(self.splits, ("val", "test"))
