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
"""The numbers of training images per class for few-shot probes."""

STRENGTHS = tuple(10.0**power for power in range(-5, 3))
"""The values of C, the inverse strength of the L2 penalty, to choose from on validation; strongest penalty first."""

DEFAULT_C = 0.1
"""C if there are no validation images to choose it on."""

MAX_STEPS = 500
"""The largest number of optimizer iterations in a fit."""


@dataclass(frozen=True, eq=False)
class Probe:
    """The accuracy of the probes on the N test images.

    Attributes:
        hits: For ``"all"`` training labels and each ``"k-shot"``: the share of fits that classify each test image
            correctly, float64 (N,). With all labels there is one fit.
        strengths: For the same keys, the C of each fit, in the order of the draws.
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
    """Fits multinomial logistic regressions on all training labels, and on ``k`` per class.

    Features are standardised with the mean and variance of the training images of the fit. C is the power of ten with
    the best validation accuracy; of several the strongest penalty. Validation images choose C and are not trained on,
    so a k-shot probe is trained on k images per class. Test images of a class without training images count as wrong.

    Args:
        train: The training images, of two classes or more.
        val: The images to choose C on; if None or empty, C is 0.1, with a note.
        test: The images to classify.
        shots: The values of k. A class with fewer images gives all of them, with a note; a k larger than every class
            is left out, with a note.
        draws: How many times images are drawn for each k; results are averaged. Within a draw, a smaller k takes some
            of the images of a larger k.
        seed: The seed of the draws. Equal seeds draw equal images, so arms of a study stay paired.

    Raises:
        ValueError: The training images have fewer than two classes.
    """
    classes, counts = np.unique(train.labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError("a probe needs training images of two classes or more.")
    notes: list[str] = []
    if val is None or len(val.labels) == 0:
        val = None
        notes.append(f"no labelled validation images: C was not chosen but set to {DEFAULT_C:g}")
    everything = np.arange(len(train.labels))
    subsets = {"all": [everything]}
    for k in shots:
        if k > counts.max():
            notes.append(f"{k}-shot: left out, no class has {k} training images")
            continue
        if short := int((counts < k).sum()):
            notes.append(f"{k}-shot: {short} of {len(classes)} classes have fewer than {k} training images")
        subsets[f"{k}-shot"] = [_draw(train.labels, classes, k, seed, draw) for draw in range(draws)]

    hits: dict[str, npt.NDArray[np.float64]] = {}
    strengths: dict[str, list[float]] = {}
    for name, draws_of_rows in subsets.items():
        fits = [_fit(Labelled(train.features[rows], train.labels[rows]), val, test) for rows in draws_of_rows]
        hits[name] = np.mean([hit for hit, _, _ in fits], axis=0)
        strengths[name] = [strength for _, strength, _ in fits]
        if unconverged := sum(not converged for _, _, converged in fits):
            notes.append(f"{name}: {unconverged} of {len(fits)} fits stopped after {MAX_STEPS} steps before converging")
    return Probe(hits, strengths, tuple(notes))


def measure_probe(subject: Subject) -> Iterator[Measurement]:
    """Measures linear probes on each label column, fitted on the training split.

    The probe of the first column on all labels is a secondary metric of studies.
    """
    context, split = subject.context, subject.split
    for task in subject.classifications("probe"):
        train, name = task.labelled("train", measured=split), f"probe/{task.column}"
        if len(np.unique(train.labels)) < 2:
            context["not_measured"][name] = "no labelled training images of two classes or more"
            continue
        val, test = task.labelled("val", measured=split), task.labelled(split)
        result = probe(train, val, test, shots=subject.shots, seed=subject.seed)
        context["columns"].setdefault(task.column, {})["probe_strengths"] = result.strengths
        context["notes"] += [f"{name}/{note}" for note in result.notes]
        for labels, hits in result.hits.items():
            secondary = labels == "all" and task is subject.tasks[0]
            yield Measurement(f"{name}/{labels}/top1", hits, chance=1 / len(task.names), secondary=secondary)


def _draw(
    labels: npt.NDArray[np.int64], classes: npt.NDArray[np.int64], k: int, seed: int, draw: int
) -> npt.NDArray[np.int64]:
    """The rows of up to ``k`` random images of each class."""
    shuffled = np.random.Generator(np.random.Philox([seed, draw])).permutation(len(labels))
    return np.concatenate([shuffled[labels[shuffled] == c][:k] for c in classes])


def _fit(train: Labelled, val: Labelled | None, test: Labelled) -> tuple[npt.NDArray[np.float64], float, bool]:
    """Fits for each C; returns the hits on the test images (0 or 1), the chosen C, and whether its fit converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.features)
    x, x_test = scaler.transform(train.features), scaler.transform(test.features)
    x_val = None if val is None else scaler.transform(val.features)
    # Each fit starts from the one with the next stronger penalty, so the whole grid costs about one cold fit.
    model = LogisticRegression(warm_start=True, max_iter=MAX_STEPS)
    best = (-1.0, np.zeros(len(test.labels)), DEFAULT_C, True)
    for strength in (DEFAULT_C,) if val is None else STRENGTHS:
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
