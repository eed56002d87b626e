"""Is a new model better than an old one on the same pairs, for which classes is it worse, and what changes in use?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Int64s
from clipc.errors import UserError
from clipc.evaluate.against import differences, template_names
from clipc.evaluate.choices import share
from clipc.evaluate.evaluation import Evaluation, evaluate
from clipc.evaluate.prompts import prompt_language
from clipc.evaluate.statistics.holm import holm
from clipc.evaluate.statistics.paired_hits import PairedHits, paired_hits
from clipc.inference.classify import ClassifierOptions, ClassLabels, ImageClassifier, make_classifier
from clipc.inference.image_index import ImageIndex
from clipc.inference.tables import with_images
from clipc.inference.used_model import UsedModel
from clipc.progress import Progress, silent
from clipc.recipe.ancestors import seen_images
from clipc.render.evaluation_view import Resizing

ALPHA: Final = 0.05
"""The share of false alarms over all classes together."""

Outcome = Literal["better", "worse", "mixed", "no evidence"]
"""What the main metrics say of the new model."""


@dataclass(frozen=True)
class CompareOptions:
    """How two models are compared.

    Attributes:
        split: The split to compare on.
        templates: As for :func:`clipc.evaluate.evaluation.evaluate`; what ``auto`` chooses for the old model holds for
            both.
        accuracy: The accuracy that answers of a classifier shall have, for the thresholds.
        examples: The number of examples of what got worse.
        cache: The cache folder; None for the default one.
    """

    split: str = "test"
    templates: str | tuple[str, ...] = "auto"
    accuracy: float = 0.95
    examples: int = 12
    cache: Path | None = None


def compare_models(
    old: UsedModel,
    new: UsedModel,
    catalog: Catalog,
    options: CompareOptions | None = None,
    *,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Compares a new model with an old one on the same pairs; each image is encoded once by each model.

    Args:
        old: The model in use.
        new: The model that may replace it.
        catalog: The pairs, with the split to compare on. Its validation split calibrates thresholds.
        options: How they are compared.
        progress: Called with the number of images and captions encoded.

    Returns:
        The tables, ready for JSON: ``source``, ``models`` (``old`` and ``new``), ``split``, ``n`` (pairs compared),
        ``seen`` (pairs of the split left out, because a model was trained on their images), ``outcome``
        (:data:`Outcome`), ``metrics`` (for each ``name``, ``main``, ``old``, ``new``, and the ``difference`` with its
        95% interval), ``classes`` (for each the recall of both, the paired difference with its interval, Holm's ``p``
        over classes, and ``change``), ``worse`` (the classes that got worse), ``lost`` and ``gained`` (numbers of test
        images), ``examples`` (what got worse, with small images as ``data:`` addresses), ``thresholds`` (for each model
        its threshold and what it gives, and what the ``kept`` old threshold would give the new model), ``created`` and
        ``clipc``. ``classes`` to ``thresholds`` are empty or None without labels.

    Raises:
        UserError: There is no such split, or an image cannot be read.
    """
    options = options or CompareOptions()
    if options.split not in catalog.splits:
        raise UserError(
            f"{catalog.about.name} has no {options.split} split (it has {', '.join(catalog.splits)}); name one with "
            "--split."
        )
    pairs, seen = _unseen(old, new, catalog, options.split)
    evaluations: list[Evaluation] = []
    for model in (old, new):
        prompts: Any = options.templates
        if evaluations and prompts == "auto":
            prompts = template_names(evaluations[0])
        encoder = _Indexed(model, options.cache, progress)
        shared: Any = {"split": options.split, "probe": False, "lang": prompt_language(catalog), "progress": progress}
        evaluations.append(evaluate(encoder, pairs, templates=prompts, **shared))
    metrics = _metrics(*evaluations)
    tables: dict[str, Any] = {
        "kind": "compare",
        "source": {
            "name": catalog.about.name,
            "fingerprint": catalog.fingerprint,
            "generated": catalog.about.generated,
        },
        "models": {"old": old.as_json(), "new": new.as_json()},
        "split": options.split,
        "n": pairs.splits[options.split],
        "seen": seen,
        "outcome": outcome([row["difference"] for row in metrics if row["main"]]),
        "metrics": metrics,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "clipc": version("clipc"),
    }
    empty = {"classes": [], "worse": [], "lost": 0, "gained": 0, "examples": [], "thresholds": None}
    return tables | empty | _by_class(old, new, pairs, options, template_names(evaluations[0]), progress)


def _unseen(old: UsedModel, new: UsedModel, catalog: Catalog, split: str) -> tuple[Catalog, int]:
    """The pairs to compare on and those of validation, without images that a model was trained on; and their number.

    Raises:
        UserError: A model was trained on all of them.
    """
    is_seen = np.zeros(len(catalog), bool)
    for model in (old, new):
        images = None if model.run is None else seen_images(model.run)
        if images is not None:
            is_seen |= np.isin(catalog.table["content"].to_numpy(), images)
    measured = catalog.split_names == split
    if not (measured & ~is_seen).any():
        raise UserError(f"all images of the split {split} are among those that a model was trained on; name another.")
    kept = (measured | (catalog.split_names == "val")) & ~is_seen
    return catalog.take(np.flatnonzero(kept)), int((measured & is_seen).sum())


def outcome(main: Sequence[Mapping[str, Any]]) -> Outcome:
    """What the intervals of the main metrics' differences say together.

    Args:
        main: For each main metric the ends ``low`` and ``high`` of the interval of new minus old; None without one.
    """
    ends = [(row["low"], row["high"]) for row in main if row["low"] is not None and row["low"] < row["high"]]
    up, down = any(low > 0 for low, _ in ends), any(high < 0 for _, high in ends)
    return "mixed" if up and down else "better" if up else "worse" if down else "no evidence"


