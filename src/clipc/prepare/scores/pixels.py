"""Embeddings of composites from their pixels and joint captions: for every model, and every layout."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from clipc.compose.arrays import Bytes, Float32s, Int32s, Int64s
from clipc.compose.captions.fit import fit, shorten
from clipc.compose.entries import Entries
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.tiles import PLAIN
from clipc.compose.plan import Plan, Plans
from clipc.models.model import ClipModel
from clipc.prepare.scores.composites import Composites
from clipc.progress import Progress, silent
from clipc.render.choose import choose_renderer, make_renderer
from clipc.render.crop import Augmentation
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer

_AT_ONCE = 128
WHOLE = Augmentation(crop_scale=(1, 1), flip=0)
"""Views as large as they can be, in the same place for every composite."""


@dataclass(frozen=True, eq=False)
class FixedPlans(Plans):
    """Plans whose rows are given, so that renderers make any composites.

    Attributes:
        plan: The rows.
    """

    plan: Plan = field(kw_only=True)

    @classmethod
    def of(cls, plans: Plans, composites: Composites) -> "FixedPlans":
        """Plans whose rows are composites; their captions are those of the composites' images.

        Args:
            plans: The plans with the pairs, policy and tables.
            composites: The composites.
        """
        first, zero = plans.entries.first, np.zeros(len(composites), dtype=np.int32)
        shown = replace(
            Plan.plain(composites.left, zero, find_layout(plans.policy.layout).all_shapes),
            right=composites.right,
            left_caption=_choice(composites.first, first[composites.left], plans.entries.counts[composites.left]),
            right_caption=_choice(composites.second, first[composites.right], plans.entries.counts[composites.right]),
            layout=composites.layout,
            swapped=composites.swapped,
            wording=composites.wording,
        )
        return cls.showing(plans, shown)

    @classmethod
    def showing(cls, plans: Plans, plan: Plan) -> "FixedPlans":
        """Plans with some rows, in place of those of ``plans``."""
        policy = plans.policy.model_copy(update={"added": False, "halves": 0.0})
        return cls(plans.catalog, policy, plans.seed, plans.inputs, plan=plan)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("fixed plans stay in their process")

    def rows(self, start: int, stop: int) -> Plan:
        """The rows ``[start, stop)``."""
        return self.plan[start:stop]


@dataclass(frozen=True, eq=False)
class PixelCompositeEncoder:
    """Embeds composites by rendering them, from the largest view of each image.

    Attributes:
        model: The reference model, in evaluation mode.
        name: What identifies the model's weights.
        progress: Called with the number of images and texts that are embedded.
    """

    model: ClipModel
    name: str
    progress: Progress = silent
    _renderers: dict[str, WorkerRenderer | ResidentRenderer] = field(default_factory=dict[str, Any], repr=False)

    @property
    def scale(self) -> float:
        """The model's inverse temperature."""
        return float(self.model.logit_scale.detach().exp())

    @property
    def fingerprint(self) -> str:
        """What the embeddings depend on, the pairs apart."""
        return f"pixels {self.name} {self.model.image_size}"

    def halves(self, plans: Plans, rows: Int32s, layouts: Bytes) -> Float32s:
        """See :class:`~clipc.prepare.scores.encoders.CompositeEncoder`: a half beside grey, else the whole view."""
        layout = find_layout(plans.policy.layout)
        shown = np.where(layout.has_axes, layouts, PLAIN).astype(np.uint8)
        keys, number = np.unique(rows.astype(np.int64) * 256 + shown, return_inverse=True)
        alone = Plan.plain((keys // 256).astype(np.int32), np.zeros(len(keys), dtype=np.int32), layout.all_shapes)
        alone = replace(alone, layout=(keys % 256).astype(np.uint8))
        return self._embed_images(FixedPlans.showing(plans, alone), "halves scored")[number]

    def images(self, plans: Plans, composites: Composites) -> Float32s:
        """See :class:`~clipc.prepare.scores.encoders.CompositeEncoder`."""
        return self._embed_images(FixedPlans.of(plans, composites), "composites scored")

    def captions(self, plans: Plans, entries: Int64s) -> Float32s:
        """See :class:`~clipc.prepare.scores.encoders.CompositeEncoder`."""
        tokenizer, caption = self.model.tokenizer, caption_of_entry(plans)
        texts = [shorten(caption(entry), tokenizer.count, tokenizer.max_text_tokens) for entry in entries.tolist()]
        return self._embed_texts(texts, "captions scored")

    def joint_captions(self, plans: Plans, composites: Composites) -> Float32s:
        """See :class:`~clipc.prepare.scores.encoders.CompositeEncoder`."""
        return self._embed_texts(list(joint_texts(plans, composites, self.model.tokenizer)), "joint captions scored")

    def _embed_images(self, plans: FixedPlans, what: str) -> Float32s:
        renderer, parts, total = self._renderer(plans), list[Float32s](), len(plans.plan)
        for start in range(0, total, _AT_ONCE):
            stop = min(start + _AT_ONCE, total)
            with torch.inference_mode():
                parts.append(self.model.encode_image(renderer.render(start, stop).images).cpu().numpy())
            self.progress(what, stop, total)
        return np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)

    def _renderer(self, plans: FixedPlans) -> WorkerRenderer | ResidentRenderer:
        """A renderer of the rows; the images of a catalog are decoded once if they fit into memory."""
        key, size, device = plans.catalog.fingerprint, self.model.image_size, self.model.device
        if key not in self._renderers:
            choice = choose_renderer("auto", plans, WHOLE, size, device=device, epochs=2)
            tokenizer: Any = _NoTokens()
            self._renderers[key] = make_renderer(choice, plans, WHOLE, size, tokenizer, self.progress)
        return replace(self._renderers[key], plans=plans)

    def _embed_texts(self, texts: Sequence[str], what: str) -> Float32s:
        # A batch is padded to its longest text, so texts of about equal length share a batch.
        distinct = sorted(dict.fromkeys(texts), key=len)
        parts = list[Float32s]()
        for start in range(0, len(distinct), _AT_ONCE):
            with torch.inference_mode():
                parts.append(self.model.encode_text(distinct[start : start + _AT_ONCE]).cpu().numpy())
            self.progress(what, min(start + _AT_ONCE, len(distinct)), len(distinct))
        rows = {text: row for row, text in enumerate(distinct)}
        return np.concatenate(parts)[[rows[text] for text in texts]] if parts else np.zeros((0, 1), dtype=np.float32)


def _choice(entries: Int64s, first: Int64s, counts: Int64s) -> Int32s:
    """The index of each caption among those of an image's pair; the first one's, if it belongs to another pair."""
    choice = entries - first
    return np.where((choice >= 0) & (choice < counts), choice, 0).astype(np.int32)


class _NoTokens:
    """A tokenizer for renderers whose captions nobody reads."""

    context_length = 1
    max_text_tokens = 1 << 30

    def count(self, text: str) -> int:
        """No text is too long."""
        return 0

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """No tokens."""
        return torch.zeros((len(texts), 1), dtype=torch.int64)


def joint_texts(plans: Plans, composites: Composites, tokenizer: Any) -> Iterator[str]:
    """The joint captions of composites, shortened to the tokenizer's context length.

    Args:
        plans: The plans with the pairs and the wordings.
        composites: The composites.
        tokenizer: As for :func:`clipc.render.texts.texts`.
    """
    caption, wordings = caption_of_entry(plans), plans.wordings
    columns = (composites.first, composites.second, composites.layout, composites.swapped, composites.wording)
    for first, second, layout, swapped, wording in zip(*(column.tolist() for column in columns), strict=True):
        joined = partial(wordings[wording].text, shape_index=layout, swapped=swapped)
        yield fit(caption(first), caption(second), joined, tokenizer.count, tokenizer.max_text_tokens)[0]


def caption_of_entry(plans: Plans) -> Callable[[int], str]:
    """A function from an entry of the plans' catalog to its caption."""
    row, first, catalog = Entries.of(plans.catalog).rows(), plans.entries.first, plans.catalog
    return lambda entry: catalog.caption(int(row[entry]), entry - int(first[row[entry]]))
