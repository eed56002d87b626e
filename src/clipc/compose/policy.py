"""The policy: the share of training examples that are composed, and how they are composed."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from clipc.catalog.sources.grid import TABLE_SUFFIXES
from clipc.compose.captions.joint import Wording
from clipc.compose.captions.strategies import STRATEGIES
from clipc.compose.layouts import LAYOUTS, find_layout
from clipc.compose.layouts.tiles import Axis, axis_of
from clipc.compose.rules.read import read_rules
from clipc.compose.rules.schema import Rules
from clipc.compose.score import BASELINE, Score
from clipc.errors import unknown_name
from clipc.extension import UntrustedName, fingerprint, is_object_reference
from clipc.files import expand_home
from clipc.identity import ALWAYS, Neutral

COLUMN: Final = "column:"
"""The prefix of a value of ``embedding`` or ``weights`` that names a column."""

PARTNERS: Final = ("random", "nearest", "diverse", "self")
"""The built-in partner strategies."""

GONE: Final = {"added": False, "halves": 0}
"""Keys of earlier versions that are gone, with the values under which they did nothing."""


def _keep_untrusted(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    plain = validate(value)
    return value if isinstance(value, UntrustedName) else plain


Name = Annotated[str, WrapValidator(_keep_untrusted)]
"""The type of a recipe's or study's key that may name user code; an untrusted name stays marked."""


PathOrName = Annotated[str, AfterValidator(expand_home)]
"""The type of a recipe's key that may name a file or a folder, which ``~`` may begin."""


def names_file(value: str | None) -> bool:
    """Whether a value of ``weights`` or ``region`` names a file, by its suffix: a table of keys and values."""
    return value is not None and Path(value).suffix.lower() in TABLE_SUFFIXES


def _read_if_named(value: Any) -> Any:
    return read_rules(expand_home(value)) if isinstance(value, str) else value


_RulesOrName = Annotated[Rules | None, BeforeValidator(_read_if_named, json_schema_input_type=str | Rules | None)]


