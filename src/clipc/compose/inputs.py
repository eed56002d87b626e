"""Tables made beforehand that a plan depends on beside catalog, policy and seed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clipc.compose.partners.pools import Pools
from clipc.compose.similarity.lookalike import Lookalikes

if TYPE_CHECKING:
    from clipc.compose.rules.law import Law


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a policy needs to know of the training pairs; each is None where the policy does without.

    Made once for all epochs by :func:`clipc.prepare.plans.make_plans`.

    Attributes:
        pools: From where partners are drawn: neighbours, or groups; every pair where it is None.
        vectors: Unit vectors that similarity is measured by, ``float32``, shape (n, d).
        regions: What of each image is to be kept, as fractions of its sides, NaN where nothing is marked;
            x0, y0, x1, y1, ``float32``, shape (n, 4).
        alike: Tells which pictures are near copies of each other, which never become partners.
        law: The expert's rules, bound to these pairs.
    """

    pools: Pools | None = None
    vectors: npt.NDArray[np.float32] | None = None
    regions: npt.NDArray[np.float32] | None = None
    alike: Lookalikes | None = None
    law: "Law | None" = None
