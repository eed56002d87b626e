"""The schemas of the JSON files in a run's folder, as far as clipc reads them; files may have more keys."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0)]


class RunFile(BaseModel):
    """Any file of a run: one JSON object."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Environment(RunFile):
    """``environment.json``: the run's identity, and how it began, which a resumed run keeps to."""

    clipc: str = ""
    run: str | None = None
    threads: Annotated[int, Field(ge=1, le=10_000)] | None = None
    renderer: Literal["worker", "resident", "features"] | None = None
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    cpu: str | None = None
    cores: _Count | None = None


class DataFacts(RunFile):
    """``data.json``: the data, and how many pairs and captions its splits have."""

    name: str
    generated: bool = False
    fingerprint: str
    pairs: dict[str, _Count]
    captions: dict[str, _Count] = {}


class KeptFacts(RunFile):
    """What a run on kept features says of them."""

    captions: bool


class PlanStatistics(RunFile):
    """``plan-statistics.json``: what the plan of the first epoch holds."""

    rows: _Count | None = None
    kept: KeptFacts | None = None


class WiseFt(RunFile):
    """The interpolation that was chosen."""

    alpha: float | None = None
    taken: bool = True


class Validated(RunFile):
    """Metrics on the validation split."""

    mean_recall: float


class Best(Validated):
    """The metrics that a run was judged by, and their step."""

    step: _Count | None = None
    recall: float | None = Field(default=None, alias="text_to_image/recall@1")


class Finished(RunFile):
    """``finished.json``: the summary of a run that has ended."""

    selection: str = "last"
    steps: _Count = 0
    samples: _Count = 0
    epochs: Annotated[float, Field(ge=0)] = 0.0
    parameters: _Count = 0
    image_size: _Count = 0
    best: Best | None = None
    wise_ft: WiseFt | None = None
    composite_share: Annotated[float, Field(ge=0, le=1)] | None = None
    pairs_per_second: float | None = None
    seconds: _Seconds = 0.0
    core_seconds: _Seconds = 0.0
    validation_core_seconds: _Seconds = 0.0
    scores_core_seconds: _Seconds = 0.0


class Measured(RunFile):
    """A file in ``eval/``: metrics, their descriptions, and the data that they were measured on."""

    metrics: dict[str, float] = {}
    descriptions: dict[str, dict[str, Any]] = {}
    measuring: dict[str, Any] = {}
    context: dict[str, Any] = {}
    core_seconds: _Seconds = 0.0


class MetricsLine(RunFile):
    """A line of ``metrics.jsonl``."""

    step: _Count
    loss: float | None = None
    validation: Validated | None = None


SCHEMAS: dict[str, type[RunFile]] = {
    "environment.json": Environment,
    "data.json": DataFacts,
    "plan-statistics.json": PlanStatistics,
    "finished.json": Finished,
}
"""The schema of each file by its name; that of files in ``eval/`` is :class:`Measured`."""
