"""The user's own figures: what a captioned pair, an hour of a machine and an hour of a person cost, and thresholds."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clipc.errors import UserError, invalid_fields
from clipc.recipe.yaml_table import read_yaml

_Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expert(_Table):
    """What experts cost, and how long composition needs them.

    Attributes:
        hour: The cost of an hour of an expert.
        rules: Hours to write the rules.
        review: Hours to review composites.
    """

    hour: _Cost
    rules: _Cost = 0.0
    review: _Cost = 0.0

    @property
    def hours(self) -> float:
        """The hours of experts that composition needs."""
        return self.rules + self.review


class Machine(_Table):
    """What the machine costs.

    Attributes:
        hour: The cost of an hour of the machine (CPU or GPU) that the pilot ran on, all its cores.
        hours: The hours that are paid for because of composition; if null, those that the pilot took.
        training: The hours to train the model that will be used; if null, those that the pilot took.
    """

    hour: _Cost = 0.0
    hours: _Cost | None = None
    training: _Cost | None = None


class Engineer(_Table):
    """What the engineer costs.

    Attributes:
        hour: The cost of an hour of the engineer.
        hours: Hours for the pilot and the roll-out of the model.
        composition: Those of them that composition alone needs.
    """

    hour: _Cost = 0.0
    hours: _Cost = 0.0
    composition: _Cost = 0.0


class Thresholds(_Table):
    """The thresholds of the verdicts; intervals are compared with them, never means.

    Attributes:
        level: The confidence level of all intervals.
        roi: The return on investment that composition must exceed for certain: 0 says that it pays for itself.
        gain: The gain over every alternative that the model must exceed for certain, in the metric's unit (0.01 is one
            percentage point).
        acceptance: The share of composites that experts must accept (or the score must find meaningful) for certain.
        sensitivity: How far each assumption is changed in the sensitivity plot: 0.3 is 30% down and up.
    """

    level: float = Field(default=0.95, ge=0.8, le=0.999)
    roi: float = Field(default=0.0, gt=-1, allow_inf_nan=False)
    gain: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    acceptance: float = Field(default=0.8, gt=0, lt=1)
    sensitivity: float = Field(default=0.3, gt=0, lt=1)


class RoiFigures(_Table):
    """The user's figures; the attributes are the keys of the file.

    Attributes:
        currency: The currency's code, such as JPY, EUR or USD.
        pair: The cost of one captioned pair: taking the picture, writing the caption, checking it.
        expert: Experts.
        machine: The machine.
        engineer: The engineer.
        pairs: How many pairs you would caption; if null, the number that the equivalence was read at. Another number
            assumes that the same multiple holds there.
        point_value: What one percentage point (or one unit) of the metric is worth, if you know it.
        benefit: What composition is for: ``captions`` (the same quality with fewer captioned pairs) or ``points`` (more
            quality with the same pairs; needs ``point_value``). The two are never added.
        thresholds: The thresholds of the verdicts.
    """

    currency: str = Field(default="JPY", pattern=r"^[A-Z]{3}$")
    pair: _Cost
    expert: Expert
    machine: Machine = Machine()
    engineer: Engineer = Engineer()
    pairs: int | None = Field(default=None, ge=1)
    point_value: _Cost | None = None
    benefit: Literal["captions", "points"] = "captions"
    thresholds: Thresholds = Thresholds()


def read_figures(file: str | Path) -> RoiFigures:
    """The user's figures from a YAML file; see ``examples/roi.yaml``.

    Raises:
        UserError: The file cannot be read, a key is unknown or missing, or a value is out of its range.
    """
    path = Path(file)
    fields = read_yaml(path, "file of figures")
    try:
        figures = RoiFigures.model_validate(fields)
    except ValidationError as error:
        advice = {
            "pair": "give the cost of one captioned pair",
            "expert": "give expert.hour, the cost of an hour of an expert",
            "expert.hour": "give the cost of an hour of an expert",
            "currency": "write a code of three letters such as JPY",
        }
        raise invalid_fields(error, str(path), RoiFigures, advice) from None
    if figures.benefit == "points" and figures.point_value is None:
        raise UserError(f"{path}: benefit is points, so give point_value, what one point of the metric is worth.")
    return figures
