"""What a model lost of what it could do before it was tuned."""

from dataclasses import replace
from typing import Any

import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.evaluate.embed import Encoder
from clipc.evaluate.evaluation import Evaluation, evaluate
from clipc.evaluate.statistics import sampling_error
from clipc.progress import Progress, silent


def forgetting(
    start: Encoder, tuned: Encoder, catalog: Catalog, lang: str = "en", progress: Progress = silent
) -> dict[str, Any]:
    """How much of the start's own skill on a set of the user's choosing tuning has cost.

    The skill is zero-shot top-1 on the set's main label column, or the mean recall of retrieval where it has no labels.
    Both models read the same prompts: those that do best for the start on the set's validation split, if there is one.

    Args:
        start: The model before tuning, in evaluation mode.
        tuned: The model after it, in evaluation mode.
        catalog: The set; its test split is used, or all of it where it has none.
        lang: The language of the prompts, ``"en"`` or ``"ja"``.
        progress: Told how far the encoding is.

    Returns:
        Ready for JSON: ``set``, ``split`` (``test`` or ``all``), ``metric`` (a name of
        :class:`~clipc.evaluate.Evaluation`), ``templates`` (None for retrieval), ``start`` and ``tuned`` (shares in
        [0, 1]), ``chance``, ``lost_points`` (``100 * (start - tuned)``, below zero where tuning helped), ``low`` and
        ``high`` (the ends of its 95% interval by bootstrap over images; None where one image allows none),
        ``lost_share`` (of what the start could do above chance; None where it could nothing) and ``n`` (images).

    Raises:
        UserError: An image cannot be read, or features are not finite.
    """
    split = "test" if "test" in catalog.splits else "all"

    def measure(model: Encoder, templates: str) -> Evaluation:
        return evaluate(
            model,
            catalog if split == "test" else _unsplit(catalog),
            split="test" if split == "test" else "train",
            labels=catalog.about.label_columns[:1],
            templates=templates,
            probe=False,
            lang=lang,
            progress=progress,
        )

    before = measure(start, "auto")
    column = next(iter(before.context["columns"]), None)
    templates = before.context["columns"][column]["templates"] if column else None
    after = measure(tuned, templates or "auto")
    metric = f"zero_shot/{column}/top1" if column else "retrieval/mean_recall"
    had, has, chance = before.metrics[metric], after.metrics[metric], before.measurements[metric].chance or 0.0
    lost = sampling_error([before.items[metric]], [after.items[metric]]).as_dict()
    return {
        "set": catalog.about.name,
        "split": split,
        "metric": metric,
        "templates": templates,
        "start": had,
        "tuned": has,
        "chance": chance,
        "lost_points": 100 * (had - has),
        "low": None if lost["low"] is None else 100 * lost["low"],
        "high": None if lost["high"] is None else 100 * lost["high"],
        "lost_share": (had - has) / (had - chance) if had > chance else None,
        "n": lost["n"],
    }


def _unsplit(catalog: Catalog) -> Catalog:
    """All pairs as one split, which is then called ``train``."""
    place = catalog.table.schema.get_field_index("split")
    return replace(catalog, table=catalog.table.set_column(place, "split", pa.nulls(len(catalog), pa.string())))
