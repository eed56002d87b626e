"""Measures a model on one split of a catalog: runs all evaluators on features that are computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from clipc.catalog.catalog import Catalog
from clipc.errors import unknown_name
from clipc.evaluate.classes import ClassTask
from clipc.evaluate.embed import Encoder, embed, embed_images
from clipc.evaluate.measurement import Measurement, by_name
from clipc.evaluate.probe import SHOTS, measure_probe
from clipc.evaluate.prompts import built_in_templates, check_templates
from clipc.evaluate.retrieval import measure_retrieval
from clipc.evaluate.subject import Evaluator, Subject
from clipc.evaluate.swaps import measure_swaps
from clipc.evaluate.zeroshot import measure_zero_shot
from clipc.progress import Progress, silent

EVALUATORS: Final[tuple[Evaluator, ...]] = (measure_retrieval, measure_swaps, measure_zero_shot, measure_probe)
"""The evaluators, in the order in which their metrics are shown."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of one model.

    Attributes:
        measurements: The measurements by their names: ``retrieval/text_to_image/recall@10``,
            ``retrieval/text_equal/mean_recall``, ``swaps/top1``, ``zero_shot/shape/top1``, ``probe/shape/4-shot/top1``.
        context: Facts about the data and the measurement, ready for JSON: ``split``, ``images``, ``captions``,
            ``distinct_captions``, ``columns`` (for each label column its classes, majority share, images, templates and
            probe strengths), ``swaps`` (the number of usable captions, examples, the 95% interval of the share, and
            ``blind``, the share that the words of training captions reach without the image), ``not_measured`` (the
            reason for each metric left out) and ``notes``.
    """

    measurements: dict[str, Measurement]
    context: dict[str, Any]

    @property
    def metrics(self) -> dict[str, float]:
        """The values of the metrics by name."""
        return {name: measurement.value for name, measurement in self.measurements.items()}

    @property
    def items(self) -> dict[str, npt.NDArray[np.float64]]:
        """The values of items (images, captions or examples) of each metric that is a mean over them, by name."""
        values = {name: measurement.values for name, measurement in self.measurements.items()}
        return {name: array for name, array in values.items() if array is not None}

    def as_json(self) -> dict[str, Any]:
        """``metrics`` (values by name), ``descriptions`` (:meth:`Measurement.description` by name) and ``context``."""
        descriptions = {name: measurement.description() for name, measurement in self.measurements.items()}
        return {"metrics": self.metrics, "descriptions": descriptions, "context": self.context}


def evaluate(
    model: Encoder,
    catalog: Catalog,
    *,
    split: str = "test",
    labels: Sequence[str] | None = None,
    class_names: Mapping[str, Mapping[str, str]] | None = None,
    templates: str | Sequence[str] | Mapping[str, str] = "auto",
    probe: bool = True,
    shots: Sequence[int] = SHOTS,
    evaluators: Sequence[Evaluator] = EVALUATORS,
    lang: str = "en",
    seed: int = 0,
    batch_size: int = 256,
    progress: Progress = silent,
) -> Evaluation:
    """Measures a model on one split; metrics that cannot be measured are left out, and the context says why.

    Args:
        model: The model, in evaluation mode.
        catalog: The catalog with all splits. Validation chooses templates and the probe's C; training fits the probe.
        split: The split to measure on.
        labels: The names of the label columns; by default those of the catalog.
        class_names: For each label column readable names by label, which replace the catalog's.
        templates: ``"auto"`` (for each column the built-in set that does best on validation), the name of a built-in
            set, a sequence of the user's own templates with ``{}``, or the name of a built-in set for each column.
        probe: Whether linear probes are fitted, for which the training images are encoded.
        shots: The numbers of images per class for few-shot probes; a probe on all labels is always fitted.
        evaluators: The evaluators to run.
        lang: The language of built-in templates, ``"en"`` or ``"ja"``.
        seed: The seed of the few-shot draws.
        batch_size: How many images or texts are encoded at once.
        progress: Called with the number of images or texts encoded.

    Raises:
        UserError: A split, column, template set or language does not exist, an image cannot be read, or features are
            not finite.
    """
    if isinstance(templates, str | Mapping):
        for name in [templates] if isinstance(templates, str) else templates.values():
            built_in_templates("general" if name == "auto" else name, lang)
    else:
        templates = check_templates(templates, "the list of templates")
    columns = catalog.about.label_columns if labels is None else tuple(labels)
    for column in columns:
        if column not in catalog.table.column_names:
            raise unknown_name("label column", column, catalog.table.column_names)

    @cache
    def image_features(name: str) -> Tensor:
        if name == split:
            return embeddings.image
        return embed_images(model, catalog.split(name), batch_size=batch_size, progress=progress)

    def task(column: str) -> ClassTask:
        readable_names = {**catalog.about.class_names.get(column, {}), **(class_names or {}).get(column, {})}
        return ClassTask.from_catalog(catalog, column, readable_names, image_features)

    embeddings = embed(model, catalog.split(split), batch_size=batch_size, progress=progress)
    subject = Subject(
        model=model,
        catalog=catalog,
        split=split,
        embeddings=embeddings,
        tasks=[task(column) for column in columns],
        templates=templates,
        lang=lang,
        shots=shots,
        seed=seed,
        context={"split": split, "columns": {}, "not_measured": {}, "notes": []},
        batch_size=batch_size,
        progress=progress,
    )
    chosen = [evaluator for evaluator in evaluators if probe or evaluator is not measure_probe]
    return Evaluation(by_name(chain.from_iterable(evaluator(subject) for evaluator in chosen)), subject.context)
