"""The bias audit of a trained model: group gaps, the groups among search results, and amplified associations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.audit.bias.groups import exclusive_groups, group_gaps
from clipc.audit.bias.max_skew import chance_max_skew, max_skew
from clipc.audit.bias.mentions import Mentions
from clipc.audit.bias.plan_variants import image_numbers
from clipc.audit.bias.predictions import Predictions, highest, prediction_amplification
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Int64s
from clipc.evaluate.embed import Encoder
from clipc.evaluate.evaluation import evaluate
from clipc.evaluate.measurement import Measurement
from clipc.evaluate.retrieval import measure_retrieval
from clipc.evaluate.subject import Subject
from clipc.evaluate.zeroshot import measure_zero_shot
from clipc.progress import Progress, silent

MAX_K: Final = 50
"""The largest k of MaxSkew@k; at most a tenth of the images."""

Models = Mapping[str, Encoder]
"""Models by name: ``model``, and ``against`` where two are compared."""

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class AskedAttribute:
    """An attribute of the measured pairs, and what is asked of models about it.

    Attributes:
        groups: The groups that the pairs show.
        texts: A text for each group; empty where a model cannot be asked, as about the values of a column.
        biased: Which groups and concepts go together in the training pairs more often than by chance, shape (G, K).
    """

    groups: Mentions
    texts: Sequence[str]
    biased: Bools


def audit_model(
    models: Models,
    catalog: Catalog,
    split: str,
    attributes: Sequence[AskedAttribute],
    concepts: Mentions,
    queries: Sequence[str],
    *,
    rate: float,
    level: float = 0.95,
    lang: str = "en",
    progress: Progress = silent,
) -> dict[str, Any]:
    """The groups' results under one or two models, ready for JSON.

    An image belongs to a group if it shows exactly one group of the attribute.

    Args:
        models: The models, in evaluation mode.
        catalog: The catalog with all splits.
        split: The split that is measured.
        attributes: The attributes of this split's pairs.
        concepts: The concepts of this split's pairs.
        queries: The text query of each concept.
        rate: The rate of false discoveries.
        level: The level of the intervals of amplification.
        lang: The language of prompts.
        progress: Called with the number of images and texts encoded.

    Returns:
        ``split`` and ``attributes``: for each ``name``, ``images``, ``amplification`` (see
        :func:`~clipc.audit.bias.predictions.prediction_amplification`) and, by model in ``models``, ``gaps`` (see
        :func:`~clipc.audit.bias.groups.group_gaps`) and ``skew``: ``k``, ``queries``, the mean ``max_skew``, its
        ``chance`` level, its ``threshold`` (the 95th percentile for a model blind to the groups), and the query that is
        ``worst``.

    Raises:
        UserError: fairlearn is not installed, or the split does not exist or cannot be measured.
    """
    texts = [*queries, *(text for attribute in attributes for text in attribute.texts)]
    image = image_numbers(catalog.split(split))
    groups = [exclusive_groups(attribute.groups) for attribute in attributes]
    tables: list[dict[str, Any]] = [
        {"name": attribute.groups.name, "images": int((group >= 0).sum()), "models": {}}
        for attribute, group in zip(attributes, groups, strict=True)
    ]
    predicted: list[dict[str, Predictions]] = [{} for _ in attributes]
    for name, model in models.items():
        measured, scores = _measure(model, catalog, split, texts, lang, progress)
        first = len(queries)
        for number, (attribute, group) in enumerate(zip(attributes, groups, strict=True)):
            gaps = group_gaps(measured, group, attribute.groups.names, rate)
            skew = _skew(scores[: len(queries)], group, concepts.names)
            tables[number]["models"][name] = {"gaps": gaps, "skew": skew}
            last = first + len(attribute.texts)
            rows = _rows(group, concepts)
            predicted[number][name] = _predictions(scores[:, rows], len(queries), slice(first, last), concepts.of(rows))
            first = last
    for table, attribute, group, found in zip(tables, attributes, groups, predicted, strict=True):
        rows = _rows(group, concepts)
        table["amplification"] = prediction_amplification(
            attribute.biased, attribute.groups.of(rows), concepts.of(rows), image[rows], found, level
        )
    return {"split": split, "attributes": tables}


def _rows(groups: Int64s, concepts: Mentions) -> Int64s:
    """The images of which both groups and concepts can be predicted: of one group, and of one concept or more."""
    return np.flatnonzero((groups >= 0) & concepts.present.any(axis=1)).astype(np.int64)


def _predictions(scores: Scores, queries: int, groups: slice, concepts: Bools) -> Predictions:
    """What a model predicts of images, from the scores of all texts."""
    asked = scores[groups]
    one = np.ones(scores.shape[1], dtype=np.int64)
    of_concepts = highest(scores[:queries], concepts.sum(axis=1).astype(np.int64))
    return Predictions(of_concepts, highest(asked, one) if len(asked) else None)


def _measure(
    model: Encoder, catalog: Catalog, split: str, texts: Sequence[str], lang: str, progress: Progress
) -> tuple[dict[str, Measurement], Scores]:
    """The recalls and zero-shot accuracies, and the score of each text for each image, shape (texts, images)."""
    scores: list[Scores] = []

    def search(subject: Subject) -> Iterable[Measurement]:
        scores.append((subject.encode_text(texts) @ subject.embeddings.image.T).numpy())
        return ()

    evaluators = (measure_retrieval, measure_zero_shot, search)
    found = evaluate(model, catalog, split=split, evaluators=evaluators, lang=lang, progress=progress).measurements
    wanted = ("retrieval/image_to_text/recall@10", "retrieval/text_to_image/recall@10")
    return {
        name: one
        for name, one in found.items()
        if one.values is not None and (name in wanted or (name.startswith("zero_shot/") and name.endswith("/top1")))
    }, scores[0]


def _skew(scores: Scores, groups: Any, concepts: Sequence[str]) -> dict[str, Any] | None:
    """MaxSkew@k over the images that belong to a group; None if they are too few."""
    kept = np.flatnonzero(groups >= 0)
    k = min(MAX_K, len(kept) // 10)
    if k < 5:
        return None
    values = max_skew(scores[:, kept], groups[kept], k)
    chance, threshold = chance_max_skew(scores[:, kept], groups[kept], k)
    return {
        "k": k,
        "queries": len(values),
        "max_skew": float(values.mean()),
        "chance": chance,
        "threshold": threshold,
        "worst": {"concept": concepts[int(values.argmax())], "max_skew": float(values.max())},
    }
