"""How sure a difference is: intervals over seeds and test items, p values, the seeds that are needed, the verdict."""

from clipc.evaluate.statistics.holm import holm
from clipc.evaluate.statistics.interval import Interval, paired_difference, t_interval
from clipc.evaluate.statistics.item_variance import item_variance
from clipc.evaluate.statistics.p_values import sign_flip_p, t_p
from clipc.evaluate.statistics.power import detectable, seeds_needed
from clipc.evaluate.statistics.sampling_error import sampling_error
from clipc.evaluate.statistics.two_way import two_way
from clipc.evaluate.statistics.verdict import Verdict, verdict

__all__ = [
    "Interval",
    "Verdict",
    "detectable",
    "holm",
    "item_variance",
    "paired_difference",
    "sampling_error",
    "seeds_needed",
    "sign_flip_p",
    "t_interval",
    "t_p",
    "two_way",
    "verdict",
]
