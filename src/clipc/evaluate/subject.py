"""What evaluators are given, and what they give: the one signature that all of them have."""

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
    """A model on one split of a catalog; its features are computed once, for all evaluators.

    Attributes:
        model: The model, in evaluation mode.
        catalog: All splits. To choose and to learn there are the others; nothing may be chosen or learnt on ``split``.
        split: The split to measure on.
        embeddings: The features of its images and captions.
        tasks: The label columns as classification tasks, with features of each split's images when they are asked for.
        templates: ``"auto"``, the name of a shipped template set, own templates, or the name of a shipped set for each
            label column (``"auto"`` for others).
        lang: The language of shipped templates.
        shots: The few-shot probes: numbers of images a class.
        seed: Of whatever an evaluator draws.
        context: What the metrics rest on, ready for JSON. An evaluator may write into ``not_measured`` (what, and why),
            ``notes`` and keys of its own; captions and names of classes only into such keys, which no record keeps.
        batch_size: How many images or texts are encoded at once.
        progress: Told how far the encoding is.
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
        """The L2-normalised features of texts, float32 (len(texts), D) on the CPU."""
        return embed_texts(self.model, texts, batch_size=self.batch_size, progress=self.progress)

    def classifications(self, kind: str) -> Iterator[ClassTask]:
        """The label columns by which the split can be classified; where it cannot, ``kind`` is told as not measured."""
        if not self.tasks:
            self.context["not_measured"][kind] = "the source has no class labels"
        for task in self.tasks:
            if problem := task.problem(self.split):
                self.context["not_measured"][f"{kind}/{task.column}"] = problem
            else:
                yield task


Evaluator = Callable[[Subject], Iterable[Measurement]]
"""Measures a model: yields every metric that it can measure, and says in the context what it could not."""


def own_evaluator(name: str) -> Evaluator:
    """The evaluator of a name ``module:object``.

    Raises:
        UserError: There is none (see :func:`clipc.extension.load_function`); when it is called, what it gives are no
            measurements.
    """
    measure = load_function(name, "subject", result="measurements")

    def measured(subject: Subject) -> list[Measurement]:
        given: Any = measure(subject)
        found: list[Any] = list(given) if isinstance(given, Iterable) else [given]
        if wrong := [one for one in found if not isinstance(one, Measurement)]:
            raise UserError(f"{name} gave {type(wrong[0]).__name__}; expected are measurements (clipc.Measurement).")
        return found

    return measured
