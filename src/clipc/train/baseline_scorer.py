"""Scores by the arm's own baseline: plain CLIP, trained by the same recipe on the same pairs."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Float32s, Int32s
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.prepare.scores.by_model import ModelScorer
from clipc.prepare.scores.composites import Composites
from clipc.prepare.scores.reference import KeptViewsOf, reference_encoder
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.train.distributed import World

logger = logging.getLogger(__name__)

FOLDS: Final = 2
"""The number of models: each is trained on the pairs of the other folds, and judges those of its own."""

MIN_BATCHES: Final = 2
"""The fewest batches that the pairs of a model make up; where there are fewer pairs, batches are smaller."""


@dataclass(frozen=True, eq=False)
class BaselineScorer:
    """Trains plain CLIP twice, on either half of the training pairs, and scores each half by the other one's model.

    So no half of a composite is judged by a model that has learnt its caption, and no pair besides the training pairs
    has any part in a score. The models are removed afterwards; their training is part of the time that scores take.

    Attributes:
        recipe: The recipe of the run whose plan is scored.
        catalog: The run's data.
        folder: A folder for the models.
        renderer: The run's renderer.
        progress: Called with the number of training examples seen.
    """

    recipe: Recipe
    catalog: Catalog
    folder: Path
    renderer: str | None
    progress: Progress = silent

    @property
    def fingerprint(self) -> str:
        """What the scores depend on, pairs and composites apart."""
        runs = [recipe.same_run(data.fingerprint) for recipe, data in self.runs()]
        return f"baseline {FOLDS} {ModelScorer(()).fingerprint} {KeptViewsOf.of(self.recipe)} {runs}"

    def __call__(self, plans: Plans, composites: Composites) -> dict[str, Float32s]:
        """The parts of the scores; see :class:`~clipc.prepare.scores.by_model.ModelScorer`."""
        from clipc.train.train import train

        logger.info("plain CLIP is trained %d times on parts of the pairs, to score composites.", FOLDS)

        def report(what: str, done: int, total: int) -> None:
            self.progress(f"{what} of the model that scores", done, total)

        how: dict[str, Any] = {"world": World(), "renderer": self.renderer, "progress": report}
        runs = [
            train(recipe, self.folder / str(fold), catalog=data, **how)
            for fold, (recipe, data) in enumerate(self.runs())
        ]
        kept, cache = KeptViewsOf.of(self.recipe), self.recipe.data.cache
        encoders = [reference_encoder(str(run.folder), kept, cache, self.progress) for run in runs]
        parts = ModelScorer(encoders, self.judge)(plans, composites)
        shutil.rmtree(self.folder, ignore_errors=True)
        return parts

    @property
    def judge(self) -> Int32s:
        """The number of the model that judges each training pair, which is not trained on it (nor on its copies)."""
        ids = self.catalog.split("train").image_ids
        return (np.unique(ids, return_inverse=True)[1] % FOLDS).astype(np.int32)

    def runs(self) -> Iterator[tuple[Recipe, Catalog]]:
        """The recipe and the training pairs of each model, in order."""
        train, judge = self.catalog.split("train"), self.judge
        for number in range(FOLDS):
            part = train.take(np.flatnonzero(judge != number))
            yield self._plain(len(part)), part

    def _plain(self, pairs: int) -> Recipe:
        """The recipe of plain CLIP on so many pairs, with as many steps for each pair."""
        recipe = self.recipe
        changes = {
            "policy": Policy(rho=0),
            "batch_size": max(2, min(recipe.batch_size, pairs // MIN_BATCHES)),
            "samples": None if recipe.samples is None else max(1, recipe.samples // FOLDS),
            "validations": 0,
            "selection": "last",
            "patience": None,
            "wise_ft": False,
            "track": (),
        }
        return recipe.model_copy(update=changes)
