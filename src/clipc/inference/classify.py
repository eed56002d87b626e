"""A classifier of sentences: classes named in words, calibrated on labelled validation images, that may abstain."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from clipc.catalog.catalog import Catalog
from clipc.catalog.classes import class_order
from clipc.compose.arrays import Bools, Float32s, Float64s, Int64s
from clipc.errors import UserError, unknown_name
from clipc.evaluate.choices import share
from clipc.evaluate.prompts import built_in_templates, check_templates, prompt_language
from clipc.evaluate.rare_classes import rare_classes
from clipc.evaluate.zeroshot import UNBALANCED, choose_templates, classifier
from clipc.inference.calibration import (
    LEAST,
    Alarm,
    Calibration,
    calibrate_abstention,
    calibrate_alarm,
    class_recalls,
    confidence,
    fit_scale,
    margins,
)
from clipc.inference.image_index import ImageIndex
from clipc.progress import Progress, silent


@dataclass(frozen=True)
class ClassifierOptions:
    """What a classifier shall do.

    Attributes:
        classes: The names of the classes; empty for those of the main label column.
        templates: ``auto`` (the built-in set that does best on validation), the name of a built-in set, or templates
            with ``{}`` for the name.
        accuracy: The accuracy that answers shall have; the classifier abstains where it is not sure enough.
        false_alarms: The largest share of false alarms of the classes in ``alarms``; None for no alarms.
        alarms: Classes with an alarm; by default the rare ones (less than half of the largest class's images).
    """

    classes: tuple[str, ...] = ()
    templates: str | tuple[str, ...] = "auto"
    accuracy: float = 0.95
    false_alarms: float | None = None
    alarms: tuple[str, ...] = ()


class Answers(NamedTuple):
    """What a classifier says of n images.

    Attributes:
        choice: The most probable class, an index into its names, ``int64``, shape (n,).
        probability: The probability of that class, ``float64``, shape (n,).
        answered: Whether it is sure enough to answer, shape (n,).
        alarms: Whether each class with an alarm raises it, shape (n, alarms).
    """

    choice: Int64s
    probability: Float64s
    answered: Bools
    alarms: Bools


@dataclass(frozen=True, eq=False)
class ImageClassifier:
    """A calibrated classifier.

    Attributes:
        names: The C class names.
        weights: The mean prompt feature of each class, L2-normalised, ``float32``, shape (C, D).
        templates: The name of the template set, or ``own``.
        scale: The inverse temperature.
        calibration: What validation images say of it.
    """

    names: tuple[str, ...]
    weights: Float32s
    templates: str
    scale: float
    calibration: Calibration

    def cosines(self, features: Float32s) -> Float32s:
        """The cosines of images with the classes, shape (n, C), for embeddings of shape (n, D)."""
        return features @ self.weights.T

    def __call__(self, features: Float32s) -> Answers:
        """Classifies images by their embeddings, L2-normalised, ``float32``, shape (n, D)."""
        cosines = self.cosines(features)
        choice, probability = confidence(cosines, self.scale)
        abstention, alarms = self.calibration.abstention, self.calibration.alarms
        answered = probability >= (0.0 if abstention is None else abstention.threshold)
        raised = [margins(cosines, self.names.index(alarm.name)) > alarm.threshold for alarm in alarms]
        return Answers(
            choice, probability, answered, np.stack(raised, 1) if raised else np.empty((len(features), 0), bool)
        )


@dataclass(frozen=True, eq=False)
class ClassLabels:
    """The classes of a classifier, and the class of each pair of a catalog.

    Attributes:
        names: The readable names of the C classes.
        ids: The class of each pair, ``int64``, shape (n,); -1 without a label of these classes.
    """

    names: tuple[str, ...]
    ids: Int64s

    @classmethod
    def of(cls, catalog: Catalog, classes: Sequence[str] = ()) -> "ClassLabels":
        """The classes that the user names, or those of the main label column.

        Args:
            catalog: The pairs.
            classes: The names of the classes; labels and their readable names are matched whatever their case. A class
                that is none of the labels has no labelled pairs.

        Raises:
            UserError: No class is named, and the catalog has no labels.
        """
        columns = catalog.about.label_columns
        if not columns:
            if not classes:
                raise UserError(f"{catalog.about.name} has no labels; name the classes: --classes 'scratch, dent'.")
            return cls(tuple(classes), np.full(len(catalog), -1, np.int64))
        values = [None if value in (None, "") else str(value) for value in catalog.column(columns[0])]
        readable = catalog.about.class_names.get(columns[0], {})
        labels = class_order(value for value in values if value is not None)
        all_names = [readable.get(label, label.replace("_", " ")) for label in labels]
        if classes:
            places = {name.casefold(): i for i, name in enumerate(classes)}
            index = {
                label: place
                for label, name in zip(labels, all_names, strict=True)
                if (place := places.get(name.casefold(), places.get(label.casefold()))) is not None
            }
        else:
            index = {label: i for i, label in enumerate(labels)}
        ids = np.array([index.get(value or "", -1) for value in values], dtype=np.int64)
        return cls(tuple(classes or all_names), ids)


def make_classifier(
    index: ImageIndex, options: ClassifierOptions, more: ImageIndex | None = None, progress: Progress = silent
) -> ImageClassifier:
    """A classifier, calibrated on labelled validation images.

    Args:
        index: The images to classify; their validation split calibrates, if it has labels of these classes.
        options: What the classifier shall do.
        more: The data that the model was trained on, whose validation split is taken otherwise.
        progress: Called with the number of prompts encoded, which take minutes for thousands of classes.

    Raises:
        UserError: There are no classes, or fewer than two; a class with an alarm is none; or templates are wrong.
    """
    names, labels, features, where = _validation(index, options, more)
    if len(names) < 2:
        raise UserError("a classifier needs two classes or more; name them with --classes 'scratch, dent'.")
    enough, encoded = len(labels) >= LEAST, 0

    def encode(texts: list[str]) -> torch.Tensor:
        nonlocal encoded
        features, encoded = index.model.clip.encode_text(texts), encoded + len(texts)
        progress("prompts of classes", encoded, 0)
        return features

    if isinstance(options.templates, str):
        lang = prompt_language(index.catalog, names)
        set_name = options.templates
        if set_name == "auto":
            images = torch.from_numpy(features)
            set_name = choose_templates(encode, images, labels, names, lang) if enough else "general"
        templates = built_in_templates(set_name, lang)
    else:
        set_name, templates = "own", check_templates(options.templates, "the list of templates")
    weights = classifier(encode, names, templates).cpu().numpy()
    if not enough:
        scale = float(index.model.clip.logit_scale.detach().exp())
        return ImageClassifier(names, weights, set_name, scale, Calibration(len(labels), where))
    cosines = features @ weights.T
    scale = fit_scale(cosines, labels)
    choice = confidence(cosines, scale).choice
    calibration = Calibration(
        len(labels),
        where,
        share(choice == labels),
        class_recalls(choice, labels, names),
        calibrate_abstention(cosines, labels, options.accuracy),
        _alarms(cosines, labels, names, options),
    )
    return ImageClassifier(names, weights, set_name, scale, calibration)


def training_validation(index: ImageIndex, cache: Path | None = None, progress: Progress = silent) -> ImageIndex | None:
    """The validation images of the data that a model was trained on, to calibrate on; None where there are none.

    Args:
        index: The images to classify, with their model.
        cache: The cache folder; None for the default one.
        progress: Called with the number of images encoded.
    """
    data = index.model.training_data(progress)
    if data is None or data.fingerprint == index.catalog.fingerprint or "val" not in data.splits:
        return None
    return ImageIndex.of(index.model, data.split("val"), cache=cache, progress=progress)


def measure_classifier(model: ImageClassifier, index: ImageIndex, split: str = "test") -> dict[str, Any] | None:
    """What a classifier does on the labelled images of a split that it was not calibrated on.

    Returns:
        ``split``, ``n``, ``accuracy`` (of all images), ``answered`` (their share), ``answered_accuracy`` and ``alarms``
        (for each class its ``false_alarms`` and ``recall``), each with Wilson's interval, or None without images; None
        if the split has no labels.
    """
    labels = ClassLabels.of(index.catalog, model.names).ids
    rows = np.flatnonzero((index.catalog.split_names == split) & (labels >= 0))
    if not len(rows):
        return None
    answers, right = model(index.features(rows)), labels[rows]
    hits = answers.choice == right

    def shares(values: Bools) -> dict[str, Any] | None:
        return share(values).as_dict() if len(values) else None

    raised: list[dict[str, Any]] = []
    for alarm, alarms in zip(model.calibration.alarms, answers.alarms.T, strict=True):
        is_class = right == model.names.index(alarm.name)
        facts = {"false_alarms": shares(alarms[~is_class]), "recall": shares(alarms[is_class])}
        raised.append({"name": alarm.name, **facts})
    return {
        "split": split,
        "n": len(rows),
        "accuracy": shares(hits),
        "answered": shares(answers.answered),
        "answered_accuracy": shares(hits[answers.answered]),
        "alarms": raised,
    }


def _validation(
    index: ImageIndex, options: ClassifierOptions, more: ImageIndex | None
) -> tuple[tuple[str, ...], Int64s, Float32s, str]:
    """The classes; the labels and embeddings of the validation images that calibrate, and where these come from."""
    names = options.classes
    if not names:
        source = index if index.catalog.about.label_columns or more is None else more
        names = ClassLabels.of(source.catalog).names
    best = names, np.empty(0, np.int64), np.empty((0, index.values.shape[1]), np.float32), ""
    for one in (index, *(() if more is None else (more,))):
        labels = ClassLabels.of(one.catalog, names).ids
        rows = np.flatnonzero((one.catalog.split_names == "val") & (labels >= 0))
        if len(rows) > len(best[1]):
            best = names, labels[rows], one.features(rows), one.catalog.about.name
        if len(rows) >= LEAST:
            break
    return best


def _alarms(cosines: Float32s, labels: Int64s, names: Sequence[str], options: ClassifierOptions) -> tuple[Alarm, ...]:
    if options.false_alarms is None:
        return ()
    places = {name.casefold(): i for i, name in enumerate(names)}
    for name in options.alarms:
        if name.casefold() not in places:
            raise unknown_name("class", name, names)
    chosen = [places[name.casefold()] for name in options.alarms] or rare_classes(labels, UNBALANCED)
    if not chosen:
        raise UserError(
            "no class is rare (less than half of the largest one's images), so none needs an alarm; name one: "
            f"--alarm {names[0]!r}."
        )
    return tuple(calibrate_alarm(cosines, labels, i, names[i], options.false_alarms) for i in chosen)
