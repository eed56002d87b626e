"""The verdict on a difference by its confidence intervals."""

from typing import Literal

from clipc.evaluate.statistics.interval import Interval

Verdict = Literal["gain", "loss", "no evidence"]


def verdict(*intervals: Interval) -> Verdict:
    """The verdict that all intervals of one difference (treated - control) support.

    All intervals, such as those over seeds and over test items, must be on the same side of zero for a gain or a loss.
    An interval of zero width is no evidence, because the values were too few or too coarse to show a spread.
    """
    if not intervals or any(interval.high <= interval.low for interval in intervals):
        return "no evidence"
    if all(interval.low > 0 for interval in intervals):
        return "gain"
    return "loss" if all(interval.high < 0 for interval in intervals) else "no evidence"
