"""What a classifier's confidence is worth: temperature, a threshold below which it abstains, and one for alarms."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clipc.compose.arrays import Bools, Float64s, Int64s
from clipc.evaluate.choices import share
from clipc.evaluate.small_split import FEW_PAIRS
from clipc.evaluate.statistics.interval import Interval

LEAST: Final = 20
"""The fewest labelled validation images from which anything is calibrated."""

_FOLDS: Final = 5
_SCALES: Final = (1.0, 1000.0)


@dataclass(frozen=True)
class Abstention:
    """From which confidence on a classifier answers, and what that gives.

    Attributes:
        wanted: The accuracy that its answers shall have, in (0, 1).
        threshold: The lowest confidence at which it answers, in [0, 1]; 2 where no threshold reaches the accuracy.
        accuracy: The accuracy of its answers, with Wilson's interval; None if it would answer none.
        answered: The share of images that it answers, with Wilson's interval.
    """

    wanted: float
    threshold: float
    accuracy: Interval | None
    answered: Interval


@dataclass(frozen=True)
class Alarm:
    """A threshold for one class, by the share of other images that may raise a false alarm.

    Attributes:
        name: The class.
        wanted: The largest share of false alarms, in (0, 1).
        threshold: An image whose margin is above it raises the alarm; the margin is its cosine with the class minus the
            best cosine with another class.
        false_alarms: The expected share of false alarms, with its interval; ``n`` is the number of other images.
        recall: The share of the class's images that raise the alarm, with Wilson's interval; None without such images.
        reached: Whether there are enough other images to promise so few false alarms.
    """

    name: str
    wanted: float
    threshold: float
    false_alarms: Interval
    recall: Interval | None
    reached: bool


@dataclass(frozen=True)
class Calibration:
    """What labelled validation images say about a classifier.

    Attributes:
        n: The number of labelled images.
        source: Where they come from, for sentences.
        accuracy: The accuracy if every image is answered, with Wilson's interval; None below :data:`LEAST` images.
        classes: For each class its ``name``, number ``n`` of images, and ``recall`` with its interval (None without
            images).
        abstention: When the classifier abstains; None below :data:`LEAST` images.
        alarms: The thresholds of single classes.
    """

    n: int
    source: str
    accuracy: Interval | None = None
    classes: tuple[dict[str, Any], ...] = ()
    abstention: Abstention | None = None
    alarms: tuple[Alarm, ...] = ()

    @property
    def few(self) -> bool:
        """Whether intervals are so wide that commands warn."""
        return self.n < FEW_PAIRS

    def as_json(self) -> dict[str, Any]:
        """The fields, ``few`` and ``least`` (:data:`LEAST`), ready for JSON."""
        values = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {**values, "few": self.few, "least": LEAST}


class Confidence(NamedTuple):
    """The classifier's first choice for each of n images.

    Attributes:
        choice: The index of the class, ``int64``, shape (n,).
        probability: Its probability, ``float64``, shape (n,).
    """

    choice: Int64s
    probability: Float64s


def confidence(cosines: npt.ArrayLike, scale: float) -> Confidence:
    """The most probable class of each image, and its probability: the softmax of scaled cosines.

    Args:
        cosines: Cosines with the C classes, shape (n, C).
        scale: The inverse temperature.
    """
    logits = scale * np.asarray(cosines, dtype=np.float64)
    choice = logits.argmax(axis=1).astype(np.int64)
    return Confidence(choice, np.exp(-_log_sum(logits - logits.max(axis=1, keepdims=True))))


def fit_scale(cosines: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The inverse temperature under which the right classes are most likely (Guo et al., arXiv 1706.04599).

    It changes no first choice. It is between 1 and 1,000, so that a few images that are all right do not make the
    classifier certain of everything.

    Args:
        cosines: Cosines with the C classes, shape (n, C).
        labels: The right classes, shape (n,).
    """
    from scipy.optimize import minimize_scalar

    x, right = np.asarray(cosines, dtype=np.float64), np.asarray(labels, dtype=np.int64)

    def loss(log_scale: float) -> float:
        logits = np.exp(log_scale) * x
        return float((_log_sum(logits) - logits[np.arange(len(x)), right]).mean())

    fitted: Any = minimize_scalar(loss, bounds=(np.log(_SCALES[0]), np.log(_SCALES[1])), method="bounded")
    return float(np.exp(fitted.x))