@dataclass(frozen=True, eq=False)
class _Indexed:
    """An encoder whose images are encoded once and kept (:class:`clipc.evaluate.embed.CatalogEncoder`)."""

    model: UsedModel
    cache: Path | None
    progress: Progress

    @property
    def image_size(self) -> int:
        return self.model.clip.image_size

    @property
    def resizing(self) -> Resizing:
        return self.model.clip.resizing

    def encode_image(self, images: torch.Tensor, /) -> torch.Tensor:
        return self.model.clip.encode_image(images)

    def encode_text(self, texts: list[str], /) -> torch.Tensor:
        return self.model.clip.encode_text(texts)

    def encode_catalog(self, catalog: Catalog, progress: Progress = silent, /) -> torch.Tensor:
        index = ImageIndex.of(self.model, catalog, cache=self.cache, progress=progress)
        return torch.from_numpy(index.features())


def _metrics(old: Evaluation, new: Evaluation) -> list[dict[str, Any]]:
    """A row for each metric, main ones first; differences of metrics where lower is better are turned."""
    changes = differences(new, old)
    rows: list[dict[str, Any]] = []
    for name, change in changes.items():
        one = new.measurements[name]
        rows.append(
            {
                "name": name,
                "main": one.default_main,
                "unit": one.unit,
                "higher_is_better": one.higher_is_better,
                "old": old.metrics[name],
                "new": one.value,
                "difference": change,
            }
        )
    return sorted(rows, key=lambda row: not row["main"])


def _by_class(
    old: UsedModel,
    new: UsedModel,
    pairs: Catalog,
    options: CompareOptions,
    templates: Mapping[str, str],
    progress: Progress,
) -> dict[str, Any]:
    """The tables that need labels; empty without them."""
    columns = pairs.about.label_columns
    if not columns or columns[0] not in templates:
        return {}
    prompts = options.templates if isinstance(options.templates, tuple) else templates[columns[0]]
    wanted = ClassifierOptions(templates=prompts, accuracy=options.accuracy)
    indexes = [ImageIndex.of(model, pairs, cache=options.cache, progress=progress) for model in (old, new)]
    models = [make_classifier(index, wanted, progress=progress) for index in indexes]
    labels = ClassLabels.of(pairs, models[0].names)
    rows = np.flatnonzero((pairs.split_names == options.split) & (labels.ids >= 0))
    right = labels.ids[rows]
    answers = [model(index.features(rows)) for model, index in zip(models, indexes, strict=True)]
    hits = [answer.choice == right for answer in answers]
    classes = _class_rows(models[0].names, right, *hits)
    lost, gained = hits[0] & ~hits[1], hits[1] & ~hits[0]
    worst = np.flatnonzero(lost)
    worst = worst[np.argsort(-answers[1].probability[worst], kind="stable")][: options.examples]
    examples = [
        {
            "row": int(rows[i]),
            "key": pairs.keys[rows[i]],
            "label": models[0].names[right[i]],
            "old": models[0].names[answers[0].choice[i]],
            "new": models[0].names[answers[1].choice[i]],
            "probability": float(answers[1].probability[i]),
        }
        for i in worst.tolist()
    ]
    return {
        "classes": classes,
        "worse": [row["name"] for row in classes if row["change"] == "worse"],
        "lost": int(lost.sum()),
        "gained": int(gained.sum()),
        "examples": with_images(examples, pairs, progress),
        "thresholds": _thresholds(models, indexes, labels.ids),
    }


def _class_rows(names: Sequence[str], right: Int64s, old: Bools, new: Bools) -> list[dict[str, Any]]:
    """A row for each class with test images; a class changed where Holm's p value over all of them is small."""
    present = [(name, right == i) for i, name in enumerate(names) if (right == i).any()]
    pairs: list[PairedHits] = [paired_hits(new[of], old[of]) for _, of in present]
    rows: list[dict[str, Any]] = []
    for (name, of), pair, p in zip(present, pairs, holm([pair.p for pair in pairs]), strict=True):
        assert p is not None
        change = "unclear" if p >= ALPHA else "worse" if pair.lost > pair.gained else "better"
        facts = {"name": name, "n": int(of.sum()), "old": float(old[of].mean()), "new": float(new[of].mean())}
        rows.append(
            {
                **facts,
                "difference": pair.difference.as_dict(),
                "gained": pair.gained,
                "lost": pair.lost,
                "p": p,
                "change": change,
            }
        )
    return sorted(rows, key=lambda row: row["difference"]["mean"])


def _thresholds(
    models: Sequence[ImageClassifier], indexes: Sequence[ImageIndex], labels: Int64s
) -> dict[str, Any] | None:
    """The thresholds of both models, and what the old one would give the new model; None with too few labels."""
    old, new = (model.calibration.abstention for model in models)
    if old is None or new is None:
        return None
    pairs = indexes[1].catalog
    rows = np.flatnonzero((pairs.split_names == "val") & (labels >= 0))
    kept = replace(models[1].calibration, abstention=replace(new, threshold=old.threshold))
    answers = replace(models[1], calibration=kept)(indexes[1].features(rows))
    hits = (answers.choice == labels[rows])[answers.answered]
    table = {
        name: model.calibration.as_json()["abstention"] for name, model in zip(("old", "new"), models, strict=True)
    }
    accuracy = share(hits).as_dict() if len(hits) else None
    return table | {"n": len(rows), "kept": {"accuracy": accuracy, "answered": share(answers.answered).as_dict()}}
