"""Prepares a run on kept features: checks it, keeps what is missing, standardises the inputs of new projections."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from clipc.array_cache import arrays_digest, cached_array
from clipc.catalog.catalog import Catalog
from clipc.compose.plan import Plans
from clipc.errors import UserError
from clipc.evaluate.embed import read_image
from clipc.files import whole_file
from clipc.models.device import choose_device
from clipc.models.model import ClipModel
from clipc.models.model_config import HUB_PREFIX, LOCAL_DIR_PREFIX, is_folder
from clipc.models.projection import RescaledNorm, standardise_inputs, trunk_is_locked
from clipc.models.text_tower import padding_id
from clipc.models.tuning import apply_tuning
from clipc.prepare.kept_encoder import KeptEncoder
from clipc.prepare.kept_features import KeptFeatures
from clipc.prepare.new_model import new_model, tokenizer_for
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.render.features import (
    FeatureRenderer,
    KeptCaptions,
    KeptImages,
    check_policy,
    needs_halves,
    needs_strong,
)
from clipc.render.kept_views import HALVES, KeptViews

logger = logging.getLogger(__name__)

NORM_FILE: Final = "kept-norm.safetensors"
"""The file in a run's folder with the :class:`RescaledNorm` of its text trunk, if there is one."""

_SAMPLE: Final = 4096
"""The largest number of images and of captions from which means and standard deviations are computed."""
_COMPOSITES: Final = 64
"""The number of composites whose features are compared with those of their pixels and joint captions."""


@dataclass(frozen=True, eq=False)
class FeatureRun:
    """What a run on kept features needs.

    Attributes:
        renderer: The renderer of its batches.
        kept: The features, of which validation reads its own.
        facts: ``views``, whether ``captions`` are kept, and the mean cosines of composites' kept features and those
            that the trunks give for their pixels (``images``) and for their joint captions (``texts``); ready for JSON.
    """

    renderer: FeatureRenderer
    kept: KeptFeatures
    facts: dict[str, Any]

    def encoder(self, model: ClipModel) -> KeptEncoder:
        """An encoder with a model's projections."""
        return KeptEncoder(model, self.kept, self.renderer.captions is not None)


def check_features(recipe: Recipe, model: ClipModel) -> None:
    """Checks that a model can be trained on kept features.

    Args:
        recipe: The recipe.
        model: The model, with its frozen parameters.

    Raises:
        UserError: The trunk of the image tower is trained.
    """
    if not trunk_is_locked(model.clip, "image"):
        raise UserError(
            f"renderer=features needs an image tower that is locked up to its projection, but tune.image is "
            f"{recipe.tune.image}; set tune.image=1 (or locked), or renderer=auto."
        )
    if recipe.wise_ft and not _has_projections(recipe):
        raise UserError(
            "wise_ft interpolates with the projections that the run started from, but those of "
            f"{recipe.model} are new; leave wise_ft out."
        )


def keep_captions(model: ClipModel) -> bool:
    """Whether the features of captions can be kept: the text trunk is locked and has a projection of its own."""
    return trunk_is_locked(model.clip, "text") and padding_id(model.clip) is not None


def keep_features(recipes: Sequence[Recipe], catalogs: Sequence[Catalog], progress: Progress = silent) -> None:
    """Computes all features that runs and their evaluation read, so that several runs only read them.

    Args:
        recipes: The runs' recipes, one or more of equal :func:`kept_key`.
        catalogs: The data of each run, one or more; equal pairs are computed once.
        progress: Called with the number of features computed.

    Raises:
        UserError: The model or the policy is not made for it.
    """
    kept, captions = kept_features(recipes[0], catalogs[0], progress)
    for recipe in recipes:
        check_policy(recipe.policy, captions)
    for catalog in catalogs:
        kept.keep(catalog, captions=captions)
        keep_training_features(kept, recipes[0], catalog.split("train"))


def kept_features(recipe: Recipe, catalog: Catalog, progress: Progress = silent) -> tuple[KeptFeatures, bool]:
    """The features that runs of a recipe read, and whether those of captions are kept too; computes none.

    Args:
        recipe: The recipe.
        catalog: The data, from which a vocabulary may be learnt.
        progress: Called with the number of features computed.

    Raises:
        UserError: The model or the policy is not made for it.
    """
    model = new_model(recipe, tokenizer_for(recipe, catalog)).to(choose_device(recipe.device))
    apply_tuning(model.clip, recipe.tune, recipe.seed)
    check_features(recipe, model)
    return KeptFeatures(model.eval(), recipe.data.cache, progress), keep_captions(model)


