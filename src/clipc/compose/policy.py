"""The policy: what share of training examples is composed, and how."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from clipc.compose.captions.joint import Wording
from clipc.compose.layouts import LAYOUTS
from clipc.compose.layouts.tiles import Axis, axis_of
from clipc.compose.rules.read import read_rules
from clipc.compose.rules.schema import Rules
from clipc.errors import unknown_name


def _read(given: Any) -> Any:
    return read_rules(given) if isinstance(given, str) else given


class Policy(BaseModel):
    """How a plan treats the rows that its mask picks out.

    CLIP-C (arXiv 2407.01408) composes centre halves, joins captions by "and", and draws partners at random
    from the whole training set: that is what the defaults are. The paper's rate and axis policy are not public; the
    defaults of ``rho`` and ``axis`` are ours. The recipes that ship depart from it where we measured something better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rho: float = Field(default=0.3, ge=0, le=1, description="Share of examples that are treated (0: plain CLIP).")
    treatment: Literal["compose", "augment"] = Field(
        default="compose",
        description="What happens to a treated example: it becomes a composite, or (the control) it is shown "
        "alone under a stronger augmentation.",
    )
    layout: str = Field(default="centre-halves", description="How two views are joined into one picture.")
    axis: Annotated[Literal["random", Axis], BeforeValidator(axis_of)] = Field(
        default="random",
        description="Where the two halves stand; random draws one of the two for each composite. Like a rules file it "
        "may name the cut instead: vertical, horizontal.",
    )
    region: str | None = Field(
        default=None,
        description="For the layout 'region': the column with the box to keep, or 'auto': what the reference "
        "model finds most relevant to the caption.",
    )
    caption: Literal["join", "spatial", "both-orders", "one", "first", "second", "wrong"] = Field(
        default="join",
        description="How two captions become one: joined in the order of the images; with words that say where each "
        "half stands; in either order; or, as controls, only one of them, or the second one taken from a third pair.",
    )
    joiner: str | None = Field(
        default=None, description="What stands between the two captions; by their language if null (' and ', 'と')."
    )
    template: str | None = Field(default=None, description="The joint caption, as '{a} beside {b}'.")
    partner: Literal["random", "nearest", "diverse"] = Field(
        default="random",
        description="How the second pair is chosen: any, one of the nearest, or the least similar of some.",
    )
    group: str | None = Field(
        default=None,
        description="A column whose value partners must share; auto: the main column of labels, where there is one and "
        "its classes are not too small.",
    )
    neighbours: int = Field(default=10, ge=1, description="How many of the nearest pairs may become partners.")
    draws: int = Field(default=4, ge=2, description="Of how many drawn pairs a diverse partner is the least similar.")
    pairing: Literal["dynamic", "fixed"] = Field(
        default="dynamic", description="New partners in every epoch, or the same ones throughout."
    )
    embedding: str = Field(
        default="captions",
        description="What similarity is measured by: the captions' TF-IDF, 'column:NAME', or a model's folder.",
    )
    embedding_of: Literal["image", "text", "mean"] = Field(
        default="mean", description="Which of a model's vectors similarity is measured by."
    )
    reference: str | None = Field(default=None, description="The folder of the model that finds regions by itself.")
    rules: Annotated[Rules | None, BeforeValidator(_read)] = Field(
        default=None, description="An expert's rules for what may be composed: a file, or one that ships."
    )

    @field_validator("layout")
    @classmethod
    def _known_layout(cls, name: str) -> str:
        if name not in LAYOUTS:
            raise ValueError(str(unknown_name("layout", name, LAYOUTS)))
        return name

    @model_validator(mode="after")
    def _complete(self) -> "Policy":
        if self.layout == "region" and self.region is None:
            raise ValueError("layout region needs to know what to keep: set region to a column with boxes, or to auto")
        if self.region is not None and self.layout != "region":
            raise ValueError("region names what the layout 'region' keeps: set layout to region, or leave region out")
        if self.region == "auto" and self.reference is None:
            raise ValueError("region auto needs a model that finds what is relevant: set reference to its folder")
        return self

    @property
    def wording(self) -> Wording:
        """How captions are joined where no rule says otherwise."""
        return Wording("join" if self.caption == "wrong" else self.caption, self.joiner, self.template)
