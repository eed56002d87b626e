"""Zero-shot classification: an image is assigned to the class with the nearest prompts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clipc.evaluate.measurement import Measurement
from clipc.evaluate.prompts import TEMPLATE_SETS, built_in_templates, fill
from clipc.evaluate.ranks import TIE, Ranks
from clipc.evaluate.rare_classes import FALSE_ALARMS, rare_class_hits, rare_classes
from clipc.evaluate.retrieval import check_features, exact_products
from clipc.evaluate.subject import Subject

EncodeText = Callable[[list[str]], Tensor]
"""Encodes texts as L2-normalised features, float (len(texts), D)."""


UNBALANCED: Final = 2
"""Classes are unbalanced where the largest one is more than this many times as large as the smallest one."""


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """The ranks of the right classes of N images among C classes.

    Attributes:
        ranks: The rank of the right class of each image (N queries).
        labels: The right class of each image, ``int64`` (N,) in [0, C).
        classes: The number of classes, C.
    """

    ranks: Ranks
    labels: npt.NDArray[np.int64]
    classes: int

    @property
    def unbalanced(self) -> bool:
        """Whether the largest measured class has more than :data:`UNBALANCED` times the images of the smallest one.

        It depends on the labels of the measured split alone, not on any result.
        """
        counts = np.bincount(self.labels)
        return int(counts.max()) > UNBALANCED * int(counts[counts > 0].min())

    def measurements(self, prefix: str, *, default_main: bool = False) -> Iterator[Measurement]:
        """``top1``, ``top5`` (for more than five classes) and ``mean_per_class``, which is top-1 averaged over classes.

        The chance level is that of guessing each class equally often. The values of ``mean_per_class`` are the hits,
        weighted by the number of images divided by the number of classes and by the size of the image's class.

        Args:
            prefix: The first part of the metrics' names.
            default_main: Whether top-1 is a main metric in studies that do not name their main metrics. Where the
                classes are :attr:`unbalanced`, ``mean_per_class`` is it instead.
        """
        top1, chance = self.ranks.hit(1), 1 / self.classes
        by_class = self.unbalanced
        yield Measurement(f"{prefix}/top1", top1, chance=chance, default_main=default_main and not by_class)
        if self.classes > 5:
            yield Measurement(f"{prefix}/top5", self.ranks.hit(5), chance=5 / self.classes)
        counts, n = np.bincount(self.labels, minlength=self.classes), len(self.labels)
        weight = n / (np.count_nonzero(counts) * counts[self.labels])
        main = default_main and by_class
        yield Measurement(f"{prefix}/mean_per_class", top1 * weight, chance=chance, default_main=main)


def classifier(encode_text: EncodeText, class_names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """The weights of a zero-shot classifier, float32 (C, D): the mean prompt feature of each class, L2-normalised.

    As in CLIP (Radford et al., arXiv 2103.00020), the features of prompts are averaged, not the probabilities.

    Args:
        encode_text: The function that encodes texts.
        class_names: The C readable class names.
        templates: One or more templates with ``{}`` for the name.
    """
    prompts = [fill(template, name) for name in class_names for template in templates]
    batch = 256
    with torch.inference_mode():
        features = torch.cat([encode_text(prompts[i : i + batch]).float() for i in range(0, len(prompts), batch)])
    return normalize(features.view(len(class_names), len(templates), -1).mean(dim=1), dim=-1)


def zero_shot(image_features: Tensor, weights: Tensor, labels: npt.ArrayLike, *, chunk: int = 8192) -> ZeroShot:
    """Ranks the classes of each image by cosine.

    Args:
        image_features: L2-normalised, float (N, D).
        weights: The weights from :func:`classifier`, L2-normalised, float (C, D), on the same device.
        labels: The right class of each image, (N,) in [0, C).
        chunk: How many images are compared at once.

    Raises:
        UserError: Features are not finite.
        ValueError: Shapes do not fit, or features are not normalised.
    """
    right = np.asarray(labels, dtype=np.int64)
    if right.shape != (len(image_features),) or len(right) == 0 or right.min() < 0 or right.max() >= len(weights):
        raise ValueError(
            f"labels of shape {right.shape} do not fit {len(image_features)} images and {len(weights)} classes."
        )
    check_features(image_features)
    check_features(weights)
    above: list[Tensor] = []
    tied: list[Tensor] = []
    index = torch.from_numpy(right).to(image_features.device)
    with exact_products(image_features.device):
        for features, classes in zip(image_features.split(chunk), index.split(chunk), strict=True):
            cosine = features.float() @ weights.float().T
            right_cosine = cosine.gather(1, classes[:, None])
            above.append((cosine > right_cosine + TIE).sum(1))
            tied.append((cosine >= right_cosine - TIE).sum(1) - above[-1] - 1)
    ranks = Ranks(torch.cat(above).cpu().numpy(), torch.cat(tied).cpu().numpy(), np.ones_like(right))
    return ZeroShot(ranks, right, len(weights))


def choose_templates(
    encode_text: EncodeText, image_features: Tensor, labels: npt.ArrayLike, class_names: Sequence[str], lang: str = "en"
) -> str:
    """The name of the built-in template set with the best top-1 accuracy on validation images.

    Of equally good sets the first in :data:`~clipc.evaluate.prompts.TEMPLATE_SETS` is chosen.

    Args:
        encode_text: The function that encodes texts.
        image_features: The features of the validation images, L2-normalised, float (N, D).
        labels: The classes of the validation images, (N,) in [0, C).
        class_names: The C readable class names.
        lang: ``"en"`` or ``"ja"``.
    """

    def top1(name: str) -> float:
        weights = classifier(encode_text, class_names, built_in_templates(name, lang)).to(image_features.device)
        return float(zero_shot(image_features, weights, labels).ranks.hit(1).mean())

    return max(TEMPLATE_SETS, key=top1)


def measure_zero_shot(subject: Subject) -> Iterator[Measurement]:
    """Measures zero-shot classification for each label column; ``"auto"`` templates are chosen on validation images.

    Where classes are unbalanced the recall of the rare ones at a fixed rate of false alarms is a secondary metric.
    Only the metric of the first column, the main one, may be a main metric of studies.
    """
    context, lang = subject.context, subject.lang
    for task in subject.classifications("zero_shot"):
        test = task.labelled(subject.split)
        templates = subject.templates
        templates = templates.get(task.column, "auto") if isinstance(templates, Mapping) else templates
        name = templates if isinstance(templates, str) else "own"
        if name == "auto":
            val = task.labelled("val", measured=subject.split)
            if len(val.labels) == 0:
                note = "no labelled validation images to choose templates on; the general set was used"
                context["notes"].append(f"zero_shot/{task.column}: {note}")
                name = "general"
            else:
                features = torch.from_numpy(val.features)
                name = choose_templates(subject.model.encode_text, features, val.labels, task.names, lang)
        if isinstance(templates, str):
            templates = built_in_templates(name, lang)
        weights = classifier(subject.model.encode_text, task.names, templates).cpu()
        features = torch.from_numpy(test.features)
        result = zero_shot(features, weights, test.labels)
        context["columns"].setdefault(task.column, {}).update(
            classes=task.names,
            images=len(test.labels),
            majority=float(np.bincount(test.labels).max() / len(test.labels)),
            templates=name,
        )
        yield from result.measurements(f"zero_shot/{task.column}", default_main=task is subject.tasks[0])
        if rare := rare_classes(test.labels, UNBALANCED):
            with exact_products(weights.device):
                scores = (features.float() @ weights.float().T).numpy()
            hits = rare_class_hits(scores, test.labels, rare)[0]
            secondary = task is subject.tasks[0]
            yield Measurement(f"zero_shot/{task.column}/rare_recall", hits, chance=FALSE_ALARMS, secondary=secondary)