def keep_training_features(kept: KeptFeatures, recipe: Recipe, pairs: Catalog) -> None:
    """Computes the features of training pairs that runs of a recipe read."""
    halves, strong = needs_halves(recipe.policy), needs_strong(recipe.policy)
    kept.training_images(pairs, recipe.augmentation, recipe.kept_views, halves=halves, strong=strong)


def kept_key(recipe: Recipe) -> str:
    """What the features of a recipe's runs depend on, data apart, as text: recipes with equal texts share them."""
    names = {"model", "pretrained", "image_size", "vocabulary", "tune", "augmentation", "kept_views", "wise_ft"}
    needs = f"{needs_halves(recipe.policy)} {needs_strong(recipe.policy)}"
    return f"{recipe.model_dump_json(include=names)} {needs} {recipe.data.cache}"


def make_feature_run(
    recipe: Recipe,
    model: ClipModel,
    plans: Plans,
    catalog: Catalog,
    run: Run | None = None,
    progress: Progress = silent,
) -> FeatureRun:
    """Prepares a run on kept features.

    Args:
        recipe: The recipe.
        model: The model at step 0; the inputs of its projections are standardised here if these are new.
        plans: The plans.
        catalog: All data.
        run: The run's folder, where evaluation finds what it needs; None for no folder.
        progress: Called with the number of features computed.

    Raises:
        UserError: The model or the policy is not made for it.
    """
    captions_kept = keep_captions(model)
    check_policy(plans.policy, captions_kept)
    if captions_kept and plans.policy.composes and any(w.joiner or w.template for w in plans.wordings):
        logger.warning(
            "features of joint captions are the mean of both captions', so the joiner or template between them is left "
            "out; renderer=auto reads it."
        )
    kept, pairs, halves = KeptFeatures(model, recipe.data.cache, progress), plans.catalog, needs_halves(plans.policy)
    if recipe.validations and "val" in catalog.splits:
        kept.keep(catalog.split("val"), captions=captions_kept)
    strong = needs_strong(plans.policy)
    images = kept.training_images(pairs, recipe.augmentation, recipe.kept_views, halves=halves, strong=strong)
    captions = kept.training_captions(pairs) if captions_kept else None
    facts: dict[str, Any] = {"views": recipe.kept_views, "captions": captions_kept}
    if halves:
        facts["images"] = _image_agreement(kept, pairs, recipe, images)
    if captions is not None and plans.policy.composes and plans.policy.caption in ("join", "both-orders", "wrong"):
        facts["texts"] = _caption_agreement(kept, plans, captions)
    _log(facts, pairs)
    if not _has_projections(recipe):
        standardise_inputs(model.clip, "image", *_image_moments(images))
        if captions is not None:
            features = torch.from_numpy(_sample(captions.features))
            kept.norm = standardise_inputs(model.clip, "text", features.mean(0), features.std(0))
            if kept.norm is not None:
                standardised = kept.norm.standardised(torch.from_numpy(captions.features).to(model.device))
                captions = KeptCaptions(standardised.cpu().numpy(), captions.row, captions.tokens)
    if run is not None and not run.rank and kept.norm is not None:
        _save_norm(kept.norm, run.folder / NORM_FILE)
    return FeatureRun(FeatureRenderer(plans, model.tokenizer, images, captions), kept, facts)


def evaluation_encoder(run: Run, folder: Path, catalog: Catalog, cache: Path | None) -> ClipModel | KeptEncoder:
    """The encoder with which a model of a run is evaluated: on kept features if it was trained on them.

    Args:
        run: The run.
        folder: The folder of the model, one of the run's.
        catalog: The data.
        cache: The cache folder; None for the default one.
    """
    model = ClipModel.load(folder)
    facts = (run.read_json("plan-statistics.json") or {}).get("kept")
    if facts is None:
        return model
    kept = kept_features_of(str(run.folder), model, cache)
    kept.keep(catalog, captions=facts["captions"])
    return KeptEncoder(model, kept, facts["captions"])


def kept_features_of(
    name: str, model: ClipModel, cache: Path | None = None, progress: Progress = silent
) -> KeptFeatures:
    """The kept features of a model's trunks; for one that was trained on kept features, those of its run.

    Args:
        name: The model's name, perhaps a run's folder.
        model: The model.
        cache: The cache folder; None for the default one.
        progress: Called with the number of features computed.
    """
    file = Path(name.removeprefix(LOCAL_DIR_PREFIX)) / NORM_FILE
    norm = RescaledNorm(**load_file(file)) if file.is_file() else None
    return KeptFeatures(model, cache, progress, norm)


