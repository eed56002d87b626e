"""The score of composites in a policy: who scores them, and what the plan makes of it."""

from typing import Annotated, Final

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from clipc.compose.arrays import Float32s, Float64s, Int32s
from clipc.files import expand_home
from clipc.identity import Neutral

CANDIDATES: Final = 16
"""The number of candidate partners of each pair that are scored; the plan then draws from them."""

CHECKS, BASELINE, RANDOM = "checks", "baseline", "random"
"""Scorers that are no names of models: without weights, by the arm's own plain model, and the control by chance."""


class Score(BaseModel):
    """What scores composites, and how the plan uses the scores: the policy's ``score``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    by: Annotated[str | None, AfterValidator(lambda name: name and expand_home(name)), Neutral(None)] = None
    """What scores composites: a model (a run's or model's folder, hf-hub:OWNER/NAME, NAME:TAG of open_clip);
    baseline: plain CLIP, trained first by this recipe on the same pairs; checks: without any weights; random: a control
    that scores by chance. Null: nothing does, and partners are drawn from all allowed pairs.
    """
    keep: Annotated[float, Neutral(1.0)] = Field(default=1.0, gt=0, le=1)
    """Share of the candidate composites that may be drawn: those with the best scores."""
    threshold: Annotated[float | None, Neutral(None)] = Field(default=None, ge=0, le=1)
    """The lowest score of a composite that may be drawn, such as one that clipc audit calibrated; null for none."""
    weight: Annotated[float, Neutral(0.0)] = Field(default=0.0, ge=0, le=20)
    """Candidates are drawn in proportion to their score's rank to this power; 0: equally."""

    @model_validator(mode="after")
    def _consistent(self) -> "Score":
        used = self.keep < 1 or self.threshold is not None or self.weight > 0
        if self.by is None and used:
            raise ValueError("keep, threshold and weight need scores: set by to a model, baseline, checks or random")
        if self.by is not None and not used:
            raise ValueError("scores that nothing uses would only cost time: set keep, threshold or weight too")
        if self.keep < 1 and self.threshold is not None:
            raise ValueError("keep and threshold both say which composites are kept: leave one of them out")
        return self


def candidate_weights(scores: Float32s, right: Int32s, score: Score) -> Float64s:
    """The relative probability of each candidate partner.

    With ``keep`` those with the best scores over the whole table are kept, and all that equal the worst of them. A rank
    is the share of candidates with a lower score, plus half of those with an equal one, so that any increasing function
    of the scores gives the same weights.

    Args:
        scores: The scores of the candidates, shape (n, K).
        right: Their partners, -1 for none, shape (n, K).
        score: How the scores are used.

    Returns:
        ``float64``, shape (n, K); 0 for a candidate that is not drawn.
    """
    valid = right >= 0
    weights = valid.astype(np.float64)
    values = scores[valid].astype(np.float64)
    if not len(values):
        return weights
    kept = np.ones(len(values), dtype=np.bool_)
    if score.keep < 1:
        number = max(1, round(score.keep * len(values)))
        kept = values >= np.partition(values, len(values) - number)[len(values) - number]
    elif score.threshold is not None:
        kept = values >= score.threshold
    drawn = np.ones(len(values))
    if score.weight:
        ordered = np.sort(values)
        below, until = np.searchsorted(ordered, values), np.searchsorted(ordered, values, side="right")
        drawn = ((below + until) / (2 * len(values))) ** score.weight
    weights[valid] = np.where(kept, drawn, 0)
    return weights
