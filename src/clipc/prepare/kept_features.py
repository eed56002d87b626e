"""Kept features: what locked trunks give for images and captions, computed once for all trials of a data set."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.array_cache import KeyedRows
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bytes, Float32s, Int64s
from clipc.compose.entries import Entries
from clipc.errors import UserError
from clipc.evaluate.embed import read_image
from clipc.models.image_tower import check_halves
from clipc.models.layers import Tower
from clipc.models.model import ClipModel
from clipc.models.projection import RescaledNorm, trunk_state
from clipc.progress import Progress, silent
from clipc.render.batch import GREY
from clipc.render.crop import Augmentation
from clipc.render.evaluation_view import evaluation_view
from clipc.render.features import KeptCaptions, KeptImages
from clipc.render.kept_views import KeptViews
from clipc.render.parallel_map import parallel_map

logger = logging.getLogger(__name__)

VERSION: Final = 1
"""Increased whenever the same trunk would give other features, so that kept ones are computed again."""

_IMAGES_AT_ONCE: Final = 64
_CAPTIONS_AT_ONCE: Final = 512


@dataclass(eq=False)
class KeptFeatures:
    """The features of a model's trunks: computed where they are missing, otherwise read from the cache.

    They are kept by trunk and by content: an image or a caption has one row, whichever data set, subset, arm or seed
    asks for it. Values are stored as ``float16``.

    Attributes:
        model: The model, in evaluation mode; its projections may be of any state.
        cache: The cache folder; None for the default one.
        progress: Called with the number of new rows.
        norm: The text trunk's rescaled norm if it has one: features of captions are then those after rescaling.
    """

    model: ClipModel
    cache: Path | None = None
    progress: Progress = silent
    norm: RescaledNorm | None = None

    def whole_images(self, catalog: Catalog) -> tuple[npt.NDArray[np.floating], Int64s]:
        """Features of whole images, as evaluation shows them.

        Returns:
            An array, shape (images, D), and the row in it of each of the catalog's n pairs, shape (n,).
        """
        model = self.model

        def view(row: int) -> Bytes:
            return evaluation_view(read_image(catalog, row), model.image_size, model.resizing)

        def make(rows: Int64s) -> Float32s:
            return self.encode(np.stack(list(parallel_map(view, rows.tolist()))))

        store = self._image_store("whole", (), " ".join(map(str, model.resizing)), catalog)
        return self._rows(store, _contents(catalog), make, "features of images", _IMAGES_AT_ONCE)

    def training_images(
        self, catalog: Catalog, augmentation: Augmentation, views: int, *, halves: bool = False, strong: bool = False
    ) -> KeptImages:
        """Features of the training images: of whole images, of their views, and of the halves of these.

        Args:
            catalog: The training pairs.
            augmentation: How views are cropped; colour and turns are ignored.
            views: The number V of views of each image.
            halves: Whether halves are needed.
            strong: Whether strongly augmented views are needed.

        Raises:
            UserError: Halves are needed, and the image tower cannot encode them alone; or an image cannot be read.
        """
        if halves:
            check_halves(self.model.clip, self.model.image_size)
        if augmentation.colour or (strong and augmentation.strong_colour):
            logger.info("views of kept features keep their colours: augmentation.colour and strong_colour are ignored.")
        if augmentation.turns:
            logger.info(
                "views of kept features are not turned: augmentation.flip_vertical and quarter_turns are ignored."
            )
        kept, size = KeptViews.of(catalog, augmentation, views), self.model.image_size

        def settings(scale: tuple[float, float]) -> str:
            return f"{scale} {augmentation.crop_ratio} {augmentation.flip} {views}"

        def features_of(scale: tuple[float, float]) -> tuple[npt.NDArray[np.floating], Int64s]:
            shown = KeptViews.of(catalog, augmentation.model_copy(update={"crop_scale": scale}), views)

            def make(rows: Int64s) -> Float32s:
                tiles = parallel_map(lambda row: shown.render(read_image(catalog, row), row, size), rows.tolist())
                features = self.encode(np.stack([tile for group in tiles for tile in group]))
                return features.reshape(len(rows), views, -1)

            store = self._image_store("views", (views,), settings(scale), catalog)
            return self._rows(store, contents, make, "features of views", _IMAGES_AT_ONCE)

        def half_features(rows: Int64s) -> Float32s:
            groups = list(
                parallel_map(lambda row: kept.render_halves(read_image(catalog, row), row, size), rows.tolist())
            )
            both = [self.encode(np.stack([tile for group in groups for tile in group[axis]])) for axis in (0, 1)]
            return np.stack(both, axis=1).reshape(len(rows), views, 2, -1)

        contents = _contents(catalog)
        whole, whole_row = self.whole_images(catalog)
        all_views, views_row = features_of(augmentation.crop_scale)
        all_halves, halves_row, grey = None, None, None
        if halves:
            store = self._image_store("halves", (views, 2), settings(augmentation.crop_scale), catalog)
            all_halves, halves_row = self._rows(store, contents, half_features, "features of halves", _IMAGES_AT_ONCE)
            shapes = ((1, size, size // 2, 3), (1, size // 2, size, 3))
            grey = np.concatenate([self.encode(np.full(shape, GREY, dtype=np.uint8)) for shape in shapes])
        strong_views, strong_row = features_of(augmentation.strong_scale) if strong else (None, None)
        return KeptImages(
            *(whole, whole_row, all_views, views_row, all_halves, halves_row, kept.mirrored),
            *(strong_views, strong_row, grey),
        )

    def texts(self, texts: Sequence[str]) -> Float32s:
        """Features of texts, as the model's text trunk gives them; ``float32``, shape (len(texts), D)."""
        keys = np.array([text_key(text) for text in texts], dtype=np.uint64)
        store = self._text_store

        def make(rows: Int64s) -> Float32s:
            new = [texts[row] for row in rows.tolist()]
            # A batch is padded to its longest text, so texts of about equal length share a batch.
            order = sorted(range(len(new)), key=lambda i: len(new[i]))
            features = np.empty((len(rows), *store.shape), dtype=np.float32)
            with self._own_text_trunk(), torch.inference_mode():
                for start in range(0, len(order), _IMAGES_AT_ONCE):
                    part = order[start : start + _IMAGES_AT_ONCE]
                    tokens = self.model.tokenizer([str(new[i]) for i in part])
                    features[part] = self.model.pooled_tokens(tokens).cpu().numpy()
            return features

        values, row = self._rows(store, keys, make, "features of captions", _CAPTIONS_AT_ONCE)
        features = torch.from_numpy(values[row].astype(np.float32))
        if self.norm is not None:
            features = (features - self.norm.mean.cpu()) / self.norm.std.cpu()
        return features.numpy()

    def keep(self, catalog: Catalog, *, captions: bool) -> None:
        """Computes what evaluation reads and what is missing: features of whole images, and perhaps of captions.

        Args:
            catalog: Pairs of any splits.
            captions: Whether captions are kept too.
        """
        self.whole_images(catalog)
        if captions:
            self.texts(list(dict.fromkeys(text for texts in catalog.column("captions") for text in texts)))

    def training_captions(self, catalog: Catalog) -> KeptCaptions:
        """Features of all captions of the training pairs."""
        captions = [caption for row in range(len(catalog)) for caption in catalog.captions(row)]
        distinct = list(dict.fromkeys(captions))
        number = {caption: row for row, caption in enumerate(distinct)}
        tokens = np.array([max(1, self.model.tokenizer.count(caption)) for caption in distinct], dtype=np.int64)
        rows = np.array([number[caption] for caption in captions], dtype=np.int64)
        assert len(rows) == len(Entries.of(catalog))
        return KeptCaptions(self.texts(distinct), rows, tokens)

    @cached_property
    def _text_store(self) -> KeyedRows:
        with self._own_text_trunk(), torch.inference_mode():
            fingerprint = self._fingerprint("text")
            width = self.model.pooled_tokens(self.model.tokenizer(["a"])).shape[1]
        return KeyedRows.of("kept-captions", fingerprint, (width,), self.cache)

    def _own_text_trunk(self) -> AbstractContextManager[None]:
        """A block in which the text trunk is the one before its norm was rescaled."""
        return nullcontext() if self.norm is None else self.norm.undone(self.model.clip)

    def _image_store(self, kind: str, shape: tuple[int, ...], settings: str, catalog: Catalog) -> KeyedRows:
        scale = f" {sorted(catalog.about.intensity.items())}" if catalog.about.intensity else ""
        fingerprint = f"{self.image_fingerprint} {settings}{scale}"
        return KeyedRows.of(f"kept-{kind}", fingerprint, (*shape, self._image_width), self.cache)

    @cached_property
    def image_fingerprint(self) -> str:
        """What identifies the features of an image: a hash of the trunk's weights, image size, and normalisation."""
        model = self.model
        return f"{self._fingerprint('image')} {model.image_size} {model.preprocess['mean']} {model.preprocess['std']}"

    @cached_property
    def _image_width(self) -> int:
        blank = np.zeros((1, self.model.image_size, self.model.image_size, 3), dtype=np.uint8)
        return self.encode(blank).shape[1]

    def _fingerprint(self, tower: Tower) -> str:
        """A hash of a trunk's weights; for the text trunk of the tokenizer too."""
        digest = blake2b(
            f"{VERSION} {tower} {self._tokenizer_facts if tower == 'text' else ''}".encode(), digest_size=16
        )
        for name, tensor in sorted(trunk_state(self.model.clip, tower).items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @property
    def _tokenizer_facts(self) -> str:
        sentence = "The quick brown fox, 12 jumps: 犬。"
        return f"{self.model.tokenizer.context_length} {self.model.tokenizer([sentence]).tolist()}"

    @torch.inference_mode()
    def encode(self, images: Bytes) -> Float32s:
        """The image trunk's pooled output for images of one shape, ``float32``, shape (n, D)."""
        parts = torch.from_numpy(images).split(_IMAGES_AT_ONCE)
        return torch.cat([self.model.pooled_images(part).cpu() for part in parts]).numpy()

    def _rows(
        self,
        store: KeyedRows,
        keys: npt.NDArray[np.uint64],
        make: Callable[[Int64s], Float32s],
        what: str,
        at_once: int,
    ) -> tuple[npt.NDArray[np.floating], Int64s]:
        """The rows of keys in a store, computed where they are missing."""
        if missing := len(store.missing(keys)):
            if missing > at_once:
                size = missing * store.row_bytes / 1e6
                logger.info("%s %s are computed once: %.1f MB in %s.", f"{missing:,}", what, size, store.folder)
            training = self.model.training
            self.model.eval()
            try:
                store.add(
                    keys,
                    lambda rows: _half(make(rows), what),
                    at_once=at_once,
                    progress=lambda done, total: self.progress(what, done, total),
                )
            finally:
                self.model.train(training)
        return store.read(keys)


def text_key(text: str) -> int:
    """A 64-bit hash of a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def _contents(catalog: Catalog) -> npt.NDArray[np.uint64]:
    return catalog.table["content"].to_numpy()


def _half(features: Float32s, what: str) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    if not np.isfinite(half).all():
        raise UserError(f"{what} are not finite numbers of half precision, so they cannot be kept; set renderer=auto.")
    return half
