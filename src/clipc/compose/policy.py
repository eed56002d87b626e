"""The policy: what share of training examples is composed, and how."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clipc.compose.captions import CONJUNCTION
from clipc.compose.layout import LAYOUTS
from clipc.compose.partner import PARTNERS
from clipc.errors import unknown_name


class Policy(BaseModel):
    """How a plan treats the rows that its mask picks out.

    CLIP-C (arXiv 2407.01408) composes centre halves, joins captions by "and", and draws partners at random
    from the whole training set. The paper's rate and axis policy are not public; the defaults of ``rho``
    and ``axis`` are ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rho: float = Field(default=0.3, ge=0, le=1, description="Share of examples that are treated (0: plain CLIP).")
    treatment: Literal["compose", "augment"] = Field(
        default="compose",
        description="What happens to a treated example: it becomes a composite, or (the control) it is shown "
        "alone under a stronger augmentation.",
    )
    layout: str = Field(default="centre-halves", description="How two views are joined into one picture.")
    axis: Literal["random", "left-right", "top-bottom"] = Field(
        default="random", description="Where the two halves stand; random draws one of the two for each composite."
    )
    partner: str = Field(default="random", description="How the second pair of a composite is chosen.")
    joiner: str = Field(default=CONJUNCTION, description="What stands between the two captions.")

    @field_validator("layout")
    @classmethod
    def _known_layout(cls, name: str) -> str:
        if name not in LAYOUTS:
            raise ValueError(str(unknown_name("layout", name, LAYOUTS)))
        return name

    @field_validator("partner")
    @classmethod
    def _known_partner(cls, name: str) -> str:
        if name not in PARTNERS:
            raise ValueError(str(unknown_name("partner policy", name, PARTNERS)))
        return name
