"""What intervals allow to say."""

from typing import Literal

from clipc.evaluate.statistics.interval import Interval

Verdict = Literal["gain", "loss", "no evidence"]


def verdict(*intervals: Interval) -> Verdict:
    """What intervals around one difference (treated - control) allow to say.

    Given the interval over seeds and the test set's, both must lie on the same side of zero. An interval without
    width is no evidence: the values were too few or too coarse to show their spread.
    """
    shown = [interval for interval in intervals if interval.high > interval.low]
    if len(shown) < len(intervals) or not intervals:
        return "no evidence"
    if all(interval.low > 0 for interval in intervals):
        return "gain"
    return "loss" if all(interval.high < 0 for interval in intervals) else "no evidence"
