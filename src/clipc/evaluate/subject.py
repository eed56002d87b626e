"""The signature of evaluators: their argument, a :class:`Subject`, and their result, measurements."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.evaluate.classes import ClassTask
from clipc.evaluate.embed import Embeddings, Encoder, embed_texts
from clipc.evaluate.measurement import Measurement
from clipc.extension import load_function
from clipc.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Subject:
    """A model on one split of a catalog, with features that are computed once for all evaluators.

    Attributes:
        model: The model, in evaluation mode.
        catalog: The catalog with all splits. An evaluator may choose and learn on the other splits, never on ``split``.
        split: The split to measure on.
        embeddings: The features of the images and captions of ``split``.
        tasks: The label columns as classification tasks. Features of other splits' images are computed on demand.
        templates: ``"auto"``, the name of a built-in template set, a sequence of the user's own templates, or the name
            of a built-in set for each label column (``"auto"`` for others).
        lang: The language of built-in templates.
        shots: The numbers of images per class for few-shot probes.
        seed: The seed of all random draws of evaluators.
        context: Facts about the data and the measurement, ready for JSON. An evaluator may write into ``not_measured``
            (a reason by metric), ``notes`` and keys of its own. It may write captions and class names only into keys of
            its own, which records of studies do not keep.
        batch_size: How many images or texts are encoded at once.
        progress: Called with the number of images or texts encoded.
    """

    model: Encoder
    catalog: Catalog
    split: str
    embeddings: Embeddings
    tasks: Sequence[ClassTask]
    templates: str | Sequence[str] | Mapping[str, str]
    lang: str
    shots: Sequence[int]
    seed: int
    context: dict[str, Any]
    batch_size: int = 256
    progress: Progress = silent

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Encodes texts as L2-normalised features, float32 (len(texts), D) on the CPU."""
        return embed_texts(self.model, texts, batch_size=self.batch_size, progress=self.progress)

    def classifications(self, kind: str) -> Iterator[ClassTask]:
        """The tasks that can be measured on the split; for others the reason is written into ``not_measured``.

        Args:
            kind: The first part of the metrics' names, such as ``probe``.
        """
        if not self.tasks:
            self.context["not_measured"][kind] = "the source has no class labels"
        for task in self.tasks:
            if problem := task.problem(self.split):
                self.context["not_measured"][f"{kind}/{task.column}"] = problem
            else:
                yield task


Evaluator = Callable[[Subject], Iterable[Measurement]]
"""Measures a model: yields the metrics it can measure, and writes reasons for others into the subject's context."""


def own_evaluator(name: str) -> Evaluator:
    """Loads a user's evaluator by its name ``module:object``.

    Raises:
        UserError: It cannot be loaded (see :func:`clipc.extension.load_function`). The evaluator itself raises it if
            the user's function does not return measurements.
    """
    function = load_function(name, "subject", result="measurements")

    def measure(subject: Subject) -> list[Measurement]:
        result: Any = function(subject)
        values: list[Any] = list(result) if isinstance(result, Iterable) else [result]
        if wrong := [value for value in values if not isinstance(value, Measurement)]:
            raise UserError(f"{name} gave {type(wrong[0]).__name__}; expected are measurements (clipc.Measurement).")
        return values

    return measure
