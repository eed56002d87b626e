"""Embeddings of composites from kept features: only a model's projections are computed."""

from dataclasses import dataclass, field

import numpy as np
import torch

from clipc.array_cache import arrays_digest
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bytes, Float32s, Int32s, Int64s
from clipc.compose.plan import Plans
from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.models.text_tower import padding_id
from clipc.prepare.kept_encoder import KeptEncoder
from clipc.prepare.kept_features import KeptFeatures
from clipc.prepare.scores.composites import Composites
from clipc.render.crop import Augmentation
from clipc.render.features import KeptCaptions
from clipc.render.kept_views import HALVES

_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class KeptCompositeEncoder:
    """Embeds composites of halves as the feature renderer makes them: the mean of both halves' features.

    The features of a half are the mean over the image's kept views; those of a joint caption are the mean of both
    captions', weighted by their tokens.

    Attributes:
        encoder: The reference model on kept features, of images and captions.
        augmentation: How the kept views are cropped.
        views: The number of kept views of each image.
    """

    encoder: KeptEncoder
    augmentation: Augmentation
    views: int
    _halves: dict[str, Float32s] = field(default_factory=dict[str, Float32s], repr=False)
    _captions: dict[str, KeptCaptions] = field(default_factory=dict[str, KeptCaptions], repr=False)

    @classmethod
    def of(cls, model: ClipModel, kept: KeptFeatures, augmentation: Augmentation, views: int) -> "KeptCompositeEncoder":
        """An encoder with a model's projections.

        Raises:
            UserError: The text tower cannot be split into a trunk and a projection.
        """
        if padding_id(model.clip) is None:
            raise UserError("the text tower of the model that scores has no features to keep; name another model.")
        return cls(KeptEncoder(model, kept, captions=True), augmentation, views)

    @property
    def scale(self) -> float:
        """The model's inverse temperature."""
        return float(self.encoder.model.logit_scale.detach().exp())

    @property
    def fingerprint(self) -> str:
        """What the embeddings depend on, the pairs apart."""
        state = self.encoder.model.clip.state_dict()
        weights = arrays_digest(*(state[name].detach().cpu().float().numpy() for name in sorted(state)))
        settings = self.augmentation.model_dump_json(include={"crop_scale", "crop_ratio", "flip"})
        norm = self.encoder.kept.norm
        moments = "" if norm is None else arrays_digest(norm.mean.cpu().numpy(), norm.std.cpu().numpy())
        return f"kept {weights} {moments} {settings} {self.views}"

    def halves(self, plans: Plans, rows: Int32s, layouts: Bytes) -> Float32s:
        """See :class:`~clipc.prepare.scores.encoders.CompositeEncoder`."""
        return self._project_images(self._half_features(plans.catalog)[rows, _axis(layouts)])

    def images(self, plans: Plans, composites: Composites) -> Float32s:
        """See :class:`~clipc.prepare.scores.encoders.CompositeEncoder`."""
        features, axis = self._half_features(plans.catalog), _axis(composites.layout)
        means: Float32s = (features[composites.left, axis] + features[composites.right, axis]) / np.float32(2)
        return self._project_images(means)

    def captions(self, plans: Plans, entries: Int64s) -> Float32s:
        """See :class:`~clipc.prepare.scores.encoders.CompositeEncoder`."""
        captions = self._kept_captions(plans.catalog)
        used, number = np.unique(captions.row[entries], return_inverse=True)
        return self._project_texts(captions.features[used])[number]

    def joint_captions(self, plans: Plans, composites: Composites) -> Float32s:
        """See :class:`~clipc.prepare.scores.encoders.CompositeEncoder`."""
        captions, first, second = self._kept_captions(plans.catalog), composites.first, composites.second
        parts = [
            self._project_texts(captions.joint(first[start : start + _AT_ONCE], second[start : start + _AT_ONCE]))
            for start in range(0, len(composites), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else self._project_texts(captions.features[:0])

    def _half_features(self, pairs: Catalog) -> Float32s:
        """The features of the halves of each image, the mean over its views, shape (n, 2, width)."""
        if pairs.fingerprint not in self._halves:
            images = self.encoder.kept.training_images(pairs, self.augmentation, self.views, halves=True)
            assert images.halves is not None
            assert images.halves_row is not None
            means = np.empty((len(pairs), *images.halves.shape[2:]), dtype=np.float32)
            for start in range(0, len(pairs), _AT_ONCE):
                rows = images.halves_row[start : start + _AT_ONCE]
                means[start : start + _AT_ONCE] = images.halves[rows].mean(axis=1, dtype=np.float32)
            self._halves[pairs.fingerprint] = means
        return self._halves[pairs.fingerprint]

    def _kept_captions(self, pairs: Catalog) -> KeptCaptions:
        if pairs.fingerprint not in self._captions:
            self._captions[pairs.fingerprint] = self.encoder.kept.training_captions(pairs)
        return self._captions[pairs.fingerprint]

    @torch.inference_mode()
    def _project_images(self, features: Float32s) -> Float32s:
        return self.encoder.model.encode_image(torch.from_numpy(np.ascontiguousarray(features))).cpu().numpy()

    @torch.inference_mode()
    def _project_texts(self, features: Float32s) -> Float32s:
        return self.encoder.model.encode_tokens(torch.from_numpy(np.ascontiguousarray(features))).cpu().numpy()


def _axis(layouts: Bytes) -> Int64s:
    return np.searchsorted(HALVES, layouts).astype(np.int64)
