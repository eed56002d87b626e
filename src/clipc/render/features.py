"""The feature renderer: batches of pooled features that locked trunks gave beforehand, under the plan of pixels."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Float32s, Float64s, Int64s
from clipc.compose.layouts.tiles import OVERLAY, PLAIN, STRONG
from clipc.compose.plan import Plan, Plans
from clipc.compose.policy import Policy
from clipc.compose.streams import rows_uniform
from clipc.errors import UserError
from clipc.render.batch import Batch, Tokenizer, sources
from clipc.render.crop import DRAWS, TRIES
from clipc.render.geometry import marked
from clipc.render.kept_views import HALVES
from clipc.render.texts import names_a_side, text_id, texts

LAYOUTS: Final = ("centre-halves", "first-image", "blend")
"""The layouts whose composites have features."""
CAPTIONS: Final = ("join", "first", "second", "one", "both-orders", "wrong")
"""The caption strategies whose captions have features."""


@dataclass(frozen=True, eq=False)
class KeptImages:
    """The features of n images and of their views; rows of arrays that may hold other images too.

    Attributes:
        whole: Of whole images as evaluation shows them, shape (images, D).
        whole_row: The row in it of each of the n images, ``int64``, shape (n,).
        views: Of V views of each image, shape (images, V, D).
        views_row: As ``whole_row``.
        halves: Of the two halves of each view (:data:`~clipc.render.kept_views.HALVES`), shape (images, V, 2, D); None
            where no composite needs them.
        halves_row: As ``whole_row``; None with ``halves``.
        mirrored: Which views are mirrored; ``bool``, shape (n, V).
        strong: Of V strongly augmented views of each image, as ``views``, mirrored as these; None where none is shown.
        strong_row: As ``whole_row``; None with ``strong``.
        grey: Of grey halves, which stand beside a half that is shown alone, shape (2, D); None with ``halves``.
    """

    whole: npt.NDArray[np.floating]
    whole_row: Int64s
    views: npt.NDArray[np.floating]
    views_row: Int64s
    halves: npt.NDArray[np.floating] | None
    halves_row: Int64s | None
    mirrored: Bools
    strong: npt.NDArray[np.floating] | None = None
    strong_row: Int64s | None = None
    grey: npt.NDArray[np.floating] | None = None


@dataclass(frozen=True, eq=False)
class KeptCaptions:
    """The features of a catalog's captions.

    Attributes:
        features: Of distinct captions, ``float32``, shape (captions, D).
        row: The row in it of each entry (:class:`~clipc.compose.entries.Entries`), ``int64``, shape (entries,).
        tokens: The number of tokens of each distinct caption, ``int64``, shape (captions,).
    """

    features: Float32s
    row: Int64s
    tokens: Int64s

    def joint(self, first: Int64s, second: Int64s) -> Float32s:
        """An approximation of the features of joint captions: the mean of both parts', weighted by their tokens.

        Args:
            first: Entries, shape (n,).
            second: Entries of the second parts, -1 for captions of one part; shape (n,).

        Returns:
            ``float32``, shape (n, D).
        """
        one, other = self.row[first], self.row[np.maximum(second, 0)]
        share = np.where(second < 0, 0, self.tokens[other] / (self.tokens[one] + self.tokens[other]))
        weight: Float32s = share.astype(np.float32)[:, None]
        return np.add((1 - weight) * self.features[one], weight * self.features[other], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class FeatureRenderer:
    """Makes batches of features from plan rows; it reads no image.

    Order, partners, captions and ids are those of the other renderers. A plain example shows one of the image's views,
    or the whole image. A composite's features are the mean of those of its two halves; of a half that is shown alone
    the other one is grey. An image that composites must not cut, or of which they must keep a marked region, stands in
    one with the features of a view of the whole image.

    Attributes:
        plans: The plans to render.
        tokenizer: The model's tokenizer.
        images: The features of the training images.
        captions: The features of the training captions; None where the text tower is trained on tokens.
    """

    plans: Plans
    tokenizer: Tokenizer
    images: KeptImages
    captions: KeptCaptions | None

    @property
    def catalog(self) -> Catalog:
        """The training pairs."""
        return self.plans.catalog

    def render(self, start: int, stop: int) -> Batch:
        """The batch of the plan's rows ``[start, stop)``; ``images``, and perhaps ``tokens``, are features."""
        plan = self.plans.rows(start, stop)
        first, second = self._entries(plan)
        if self.captions is None:
            batch_texts = texts(self.plans, plan, self.tokenizer)
            tokens, ids, shortened = self.tokenizer(batch_texts.captions), batch_texts.ids, batch_texts.shortened
        else:
            parts = _caption_parts(self.plans.policy.caption, plan, first, second)
            tokens, shortened = torch.from_numpy(self.captions.joint(*parts)), 0
            second_ids = np.where(second < 0, -1, self._text_ids[np.maximum(second, 0)])
            ids = torch.from_numpy(np.stack([self._text_ids[first], second_ids], axis=1))
        draws = rows_uniform(self.plans.seed, "crop", start, stop, 2 * DRAWS).reshape(len(plan), 2, DRAWS)
        return Batch(
            images=torch.from_numpy(self._image_features(plan, draws[..., 2 * TRIES], first, second)),
            tokens=tokens,
            sources=sources(self.catalog, plan),
            texts=ids,
            treated=int((plan.layout != PLAIN).sum()),
            shortened=shortened,
        )

    def _entries(self, plan: Plan) -> tuple[Int64s, Int64s]:
        """The entries of both captions of each row, the second -1 for none."""
        start = self.plans.entries.first
        row, choice = plan.second_caption
        return start[plan.left] + plan.left_caption, np.where(row < 0, -1, start[np.maximum(row, 0)] + choice)

    def _image_features(self, plan: Plan, chance: Float64s, first: Int64s, second: Int64s) -> Float32s:
        """The features of all rows, shape (n, D); ``chance`` holds random numbers in [0, 1), shape (n, 2)."""
        images, rows = self.images, np.stack([plan.left, np.maximum(plan.right, 0)], axis=1)
        halved, strong = np.isin(plan.layout, HALVES), plan.layout == STRONG
        whole = np.broadcast_to(~(halved | strong)[:, None, None], (*rows.shape, 1))
        allowed = np.concatenate([self._allowed(rows, first, second), whole], axis=2)
        # Of the allowed views the one at this share of their number.
        number = (chance * allowed.sum(axis=2)).astype(np.int64)
        view = (allowed.cumsum(axis=2) <= number[..., None]).sum(axis=2)

        def whole_or_view(which: Bools, side: int) -> Float32s:
            row, chosen = rows[which, side], view[which, side]
            last = images.views.shape[1]
            features = images.views[images.views_row[row], np.minimum(chosen, last - 1)].astype(np.float32)
            features[chosen == last] = images.whole[images.whole_row[row[chosen == last]]]
            return features

        features = np.empty((len(plan), images.whole.shape[1]), dtype=np.float32)
        features[~halved] = whole_or_view(~halved, 0)
        if strong.any():
            assert images.strong is not None
            assert images.strong_row is not None
            features[strong] = images.strong[images.strong_row[rows[strong, 0]], view[strong, 0]]
        blended = plan.layout == OVERLAY
        features[blended] = (features[blended] + whole_or_view(blended, 1)) / 2
        if halved.any():
            assert images.halves is not None
            assert images.halves_row is not None
            half = np.searchsorted(HALVES, plan.layout[halved])[:, None]
            parts = images.halves[images.halves_row[rows[halved]], view[halved], half].astype(np.float32)
            for side, uncut in enumerate(self._uncut(plan).T):
                parts[uncut[halved], side] = whole_or_view(halved & uncut, side)
            if (alone := plan.half_alone[halved]).any():
                assert images.grey is not None
                parts[alone, 1] = images.grey[half[alone, 0]]
            features[halved] = parts.mean(axis=1)
        return features

    def _uncut(self, plan: Plan) -> Bools:
        """Which images of composites show more than a centre half: all of the image, or a region; shape (n, 2)."""
        rows = np.stack([plan.left, np.where(plan.right < 0, plan.left, plan.right)], axis=1)
        entries = self.plans.entries.first[rows] + np.stack([plan.left_caption, plan.right_caption], axis=1)
        whole, region = marked(self.plans, rows, entries)
        return whole | np.isfinite(region).all(axis=2)

    def _allowed(self, rows: npt.NDArray[np.integer], first: Int64s, second: Int64s) -> Bools:
        """Which views may be shown: mirrored ones only where no caption names a side; shape (n, 2, V)."""
        mirrored = self.images.mirrored[rows]
        if not mirrored.any():
            return ~mirrored
        sided = self._names_a_side[first] | ((second >= 0) & self._names_a_side[np.maximum(second, 0)])
        if (rules := self.plans.inputs.compiled_rules) is not None:
            sided |= ~rules.mirror[first] | ((second >= 0) & ~rules.mirror[np.maximum(second, 0)])
        return ~(mirrored & sided[:, None, None])

    @cached_property
    def _captions(self) -> list[str]:
        catalog = self.catalog
        return [caption for row in range(len(catalog)) for caption in catalog.captions(row)]

    @cached_property
    def _text_ids(self) -> Int64s:
        return np.array([text_id(caption) for caption in self._captions], dtype=np.int64)

    @cached_property
    def _names_a_side(self) -> Bools:
        return np.array([names_a_side(caption) for caption in self._captions], dtype=np.bool_)


