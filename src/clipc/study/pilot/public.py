"""What a user could take instead of training: a public model as it comes, on the same test split and prompts."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from clipc.errors import UserError
from clipc.evaluate.measurement import Measurement, dump_measurements, load_measurements
from clipc.evaluate.statistics.sampling_error import sampling_error
from clipc.models.device import choose_device
from clipc.models.fingerprints import scorer_fingerprint
from clipc.models.model import ClipModel
from clipc.study.pilot.stages.stage import Context
from clipc.study.run import evaluation_options

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PublicModel:
    """A public model on the test split.

    Attributes:
        name: Its name, as the user gave it.
        measurements: Its main metrics by name; empty where it could not be measured.
    """

    name: str
    measurements: Mapping[str, Measurement]

    def rows(self, metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """A row for each main metric that is a mean over items.

        Args:
            metrics: The rows of :func:`clipc.study.results.metrics_table`.

        Returns:
            Rows of ``kind`` (``public``), ``metric``, ``model``, ``mean``, ``low`` and ``high`` (the 95% interval by
            bootstrap over test images), ``n`` (of images or captions) and ``chance``.
        """
        rows: list[dict[str, Any]] = []
        for metric in metrics:
            one = self.measurements.get(metric["key"]) if metric["main"] else None
            if one is None or one.values is None:
                continue
            interval = sampling_error([one.values], [np.zeros_like(one.values)], one.owner).as_dict()
            ends = {name: interval[name] for name in ("mean", "low", "high", "n")}
            rows.append({"kind": "public", "metric": one.name, "model": self.name, **ends, "chance": one.chance})
        return rows


def measure_public(context: Context) -> PublicModel | None:
    """Evaluates the public model of the options as it comes, as trials are evaluated, or reads what was measured.

    A model that cannot be reached is logged in one sentence, and the pilot goes on without it.

    Args:
        context: What the stages share.

    Returns:
        The model; None where the options name none.
    """
    name = context.options.public
    if name is None:
        return None
    try:
        key = blake2b(scorer_fingerprint(name).encode(), digest_size=4).hexdigest()
        kept = context.settled(f"public-{key}", lambda: _evaluate(context, name))
    except UserError as error:
        logger.warning(f"the pilot goes on without the public model {name}: {error}")
        return PublicModel(name, {})
    arrays = {key: np.array(values) for key, values in kept["arrays"].items()}
    return PublicModel(name, load_measurements(kept["metrics"], kept["descriptions"], arrays))


def _evaluate(context: Context, name: str) -> dict[str, Any]:
    """The main metrics of a model, ready for JSON."""
    study = context.design.study
    model = ClipModel.load(name).to(choose_device(context.design.baseline.device))
    options = evaluation_options(study)
    evaluation = options.evaluate(model, context.catalog, probe=False, progress=context.progress)
    main = {key: one for key, one in evaluation.measurements.items() if one.default_main or key in study.main}
    descriptions, arrays = dump_measurements(main)
    values = {key: array.tolist() for key, array in arrays.items()}
    return {"metrics": {key: one.value for key, one in main.items()}, "descriptions": descriptions, "arrays": values}
