"""Evaluation of a model on kept features: only its projections are computed."""

from dataclasses import dataclass
from typing import Final

import torch

from clipc.catalog.catalog import Catalog
from clipc.models.model import ClipModel
from clipc.prepare.kept_features import KeptFeatures
from clipc.progress import Progress, silent
from clipc.render.evaluation_view import Resizing

_AT_ONCE: Final = 4096


@dataclass(frozen=True, eq=False)
class KeptEncoder:
    """An encoder (:class:`clipc.evaluate.embed.CatalogEncoder`) that projects kept features.

    Attributes:
        model: The model with the projections, in evaluation mode.
        kept: The features of its trunks.
        captions: Whether the features of texts are kept too; otherwise the model encodes texts.
    """

    model: ClipModel
    kept: KeptFeatures
    captions: bool

    @property
    def image_size(self) -> int:
        """The side S of the model's images, in pixels."""
        return self.model.image_size

    @property
    def resizing(self) -> Resizing:
        """How images are resized for the model."""
        return self.model.resizing

    def encode_image(self, images: torch.Tensor, /) -> torch.Tensor:
        """Encodes pixels, as the model does."""
        return self.model.encode_image(images)

    def encode_text(self, texts: list[str], /) -> torch.Tensor:
        """Encodes texts as unit vectors, shape (B, D)."""
        if not self.captions:
            return self.model.encode_text(texts)
        return self.model.encode_tokens(torch.from_numpy(self.kept.texts(texts)))

    def encode_catalog(self, catalog: Catalog, progress: Progress = silent, /) -> torch.Tensor:
        """Encodes the whole images of a catalog as unit vectors, ``float32``, shape (n, D), on the CPU."""
        features, rows = self.kept.whole_images(catalog)
        parts: list[torch.Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(rows), _AT_ONCE):
                pooled = torch.from_numpy(features[rows[start : start + _AT_ONCE]])
                parts.append(self.model.encode_image(pooled).float().cpu())
                progress("images encoded", min(start + _AT_ONCE, len(rows)), len(rows))
        return torch.cat(parts)
