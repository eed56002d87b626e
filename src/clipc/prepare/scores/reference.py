"""Makes the scorer that a policy names."""

from dataclasses import dataclass
from pathlib import Path

from clipc.compose.score import BASELINE, CHECKS, RANDOM
from clipc.errors import UserError
from clipc.models.device import choose_device
from clipc.models.fingerprints import scorer_fingerprint
from clipc.models.image_tower import check_halves
from clipc.models.model import ClipModel
from clipc.models.text_tower import padding_id
from clipc.prepare.feature_renderer import kept_features_of
from clipc.prepare.scores.by_model import ModelScorer
from clipc.prepare.scores.checks import CheckScorer
from clipc.prepare.scores.encoders import CompositeEncoder
from clipc.prepare.scores.kept import KeptCompositeEncoder
from clipc.prepare.scores.pixels import PixelCompositeEncoder
from clipc.prepare.scores.table import RandomScorer, Scorer
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.render.batch import Tokenizer
from clipc.render.crop import Augmentation


@dataclass(frozen=True)
class KeptViewsOf:
    """The views whose features a run keeps: its scorer reads the features of the same ones.

    Attributes:
        augmentation: How the views are cropped.
        views: The number of views of each image.
    """

    augmentation: Augmentation
    views: int

    @classmethod
    def of(cls, recipe: Recipe) -> "KeptViewsOf | None":
        """The views of a recipe; None where it renders pixels, or composites that have no kept features."""
        if recipe.renderer != "features" or recipe.policy.layout != "centre-halves":
            return None
        return cls(recipe.augmentation, recipe.kept_views)


def make_scorer(
    by: str,
    seed: int,
    *,
    tokenizer: Tokenizer | None = None,
    kept: KeptViewsOf | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Scorer:
    """The scorer that ``policy.score.by`` names.

    Args:
        by: ``checks``, ``random``, or a model as :meth:`clipc.models.model.ClipModel.load` takes it.
        seed: The run's seed.
        tokenizer: The tokenizer of the model in training, for ``checks``.
        kept: The views whose features are read where the model's towers allow it; None to render pixels.
        cache: The cache folder; None for the default one.
        progress: Called with the number of images and texts that are embedded.

    Raises:
        UserError: There is no such model, or ``by`` is ``baseline``, which has to be trained first.
    """
    if by == CHECKS:
        return CheckScorer(tokenizer)
    if by == RANDOM:
        return RandomScorer(seed)
    if by == BASELINE:
        raise UserError(
            "policy.score.by=baseline trains plain CLIP on the same pairs first, which only clipc train and studies "
            "do; name a trained model here, or checks."
        )
    return ModelScorer((reference_encoder(by, kept, cache, progress),))


def reference_encoder(
    name: str, kept: KeptViewsOf | None = None, cache: Path | None = None, progress: Progress = silent
) -> CompositeEncoder:
    """What embeds composites with a model's weights.

    Args:
        name: The model, as :meth:`clipc.models.model.ClipModel.load` takes it.
        kept: As for :func:`make_scorer`.
        cache: The cache folder; None for the default one.
        progress: Called with the number of images and texts that are embedded.

    Raises:
        UserError: There is no such model.
    """
    model = ClipModel.load(name).to(choose_device("auto")).eval()
    if kept is not None and _has_features(model):
        features = kept_features_of(name, model, cache, progress)
        return KeptCompositeEncoder.of(model, features, kept.augmentation, kept.views)
    return PixelCompositeEncoder(model, scorer_fingerprint(name), progress)


def _has_features(model: ClipModel) -> bool:
    """Whether halves and captions of a model's towers have features that can be kept."""
    try:
        check_halves(model.clip, model.image_size)
    except UserError:
        return False
    return padding_id(model.clip) is not None
