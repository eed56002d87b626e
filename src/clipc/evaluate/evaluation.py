"""A model's figures on one split of a catalog: retrieval, swapped attributes, zero-shot classification, probes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clipc.catalog.catalog import Catalog
from clipc.errors import unknown_name
from clipc.evaluate.choices import share
from clipc.evaluate.classes import ClassTask
from clipc.evaluate.embed import Embeddings, Encoder, embed, embed_images, embed_texts
from clipc.evaluate.probe import SHOTS
from clipc.evaluate.probe import probe as linear_probe
from clipc.evaluate.prompts import check_templates, shipped
from clipc.evaluate.retrieval import check_features, retrieval
from clipc.evaluate.swaps import BLIND, LEAST, blind, nearer, usable
from clipc.evaluate.zeroshot import EncodeText, choose_templates, classifier, zero_shot
from clipc.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one model on one split.

    Attributes:
        metrics: Flat names to figures: ``retrieval/text_to_image/recall@10``, ``retrieval/text_equal/mean_recall``,
            ``swaps/top1``, ``zero_shot/shape/top1``, ``probe/shape/4-shot/top1``; all are shares in [0, 1] but
            ``.../median_rank``.
        items: By the same names, the values whose mean the metric is, one an image or caption; ``.../rank``, whose
            median is ``.../median_rank``; and ``retrieval/owner`` and ``swaps/owner``, the image of each caption.
        context: What the figures rest on: ``split``, ``images``, ``captions``, ``distinct_captions``, ``columns``
            (classes, majority share, images, templates and probe strengths of each label column), ``swaps`` (how many
            captions could be used, with examples, the share's 95% interval, and ``blind``, what the words of training
            captions reach without the picture), ``chance`` (levels by metric),
            ``not_measured`` (what, and why) and ``notes``. Ready for JSON.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    items: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)

    def add(self, prefix: str, metrics: dict[str, float], items: dict[str, Any], chance: dict[str, float]) -> None:
        """Files the figures of one measurement under a prefix."""
        self.metrics.update({f"{prefix}/{name}": value for name, value in metrics.items()})
        self.items.update({f"{prefix}/{name}": values for name, values in items.items()})
        self.context["chance"].update({f"{prefix}/{name}": level for name, level in chance.items()})


def clusters(metric: str, items: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64] | None:
    """The image of each of a metric's items where the items are captions; None where each item is an image.

    What :func:`clipc.evaluate.statistics.sampling_error` needs to draw an image's captions together.
    """
    if metric.startswith(("swaps/", "sugarcrepe/")):
        return items[f"{metric.rpartition('/')[0]}/owner"]
    return items["retrieval/owner"] if "/text_to_image/" in metric else None


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
        probe: Whether to fit linear probes, for which the training images are encoded.
        shots: The few-shot probes beside the one on all labels: numbers of images a class.
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

    result = Evaluation(context={"split": split, "chance": {}, "columns": {}, "not_measured": {}, "notes": []})
    measured = catalog.split(split)
    embeddings = embed(model, measured, batch_size=batch_size, progress=progress)
    _measure_retrieval(result, embeddings)
    others = catalog.split("train") if "train" in catalog.splits and split != "train" else None
    _measure_swaps(
        result,
        embeddings,
        measured,
        others,
        lambda texts: embed_texts(model, texts, batch_size=batch_size, progress=progress),
    )

    @cache
    def images(part: str) -> Tensor:
        if part == split:
            return embeddings.image
        return embed_images(model, catalog.split(part), batch_size=batch_size, progress=progress)

    kinds = ("zero_shot", "probe") if probe else ("zero_shot",)
    if not columns:
        result.context["not_measured"].update(dict.fromkeys(kinds, "the source has no class labels"))
    for column in columns:
        given = {**catalog.about.class_names.get(column, {}), **(class_names or {}).get(column, {})}
        task = ClassTask.of(catalog, column, given, images)
        if problem := task.problem(split):
            result.context["not_measured"].update({f"{kind}/{column}": problem for kind in kinds})
            continue
        name = templates.get(column, "auto") if isinstance(templates, Mapping) else templates
        _measure_zero_shot(result, task, split, model.encode_text, own or name, lang)
        if probe:
            _measure_probe(result, task, split, shots, seed)
    return result


def _measure_retrieval(result: Evaluation, embeddings: Embeddings) -> None:
    owner, sentence = embeddings.owner, embeddings.sentence
    found = retrieval(embeddings.image, embeddings.text, owner)
    result.add("retrieval", found.metrics(), found.items(), found.chance)
    result.items["retrieval/owner"] = owner
    distinct = len(np.unique(sentence))
    result.context.update(images=len(embeddings.image), captions=len(owner), distinct_captions=distinct)
    if len(np.unique(owner * distinct + sentence)) == distinct:
        result.context["not_measured"]["retrieval/text_equal"] = "no two images share a caption"
        return
    found = retrieval(embeddings.image, embeddings.text, owner, equal=sentence)
    result.add("retrieval/text_equal", found.metrics(), found.items(), found.chance)


def _measure_swaps(
    result: Evaluation, embeddings: Embeddings, catalog: Catalog, train: Catalog | None, encode_text: EncodeText
) -> None:
    swaps = usable([catalog.captions(row) for row in range(len(catalog))])
    result.context["swaps"] = swaps.context()
    if len(swaps.owner) < LEAST:
        result.context["not_measured"]["swaps"] = (
            f"{len(swaps.owner)} captions have two attributes that can be exchanged; {LEAST} are needed"
        )
        return
    numbers = {text: i for i, text in enumerate(dict.fromkeys(swaps.swapped))}
    features = encode_text(list(numbers))
    check_features(features)
    features = features[[numbers[text] for text in swaps.swapped]]
    values = nearer(swaps, embeddings.image, embeddings.text, features)
    result.add("swaps", {"top1": float(values.mean())}, {"top1": values, "owner": swaps.owner}, {"top1": 0.5})
    interval = share(values, swaps.owner)
    result.context["swaps"]["interval"] = [interval.low, interval.high]
    if train is not None:
        rows = range(0, len(train), len(train) // BLIND + 1)
        words_alone = blind(swaps, (text for row in rows for text in train.captions(row)))
        result.context["swaps"]["blind"] = float(words_alone.mean())


def _measure_zero_shot(
    result: Evaluation,
    task: ClassTask,
    split: str,
    encode_text: EncodeText,
    templates: str | Sequence[str],
    lang: str,
) -> None:
    test = task.part(split)
    chosen = templates if isinstance(templates, str) else "own"
    if chosen == "auto":
        val = task.apart_from(split, "val")
        if len(val.labels) == 0:
            note = "no labelled validation images to choose templates on; the general set was taken"
            result.context["notes"].append(f"zero_shot/{task.column}: {note}")
            chosen = "general"
        else:
            features = torch.from_numpy(val.features)
            chosen = choose_templates(encode_text, features, val.labels, task.names, lang)
    used = shipped(chosen, lang) if isinstance(templates, str) else templates
    weights = classifier(encode_text, task.names, used).cpu()
    found = zero_shot(torch.from_numpy(test.features), weights, test.labels)
    result.add(f"zero_shot/{task.column}", found.metrics(), found.items(), found.chance)
    result.context["columns"][task.column] = {
        "classes": task.names,
        "images": len(test.labels),
        "majority": float(np.bincount(test.labels).max() / len(test.labels)),
        "templates": chosen,
    }


def _measure_probe(result: Evaluation, task: ClassTask, split: str, shots: Sequence[int], seed: int) -> None:
    train = task.apart_from(split, "train")
    name = f"probe/{task.column}"
    if len(np.unique(train.labels)) < 2:
        result.context["not_measured"][name] = "no labelled training images of two classes or more"
        return
    fitted = linear_probe(train, task.apart_from(split, "val"), task.part(split), shots=shots, seed=seed)
    metrics = fitted.metrics()
    result.add(name, metrics, fitted.items(), dict.fromkeys(metrics, 1 / len(task.names)))
    result.context["columns"][task.column]["probe_strengths"] = fitted.strengths
    result.context["notes"] += [f"{name}/{note}" for note in fitted.notes]