def check_policy(policy: Policy, captions_kept: bool) -> None:
    """Checks that the examples of a policy have features.

    Args:
        policy: The policy.
        captions_kept: Whether captions too are features.

    Raises:
        UserError: They have none.
    """
    if policy.rho == 0:
        return
    if policy.treatment != "augment" and policy.layout not in LAYOUTS:
        raise _no_features(f"policy.layout={policy.layout} has none (there are {', '.join(LAYOUTS)})")
    if captions_kept and policy.composes and policy.caption not in CAPTIONS:
        raise _no_features(
            f"policy.caption={policy.caption} has none where the text tower is locked ({', '.join(CAPTIONS)} have)"
        )


def _no_features(problem: str) -> UserError:
    return UserError(f"renderer=features knows no features of this policy's composites: {problem}; set renderer=auto.")


def needs_halves(policy: Policy) -> bool:
    """Whether a policy's composites are made of kept halves."""
    return policy.rho > 0 and policy.treatment != "augment" and policy.layout == "centre-halves"


def needs_strong(policy: Policy) -> bool:
    """Whether a policy shows strongly augmented views."""
    return policy.rho > 0 and policy.treatment == "augment"


def _caption_parts(strategy: str, plan: Plan, first: Int64s, second: Int64s) -> tuple[Int64s, Int64s]:
    """The entries of the captions that an example's caption is made of, the second -1 for none."""
    composed = second >= 0
    use_second = composed & ((strategy == "second") | ((strategy == "one") & plan.swapped))
    if strategy in ("first", "second", "one"):
        return np.where(use_second, second, first), np.full_like(second, -1)
    return first, second
