"""The bias audit of a trained model: group gaps, and the groups among the results of text queries."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from clipc.audit.bias.groups import exclusive_groups, group_gaps
from clipc.audit.bias.max_skew import chance_max_skew, max_skew
from clipc.audit.bias.mentions import Mentions
from clipc.catalog.catalog import Catalog
from clipc.evaluate.embed import Encoder
from clipc.evaluate.evaluation import evaluate
from clipc.evaluate.measurement import Measurement
from clipc.evaluate.retrieval import measure_retrieval
from clipc.evaluate.subject import Subject
from clipc.evaluate.zeroshot import measure_zero_shot
from clipc.progress import Progress, silent

QUERIES: Final = {"en": "a photo of {}", "ja": "{}の写真"}
"""The text query for a concept, by language."""

MAX_K: Final = 50
"""The largest k of MaxSkew@k; at most a tenth of the images."""

Models = Mapping[str, Encoder]
"""Models by name: ``model``, and ``against`` where two are compared."""


def audit_model(
    models: Models,
    catalog: Catalog,
    split: str,
    attributes: Sequence[Mentions],
    concepts: Sequence[str],
    *,
    rate: float,
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
        concepts: The concepts, which become text queries.
        rate: The rate of false discoveries.
        lang: The language of queries and prompts.
        progress: Called with the number of images and texts encoded.

    Returns:
        ``split`` and ``attributes``: for each ``name``, ``images`` and, by model, ``gaps`` (see
        :func:`~clipc.audit.bias.groups.group_gaps`) and ``skew``: ``k``, ``queries``, the mean ``max_skew``, its
        ``chance`` level, its ``threshold`` (the 95th percentile for a model blind to the groups), and the query that is
        ``worst``.

    Raises:
        UserError: fairlearn is not installed, or the split does not exist or cannot be measured.
    """
    tables: list[dict[str, Any]] = [{"name": a.name, "images": 0, "models": {}} for a in attributes]
    for name, model in models.items():
        scores: list[np.ndarray[Any, Any]] = []
        measured = _measure(model, catalog, split, concepts, scores, lang, progress)
        for table, attribute in zip(tables, attributes, strict=True):
            groups = exclusive_groups(attribute)
            table["images"] = int((groups >= 0).sum())
            gaps = group_gaps(measured, groups, attribute.names, rate)
            table["models"][name] = {"gaps": gaps, "skew": _skew(scores[0], groups, concepts)}
    return {"split": split, "attributes": tables}


def _measure(
    model: Encoder,
    catalog: Catalog,
    split: str,
    concepts: Sequence[str],
    scores: list[np.ndarray[Any, Any]],
    lang: str,
    progress: Progress,
) -> dict[str, Measurement]:
    """The recalls and zero-shot accuracies; adds the scores of all queries and images to ``scores``."""

    def search(subject: Subject) -> Iterable[Measurement]:
        texts = subject.encode_text([QUERIES[lang].format(concept) for concept in concepts])
        scores.append((texts @ subject.embeddings.image.T).numpy())
        return ()

    evaluators = (measure_retrieval, measure_zero_shot, search)
    found = evaluate(model, catalog, split=split, evaluators=evaluators, lang=lang, progress=progress).measurements
    wanted = ("retrieval/image_to_text/recall@10", "retrieval/text_to_image/recall@10")
    return {
        name: one
        for name, one in found.items()
        if one.values is not None and (name in wanted or (name.startswith("zero_shot/") and name.endswith("/top1")))
    }


def _skew(scores: np.ndarray[Any, Any], groups: Any, concepts: Sequence[str]) -> dict[str, Any] | None:
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