def _save_norm(norm: RescaledNorm, file: Path) -> None:
    tensors = {name: getattr(norm, name).cpu().contiguous() for name in ("mean", "std", "weight", "bias")}
    with whole_file(file) as new:
        save_file(tensors, new)


def _has_projections(recipe: Recipe) -> bool:
    """Whether the model starts with trained projections, rather than with new ones on trained trunks."""
    return recipe.pretrained is not None or is_folder(recipe.model) or recipe.model.startswith(HUB_PREFIX)


def _image_moments(images: KeptImages) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean and the standard deviation of the features of whole images and views, of up to 4,096 images."""
    whole = images.whole[_sample(images.whole_row)].astype(np.float32)
    views = images.views[_sample(images.views_row)].astype(np.float32)
    features = torch.from_numpy(np.concatenate([whole, views.reshape(-1, views.shape[-1])]))
    return features.mean(0), features.std(0)


def _sample(values: Any) -> Any:
    """Up to :data:`_SAMPLE` rows, evenly spaced."""
    return values[np.linspace(0, len(values) - 1, min(_SAMPLE, len(values))).astype(np.int64)]


def _image_agreement(kept: KeptFeatures, pairs: Catalog, recipe: Recipe, images: KeptImages) -> float:
    """The mean cosine of kept features of composites and those of their pixels, both standardised."""
    assert images.halves is not None
    assert images.halves_row is not None
    n = min(_COMPOSITES, len(pairs) // 2)
    rows = np.linspace(0, len(pairs) - 1, 2 * n).astype(np.int64)
    views = KeptViews.of(pairs.take(rows), recipe.augmentation, recipe.kept_views)
    axis = np.arange(n) % len(HALVES)
    halves = images.halves[images.halves_row[rows].reshape(n, 2), 0, axis[:, None]].astype(np.float32).mean(axis=1)

    def pixels() -> np.ndarray[Any, np.dtype[np.float32]]:
        size, composites = kept.model.image_size, []
        for i in range(n):
            first, second = (
                views.render_halves(read_image(pairs, int(rows[j])), j, size)[axis[i]][0] for j in (2 * i, 2 * i + 1)
            )
            composites.append(np.concatenate([first, second], axis=1 - axis[i]))
        return kept.encode(np.stack(composites))

    key = (
        f"{kept.image_fingerprint} {arrays_digest(views.box, views.mirrored)} {arrays_digest(images.halves_row[rows])}"
    )
    features = cached_array("kept-agreement", key, pixels, kept.cache)
    mean, std = _image_moments(images)
    return _mean_cosine(torch.from_numpy(halves), torch.from_numpy(np.array(features)), mean, std)


def _caption_agreement(kept: KeptFeatures, plans: Plans, captions: KeptCaptions) -> float:
    """The mean cosine of kept features of joint captions and those that the text trunk gives, both standardised."""
    pairs, first = plans.catalog, plans.entries.first
    n = min(_COMPOSITES, len(pairs) // 2)
    rows = np.linspace(0, len(pairs) - 1, 2 * n).astype(np.int64).reshape(n, 2)
    joint = captions.joint(first[rows[:, 0]], first[rows[:, 1]])
    code = HALVES[0]
    texts = [plans.policy.wording.text(pairs.caption(a, 0), pairs.caption(b, 0), code, False) for a, b in rows.tolist()]
    sample = torch.from_numpy(_sample(captions.features))
    return _mean_cosine(torch.from_numpy(joint), torch.from_numpy(kept.texts(texts)), sample.mean(0), sample.std(0))


def _mean_cosine(one: torch.Tensor, other: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> float:
    std = std.clamp(min=1e-3 * float(std.mean()))
    return float(F.cosine_similarity((one - mean) / std, (other.float() - mean) / std).mean())


def _log(facts: dict[str, Any], pairs: Catalog) -> None:
    what = "images and captions" if facts["captions"] else "images"
    agreement = [
        f"{facts[name]:.2f} for {word}" for name, word in (("images", "images"), ("texts", "captions")) if name in facts
    ]
    cosine = f"; mean cosine of composites with what the towers give: {', '.join(agreement)}" if agreement else ""
    logger.info(
        "features of %s are kept: %s pairs, %s views of each image and the whole one%s.",
        *(what, f"{len(pairs):,}", facts["views"], cosine),
    )
