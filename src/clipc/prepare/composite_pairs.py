"""Composition as a dataset, for training loops with their own transform, tokenizer and loader."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final, SupportsIndex

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.utils.data import Dataset

from clipc.catalog.catalog import Catalog
from clipc.catalog.images.decode import DecodeError
from clipc.compose.plan import Plan, Plans
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.prepare.plans import make_plans
from clipc.render.batch import GREY, sources
from clipc.render.context import Context
from clipc.render.crop import Augmentation
from clipc.render.geometry import geometry
from clipc.render.tensor_tiles import paste_tiles
from clipc.render.texts import text_id

_PAPER: Final = Policy()
_WHOLE_IMAGE: Final = Augmentation(crop_scale=(1, 1), crop_ratio=(1e-6, 1e6), flip=0)
"""Makes views of whole images, because the crop inside the caller's transform is not known."""


class CompositePairs(Dataset[tuple[torch.Tensor, Any]]):
    """Image-caption pairs of a catalog, some of them composites (CLIP-C, arXiv 2407.01408), as a map-style dataset.

    Item i is (image, text), as in open_clip's own datasets. In each epoch every pair is the first source of exactly one
    item, and the order is random. So ``DataLoader(pairs, shuffle=False)`` is already shuffled; other samplers work too.
    Call :meth:`set_epoch` before each epoch, or all epochs will have the same composites in the same order. The epoch
    is stored in shared memory, so persistent workers see it too.

    The transform is applied to each source separately, so each half has its own random crop; then windows of both
    results are joined. The crop inside the transform is not known. Therefore boxes (of the layout ``region`` and of
    rules) are applied as if the transform showed the whole image, which is nearly right if it crops little. A rule's
    ``mirror: false`` has no effect on the transform: use one without random flips.

    An image that cannot be read becomes grey, with a warning that names the image.

    Attributes:
        plans: The plan of each epoch; item i of epoch e is row e * len + i.
    """

    def __init__(
        self,
        catalog: Catalog,
        transform: Callable[[Image.Image], torch.Tensor],
        tokenizer: Any = None,
        *,
        policy: Policy = _PAPER,
        seed: int = 0,
    ) -> None:
        """Computes the tables that the policy needs (rules, neighbours, groups); rows are planned when items are read.

        Args:
            catalog: The pairs of one split: ``open_catalog("pairs.csv").split("train")``. Partners come from here.
            transform: Turns an RGB image into a square tensor (3, S, S), floating point or ``uint8``, such as the
                training transform of ``open_clip.create_model_and_transforms``.
            tokenizer: A tokenizer from ``open_clip.get_tokenizer`` or transformers. If a joint caption is too long for
                it, both parts are shortened. With None, items have captions as text, not shortened.
            policy: How often and how to compose.
            seed: The run's seed; the same on all ranks.

        Raises:
            UserError: The catalog has several splits, the policy is a control that needs clipc's own views, or as for
                :func:`clipc.prepare.plans.make_plans`.
        """
        if len(catalog.splits) > 1:
            raise UserError(
                f"the catalog has the splits {', '.join(catalog.splits)}, and partners must not come from pairs that "
                "are for evaluation; pass one of them, such as catalog.split('train')."
            )
        if policy.treatment != "compose":
            raise UserError(
                f"the policy's treatment {policy.treatment!r} is a control that needs clipc's own crops instead of a "
                "transform; use clipc.train_model for it."
            )
        if policy.mixing != "rows":
            raise UserError(
                "policy.mixing=batches needs to know where batches begin, which this dataset does not; leave it out."
            )
        if policy.until < 1:
            raise UserError(
                "policy.until is a share of a run whose length is not known here; leave it out, and go on with plain "
                "pairs when you like."
            )
        self.plans: Plans = make_plans(policy, catalog, seed)
        self._transform = transform
        self._context = Context(tokenizer)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.plans.catalog)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, from 0; loader workers use it from their next item on."""
        self._epoch.fill_(epoch)

    def sources(self, rows: npt.ArrayLike) -> torch.Tensor:
        """The ids of the first and second image of items, -1 for none; an id is the first catalog row with that image.

        Args:
            rows: The number of an item, or several numbers.

        Returns:
            ``int64``, shape (2,) for one item, (n, 2) for several.
        """

        def ids(plan: Plan) -> list[int]:
            return sources(self.plans.catalog, plan)[0].tolist()

        return self._ids(rows, ids)

    def texts(self, rows: npt.ArrayLike) -> torch.Tensor:
        """The ids of the first and second caption of items, -1 for none; equal captions have equal ids.

        :func:`clipc.shared_sources` finds false negatives from these ids and those of :meth:`sources`.

        Args:
            rows: The number of an item, or several numbers.

        Returns:
            ``int64``, shape (2,) for one item, (n, 2) for several.
        """

        def ids(plan: Plan) -> tuple[int, int]:
            first, second = self._captions(plan)
            return text_id(first), -1 if second is None else text_id(second)

        return self._ids(rows, ids)

    def __getitem__(self, row: SupportsIndex) -> tuple[torch.Tensor, Any]:
        number, plan = self._plan_row(row)
        image = self._image(int(plan.left[0]))
        first, second = self._captions(plan)
        if second is not None:
            tiles = geometry(self.plans, plan, number, _WHOLE_IMAGE).tiles
            second_visible = bool((tiles.place[0, 1, 2:] > tiles.place[0, 1, :2]).all())
            other = self._image(int(plan.right[0])) if second_visible else image
            image = paste_tiles(image[None], other[None], tiles)[0]
        wording = self.plans.wordings[int(plan.wording[0])]
        text, _ = self._context.caption(first, second, wording, int(plan.layout[0]), bool(plan.swapped[0]))
        return image, text if self._context.tokenizer is None else self._context.tokens(text)

    def _plan_row(self, row: SupportsIndex) -> tuple[int, Plan]:
        number = int(self._epoch) * len(self) + range(len(self))[row]
        return number, self.plans.rows(number, number + 1)

    def _ids(self, rows: npt.ArrayLike, ids: Callable[[Plan], Sequence[int]]) -> torch.Tensor:
        numbers = np.atleast_1d(np.asarray(rows)).tolist()
        table = torch.tensor([ids(self._plan_row(row)[1]) for row in numbers], dtype=torch.int64).reshape(-1, 2)
        return table if np.ndim(rows) else table[0]

    def _captions(self, plan: Plan) -> tuple[str, str | None]:
        catalog, (second, other) = self.plans.catalog, plan.second_caption
        first = catalog.caption(int(plan.left[0]), int(plan.left_caption[0]))
        return first, catalog.caption(int(second[0]), int(other[0])) if second[0] >= 0 else None

    def _image(self, row: int) -> torch.Tensor:
        catalog = self.plans.catalog
        try:
            image = Image.fromarray(catalog.image(row))
        except (OSError, DecodeError) as error:
            width, height = catalog.sizes[row].tolist()
            warnings.warn(f"the image of {catalog.keys[row]!r} is shown as grey: {error}", stacklevel=3)
            image = Image.new("RGB", (width, height), (GREY, GREY, GREY))
        view: Any = self._transform(image)
        if not isinstance(view, torch.Tensor) or view.ndim != 3 or view.shape[1] != view.shape[2]:
            kind = tuple(view.shape) if isinstance(view, torch.Tensor) else type(view).__name__
            raise UserError(f"the transform must give square tensors (3, S, S), not {kind}; add a crop or a resize.")
        return view
