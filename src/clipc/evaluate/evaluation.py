"""A model's metrics on one split of a catalog: every evaluator in turn, on features that are computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
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
from clipc.evaluate.prompts import check_templates, shipped
from clipc.evaluate.retrieval import measure_retrieval
from clipc.evaluate.subject import Evaluator, Subject
from clipc.evaluate.swaps import measure_swaps
from clipc.evaluate.zeroshot import measure_zero_shot
from clipc.progress import Progress, silent

EVALUATORS: Final[tuple[Evaluator, ...]] = (measure_retrieval, measure_swaps, measure_zero_shot, measure_probe)
"""What a model is measured by, in the order in which metrics are shown."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of one model.

    Attributes:
        measurements: By their names: ``retrieval/text_to_image/recall@10``, ``retrieval/text_equal/mean_recall``,
            ``swaps/top1``, ``zero_shot/shape/top1``, ``probe/shape/4-shot/top1``, ...
        context: What they rest on: ``split``, ``images``, ``captions``, ``distinct_captions``, ``columns``
            (classes, majority share, images, templates and probe strengths of each label column), ``swaps`` (how many
            captions could be used, with examples, the share's 95% interval, and ``blind``, what the words of training
            captions reach without the image), ``not_measured`` (what, and why) and ``notes``. Ready for JSON.
    """

    measurements: dict[str, Measurement]
    context: dict[str, Any]

    @property
    def metrics(self) -> dict[str, float]:
        """The values by name."""
        return {name: one.value for name, one in self.measurements.items()}

    @property
    def items(self) -> dict[str, npt.NDArray[np.float64]]:
        """By the names of those metrics that are means of items, these: one value an image, caption or example."""
        return {name: one.values for name, one in self.measurements.items() if one.values is not None}

    def as_json(self) -> dict[str, Any]:
        """``metrics`` (values by name), ``descriptions`` (what they are, by name) and ``context``, ready for JSON."""
        described = {name: one.description() for name, one in self.measurements.items()}
        return {"metrics": self.metrics, "descriptions": described, "context": self.context}


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
    """Measures a model on one split; what cannot be measured is left out, and the context says why.

    Args:
        model: The model, in evaluation mode.
        catalog: All splits: validation chooses templates and the probe's C, the probe learns on training.
        split: The split to measure on.
        labels: The columns with class labels; by default those that the catalog names.
        class_names: For a label column, readable names of labels; they go before the catalog's own.
        templates: ``"auto"`` (for each column the shipped set that does best on validation), the name of a
            shipped set, own templates with ``{}``, or the name of a shipped set for each column.
        probe: Whether linear probes are fitted, for which the training images are encoded.
        shots: The few-shot probes beside the one on all labels: numbers of images a class.
        evaluators: What measures the model.
        lang: The language of shipped templates, ``"en"`` or ``"ja"``.
        seed: Of the few-shot draws.
        batch_size: How many images or texts are encoded at once.
        progress: Told how far the encoding is.

    Raises:
        UserError: No such split, column, template set or language; an unreadable image; features that are not finite.
    """
    own = None if isinstance(templates, str | Mapping) else check_templates(templates, "the list of templates")
    for name in templates.values() if isinstance(templates, Mapping) else [templates] if own is None else []:
        shipped("general" if name == "auto" else str(name), lang)
    columns = catalog.about.label_columns if labels is None else tuple(labels)
    for column in columns:
        if column not in catalog.table.column_names:
            raise unknown_name("label column", column, catalog.table.column_names)

    @cache
    def images(part: str) -> Tensor:
        if part == split:
            return embeddings.image
        return embed_images(model, catalog.split(part), batch_size=batch_size, progress=progress)

    def task(column: str) -> ClassTask:
        names = {**catalog.about.class_names.get(column, {}), **(class_names or {}).get(column, {})}
        return ClassTask.of(catalog, column, names, images)

    embeddings = embed(model, catalog.split(split), batch_size=batch_size, progress=progress)
    subject = Subject(
        model=model,
        catalog=catalog,
        split=split,
        embeddings=embeddings,
        tasks=[task(column) for column in columns],
        templates=templates if own is None else own,
        lang=lang,
        shots=shots,
        seed=seed,
        context={"split": split, "columns": {}, "not_measured": {}, "notes": []},
        batch_size=batch_size,
        progress=progress,
    )
    chosen = [evaluator for evaluator in evaluators if probe or evaluator is not measure_probe]
    return Evaluation(by_name(one for evaluator in chosen for one in evaluator(subject)), subject.context)