def choose_threshold(probability: npt.ArrayLike, is_right: npt.ArrayLike, wanted: float) -> float:
    """The lowest confidence at and above which the wanted share of first choices was right.

    Args:
        probability: The confidence of each image, shape (n,).
        is_right: Whether its first choice was right, shape (n,).
        wanted: The wanted accuracy.

    Returns:
        A confidence of one of the images; 0 if all may be answered, and 2 if no threshold is enough.
    """
    p, hits = np.asarray(probability, dtype=np.float64), np.asarray(is_right, dtype=np.float64)
    order = np.argsort(-p, kind="stable")
    accuracy = np.cumsum(hits[order]) / np.arange(1, len(p) + 1)
    last = np.append(p[order][1:] < p[order][:-1], True)  # Equal confidences stand or fall together.
    passing = np.flatnonzero((accuracy >= wanted) & last)
    if not len(passing):
        return 2.0
    return 0.0 if passing[-1] == len(p) - 1 else float(p[order][passing[-1]])


def calibrate_abstention(cosines: npt.ArrayLike, labels: npt.ArrayLike, wanted: float) -> Abstention:
    """When a classifier abstains, and what its answers are worth.

    The threshold comes from all images. What it gives is measured by cross-validation: temperature and threshold are
    fitted on four fifths of the images and tried on the last fifth, in turn, so that a lucky threshold is not reported
    with its luck.

    Args:
        cosines: Cosines with the C classes, shape (n, C), of :data:`LEAST` images or more.
        labels: The right classes, shape (n,).
        wanted: The wanted accuracy, in (0, 1).
    """
    x, right = np.asarray(cosines, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    threshold = _fitted_threshold(x, right, wanted)[1]
    fold = np.random.Generator(np.random.Philox(0)).permutation(len(x)) % _FOLDS
    answered, hits = np.zeros(len(x), np.bool_), np.zeros(len(x), np.bool_)
    for part in range(_FOLDS):
        scale, limit = _fitted_threshold(x[fold != part], right[fold != part], wanted)
        tried = fold == part
        choice, probability = confidence(x[tried], scale)
        answered[tried], hits[tried] = probability >= limit, choice == right[tried]
    accuracy = share(hits[answered]) if answered.any() else None
    return Abstention(wanted, threshold, accuracy, share(answered))


def calibrate_alarm(
    cosines: npt.ArrayLike, labels: npt.ArrayLike, index: int, name: str, wanted: float, level: float = 0.95
) -> Alarm:
    """The threshold of one class under which the wanted share of other images raises a false alarm.

    The threshold is the k-th largest margin of the n images of other classes, k = floor(wanted (n + 1)). A new image of
    another class exceeds it with a probability that is Beta(k, n + 1 - k) distributed over validation sets, whatever
    the margins' distribution: its mean is k / (n + 1), and its quantiles are the interval. If k would be 0, the largest
    margin is the threshold, and the promise is not reached.

    Args:
        cosines: Cosines with the C classes, shape (n, C), C >= 2.
        labels: The right classes, shape (n,).
        index: The class.
        name: Its name.
        wanted: The largest share of false alarms, in (0, 1).
        level: The level of the interval.
    """
    from scipy.stats import beta

    margin, is_class = margins(cosines, index), np.asarray(labels) == index
    others = np.sort(margin[~is_class])[::-1]
    n = len(others)
    k = int(np.floor(wanted * (n + 1) + 1e-9))
    reached, k = k >= 1, max(k, 1)
    threshold = float(others[k - 1]) if n else float("inf")
    low, high = (float(end) for end in beta.ppf([(1 - level) / 2, (1 + level) / 2], k, max(n + 1 - k, 1)))
    false_alarms = Interval(k / (n + 1), low, high, n, level)
    recall = share(margin[is_class] > threshold) if is_class.any() else None
    return Alarm(name, wanted, threshold, false_alarms, recall, reached)


def margins(cosines: npt.ArrayLike, index: int) -> Float64s:
    """The cosine of each image with a class minus its best cosine with another class, shape (n,)."""
    x = np.asarray(cosines, dtype=np.float64)
    return x[:, index] - np.delete(x, index, axis=1).max(axis=1)


def class_recalls(choice: Int64s, labels: Int64s, names: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """For each class its ``name``, ``n`` and ``recall`` with Wilson's interval (None without images)."""

    def row(index: int, name: str) -> dict[str, Any]:
        hits: Bools = choice[labels == index] == index
        return {"name": name, "n": len(hits), "recall": share(hits).as_dict() if len(hits) else None}

    return tuple(row(index, name) for index, name in enumerate(names))


def _fitted_threshold(cosines: Float64s, labels: Int64s, wanted: float) -> tuple[float, float]:
    """The inverse temperature and the threshold that these images give."""
    scale = fit_scale(cosines, labels)
    choice, probability = confidence(cosines, scale)
    return scale, choose_threshold(probability, choice == labels, wanted)


def _log_sum(logits: Float64s) -> Float64s:
    from scipy.special import logsumexp

    return np.asarray(logsumexp(logits, axis=1))


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return value.as_dict()
    if isinstance(value, Abstention | Alarm):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