class Policy(BaseModel):
    """The share of a plan's rows that are treated, and what happens to a treated row.

    The defaults follow CLIP-C (arXiv 2407.01408): centre halves, captions joined by "and", and partners drawn at
    random from the whole training set. The paper's rate and axis policy are not public, so the defaults of ``rho`` and
    ``axis`` are our own. The built-in recipes set other values where our measurements favour them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rho: Annotated[float, Neutral(0.0)] = Field(default=0.3, ge=0, le=1)
    """Share of examples that are treated (0: plain CLIP)."""
    until: Annotated[float, Neutral(1.0)] = Field(default=1.0, gt=0, le=1)
    """Share of the run after which no example is treated, so that training ends on plain pairs (1: to the end)."""
    mixing: Annotated[Literal["rows", "batches"], Neutral("rows")] = "rows"
    """What rho is a share of: examples, so that batches are mixed (rows), or whole batches, so that a batch has
    composites alone or plain pairs alone."""
    treatment: Annotated[Literal["compose", "augment", "half"], ALWAYS] = "compose"
    """What happens to a treated example: it becomes a composite, or (controls) it is shown alone, under a stronger
    augmentation (augment) or as one half of a composite, the other half grey (half)."""
    layout: Annotated[Name, ALWAYS] = "centre-halves"
    """How two views are joined into one image; module:object for your own."""
    axis: Annotated[Literal["random", Axis], BeforeValidator(axis_of), ALWAYS] = "random"
    """Where the two halves stand; random draws one of the two for each composite. The direction of the cut,
    vertical or horizontal, is accepted too."""
    region: Annotated[PathOrName | None, Neutral(None)] = None
    """For the layout 'region': the column with the box to keep, a table (CSV, Parquet) of keys and boxes, or
    'auto': the region most relevant to the caption, according to the reference model."""
    caption: Annotated[Name, ALWAYS] = "join"
    """How two captions become one. 'join' joins them in the order of the images, 'spatial' says where each half stands,
    'both-orders' joins them in a random order. Controls: 'one', 'first' and 'second' use one caption, 'wrong' takes the
    second caption from a third pair. module:function for your own."""
    joiner: Annotated[str | None, Neutral(None)] = None
    """The text between the two captions; chosen by their language if null (' and ', 'と')."""
    template: Annotated[str | None, Neutral(None)] = None
    """The joint caption, as '{a} beside {b}'."""
    partner: Annotated[Name, Neutral("random")] = "random"
    """How the second pair is chosen: any pair (random), one of the nearest, or the least similar of a few random pairs
    (diverse); module:function for your own table of partners. The control 'self' joins two views of one image under
    its one caption: the scale and the seam of a composite without a second meaning."""
    group: Annotated[str | None, Neutral(None)] = None
    """A column whose value partners must share; auto: the main column of labels, if there is one and its classes
    are not too small."""
    weights: Annotated[PathOrName | None, Neutral(None)] = None
    """How often each pair becomes a partner, in proportion: 'column:NAME', or a table (CSV, Parquet) of keys and
    weights. A pair of weight 0 is never a partner; a pair without a weight has weight 1. A file that clipc audit writes
    has weights that depend on the groups of both pairs. Null: all pairs equally."""
    neighbours: Annotated[int, ALWAYS] = Field(default=10, ge=1)
    """How many of the nearest pairs may become partners."""
    draws: Annotated[int, ALWAYS] = Field(default=4, ge=2)
    """The number of random pairs among which a diverse partner is the least similar."""
    pairing: Annotated[Literal["dynamic", "fixed"], Neutral("dynamic")] = "dynamic"
    """New partners in every epoch, or the same ones throughout."""
    embedding: Annotated[PathOrName, ALWAYS] = "captions"
    """The vectors that similarity compares: the captions' TF-IDF, 'column:NAME', or embeddings by a model (folder)."""
    embedding_of: Annotated[Literal["image", "text", "mean"], ALWAYS] = "mean"
    """The model's embeddings that similarity compares: of images, of captions (text), or the mean of both."""
    reference: Annotated[PathOrName | None, Neutral(None)] = None
    """The folder of the model that finds the regions for region=auto."""
    rules: Annotated[_RulesOrName, Neutral(None)] = None
    """An expert's rules on what may be composed: a rules file, or the name of a built-in preset."""

    score: Score = Score()
    """The quality of candidate composites, by which the plan keeps or draws them."""

    @model_validator(mode="before")
    @classmethod
    def _drop_gone_keys(cls, value: Any) -> Any:
        """Drops keys that are gone and did nothing, which the recipes of old runs and records hold."""
        if not isinstance(value, dict):
            return value
        for key in GONE.keys() & value.keys():
            if value[key] != GONE[key]:
                raise ValueError(f"the key {key} is gone, as it improved no result; leave it out")
        return {key: kept for key, kept in value.items() if key not in GONE}

    @field_validator("layout", "caption", "partner")
    @classmethod
    def _valid_name(cls, name: str, info: ValidationInfo) -> str:
        field = str(info.field_name)
        names = {"layout": LAYOUTS, "caption": STRATEGIES, "partner": PARTNERS}[field]
        if name not in names and not is_object_reference(name):
            raise ValueError(str(unknown_name(field, name, names)))
        return name

    @model_validator(mode="after")
    def _consistent(self) -> "Policy":
        if self.partner == "self" and self.caption != "first":
            raise ValueError("partner self shows two views of one image under its one caption: set caption to first")
        if self.score.by is not None and self.partner == "self":
            raise ValueError("partner self leaves no partners to choose among: leave score out")
        if self.treatment == "half" and self.layout in LAYOUTS and not LAYOUTS[self.layout].has_axes:
            raise ValueError(
                f"treatment half shows one half of a composite, and layout {self.layout} has no halves: set layout to "
                "centre-halves, squeezed-halves or region"
            )
        if self.weights is not None and not self.weights.startswith(COLUMN) and not names_file(self.weights):
            raise ValueError(f"weights must be column:NAME or a CSV or Parquet file, not {self.weights!r}")
        if self.layout == "region" and self.region is None:
            raise ValueError("layout region needs to know what to keep: set region to a column with boxes, or to auto")
        if self.region is not None and self.layout != "region":
            raise ValueError("region names what the layout 'region' keeps: set layout to region, or leave region out")
        if self.region == "auto" and self.reference is None:
            raise ValueError("region auto needs a model that finds what is relevant: set reference to its folder")
        return self

    @property
    def wording(self) -> Wording:
        """How captions are joined unless a rule applies."""
        return Wording(self.caption, self.joiner, self.template, find_layout(self.layout).all_shapes)

    @property
    def composes(self) -> bool:
        """Whether any example becomes a composite."""
        return self.treatment == "compose" and self.rho > 0

    @property
    def scores(self) -> bool:
        """Whether partners are drawn from candidates with scores."""
        return self.composes and self.score.by is not None

    @property
    def without_baseline(self) -> "Policy":
        """The policy without scores if plain CLIP gives them, which has to be trained first; else the policy itself."""
        return self.model_copy(update={"score": Score()}) if self.score.by == BASELINE else self

    @property
    def by_similarity(self) -> bool:
        """Whether partners are chosen by the similarity of pairs."""
        return self.partner in ("nearest", "diverse")

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names of the user's own objects (layout, caption strategy, partners), as ``module:object``."""
        return tuple(name for name in (self.layout, self.caption, self.partner) if is_object_reference(name))

    @property
    def own_code(self) -> dict[str, str]:
        """The fingerprint of the file of each of the user's own objects, by the object's name."""
        return {name: fingerprint(name) for name in self.own_names}
