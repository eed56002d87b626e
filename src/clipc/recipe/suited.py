"""The built-in recipe that suits a data set: by its number of training pairs, its language and what is installed."""

import math
from typing import Any, Final, NamedTuple

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.models.starter import TEXT_TRUNK, package_folder

SIZES: Final = (250, 1000, 5000, 50000)
"""The numbers of training pairs for which there are recipes, ``starter-N`` and ``scratch-N``; the settings of the
largest are extrapolated."""

_LARGEST_BATCH: Final = 128
"""The batch size of these recipes, at most; fewer pairs than two batches get smaller ones."""

_NOT_ENGLISH: Final = {"model": "starter-image", "vocabulary": 8000, "tune.text": "all"}
"""Changes to a starter's recipe for captions that its English text tower cannot read."""


class SuitedRecipe(NamedTuple):
    """A built-in recipe for a data set, and why it was chosen.

    Attributes:
        name: The recipe's name.
        changes: Changes to it, by dotted key.
        reason: One sentence for the user.
    """

    name: str
    changes: dict[str, Any]
    reason: str


def suited_recipe(catalog: Catalog) -> SuitedRecipe:
    """The recipe for a data set whose user names none.

    It starts from the starter's towers if their packages are installed, otherwise from scratch. Of the recipes for
    :data:`SIZES` it is the one whose number of pairs is nearest, as a ratio.

    Args:
        catalog: The data, with a training split.
    """
    pairs = catalog.splits.get("train", 0)
    changes: dict[str, Any] = {"batch_size": max(2, pairs // 4)} if pairs < 2 * _LARGEST_BATCH else {}
    size = min(SIZES, key=lambda n: abs(math.log(max(1, pairs) / n)))
    try:
        package_folder(TEXT_TRUNK)
    except UserError as error:
        name, start = f"scratch-{size}", f"random weights; {error}"
    else:
        name = f"starter-{size}"
        start = "the starter's pretrained towers (docs/results.md tells how its settings were chosen)."
        if not reads_english(catalog):
            changes |= _NOT_ENGLISH
            start = "its pretrained image tower and, as captions are not English, a text tower from scratch."
    return SuitedRecipe(name, changes, f"{pairs:,} training pairs: the recipe {name}, which starts from {start}")


def reads_english(catalog: Catalog) -> bool:
    """Whether most of the first captions are in the letters of English.

    Args:
        catalog: The data; up to 1,000 rows of it are read.
    """
    rows = range(0, len(catalog), max(1, len(catalog) // 1000))
    captions = [catalog.captions(row)[0] for row in rows]
    return sum(text.isascii() for text in captions) > len(captions) / 2
