"""Linear probe: the accuracy of a logistic regression on frozen image features."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clipc.evaluate.classes import Labelled
from clipc.evaluate.measurement import Measurement
from clipc.evaluate.subject import Subject

SHOTS = (1, 2, 4, 8, 16)
"""How many training images a class the few-shot probes get."""

STRENGTHS = tuple(10.0**power for power in range(-5, 3))
"""The values of C, the inverse strength of the L2 penalty, among which validation decides; weakest fit first."""

UNCHOSEN = 0.1
"""C where there is no validation image to choose it on."""

MAX_STEPS = 500


@dataclass(frozen=True, eq=False)
class Probe:
    """The accuracy of the probes on the N test images.

    Attributes:
        hits: For ``"all"`` training labels and for each ``"k-shot"``: 0 or 1 a test image, for shots the
            mean over the draws, float64 (N,).
        strengths: The C of each fit, in the order of the draws.
        notes: Limitations: classes with few images, fits that did not converge, a C that was not chosen.
    """

    hits: dict[str, npt.NDArray[np.float64]]
    strengths: dict[str, list[float]]
    notes: tuple[str, ...]


def probe(
    train: Labelled,
    val: Labelled | None,
    test: Labelled,
    *,
    shots: Sequence[int] = SHOTS,
    draws: int = 5,
    seed: int = 0,
) -> Probe:
    """Multinomial logistic regressions on all training labels and on ``k`` a class.

    Features are standardised with the mean and variance of the training images of the fit. C has the best
    validation accuracy on a grid of powers of ten (the strongest penalty of equals). The fit is on training images
    only: validation images choose and are not trained on, so that a probe with k labels has seen k a class, though
    the choice of C uses all of validation. Test images of a class that training lacks count as wrong.

    Args:
        train: The images to learn from; two classes or more.
        val: The images to choose C on; where None or empty, C is 0.1, with a note.
        test: The images to classify.
        shots: The k's. A class with fewer images gives all it has, with a note; a k above every class is left out.
        draws: For each k, how many times images are drawn and results averaged. Within a draw the images of a
            smaller k are among those of a larger one.
        seed: Of the draws; equal seeds draw equal images, so arms of a study stay paired.

    Raises:
        ValueError: Training holds fewer than two classes.
    """
    classes, counts = np.unique(train.labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError("a probe needs training images of two classes or more.")
    notes: list[str] = []
    if val is None or len(val.labels) == 0:
        val = None
        notes.append(f"no labelled validation images: C was not chosen but set to {UNCHOSEN:g}")
    everything = np.arange(len(train.labels))
    subsets = {"all": [everything]}
    for k in shots:
        if k > counts.max():
            notes.append(f"{k}-shot: left out, no class has {k} training images")
            continue
        if short := int((counts < k).sum()):
            notes.append(f"{k}-shot: {short} of {len(classes)} classes have fewer than {k} training images")
        subsets[f"{k}-shot"] = [_draw(train.labels, classes, k, seed, number) for number in range(draws)]

    hits: dict[str, npt.NDArray[np.float64]] = {}
    strengths: dict[str, list[float]] = {}
    for name, drawn in subsets.items():
        fits = [_fit(Labelled(train.features[rows], train.labels[rows]), val, test) for rows in drawn]
        hits[name] = np.mean([hit for hit, _, _ in fits], axis=0)
        strengths[name] = [strength for _, strength, _ in fits]
        if stopped := sum(not converged for _, _, converged in fits):
            notes.append(f"{name}: {stopped} of {len(fits)} fits stopped after {MAX_STEPS} steps before converging")
    return Probe(hits, strengths, tuple(notes))


def measure_probe(subject: Subject) -> Iterator[Measurement]:
    """Linear probes on each label column, fitted on the training split."""
    context, split = subject.context, subject.split
    for task in subject.classifications("probe"):
        train, name = task.part("train", measured=split), f"probe/{task.column}"
        if len(np.unique(train.labels)) < 2:
            context["not_measured"][name] = "no labelled training images of two classes or more"
            continue
        val, test = task.part("val", measured=split), task.part(split)
        fitted = probe(train, val, test, shots=subject.shots, seed=subject.seed)
        context["columns"].setdefault(task.column, {})["probe_strengths"] = fitted.strengths
        context["notes"] += [f"{name}/{note}" for note in fitted.notes]
        for labels, hits in fitted.hits.items():
            chance, main = 1 / len(task.names), labels == "all"
            yield Measurement(f"{name}/{labels}/top1", hits, chance=chance, default_main=main)


def _draw(
    labels: npt.NDArray[np.int64], classes: npt.NDArray[np.int64], k: int, seed: int, number: int
) -> npt.NDArray[np.int64]:
    """The rows of up to ``k`` random images of each class."""
    shuffled = np.random.Generator(np.random.Philox([seed, number])).permutation(len(labels))
    return np.concatenate([shuffled[labels[shuffled] == c][:k] for c in classes])


def _fit(train: Labelled, val: Labelled | None, test: Labelled) -> tuple[npt.NDArray[np.float64], float, bool]:
    """Hits on the test images, the chosen C, and whether its fit converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.features)
    x, x_test = scaler.transform(train.features), scaler.transform(test.features)
    x_val = None if val is None else scaler.transform(val.features)
    # Each fit starts from the one before, which had a stronger penalty: the whole grid costs about one cold fit.
    model = LogisticRegression(warm_start=True, max_iter=MAX_STEPS)
    best = (-1.0, np.zeros(len(test.labels)), UNCHOSEN, True)
    for strength in (UNCHOSEN,) if val is None else STRENGTHS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            # One image a class is intended in a 1-shot probe; scikit-learn suspects a regression task.
            warnings.filterwarnings("ignore", "The number of unique classes")
            model.set_params(C=strength).fit(x, train.labels)
        score = 0.0 if val is None else float(np.mean(np.equal(model.predict(x_val), val.labels)))
        if score > best[0]:
            hits = np.equal(model.predict(x_test), test.labels).astype(np.float64)
            best = (score, hits, strength, int(np.max(model.n_iter_)) < MAX_STEPS)
    return best[1:]
