"""Differences of the metrics of two models on the same data, such as a model after and before fine-tuning."""

from clipc.evaluate.evaluation import Evaluation
from clipc.evaluate.statistics.sampling_error import sampling_error


def differences(model: Evaluation, start: Evaluation) -> dict[str, dict[str, float | int | None]]:
    """The difference of each metric that both evaluations have, with the sampling error of the test set.

    Args:
        model: The metrics of one model.
        start: The metrics of the other model, measured on the same data in the same way.

    Returns:
        For each metric by its name, ready for JSON:

        - ``mean``: the model's value minus the start's;
        - ``low`` and ``high``: the ends of a 95% interval by bootstrap over images
          (:func:`~clipc.evaluate.statistics.sampling_error`); None if the metric is not a mean over items, or if there
          is only one image;
        - ``n``: the number of images; None if the metric is not a mean over items.
    """
    table: dict[str, dict[str, float | int | None]] = {}
    for name, one in model.measurements.items():
        if (other := start.measurements.get(name)) is None:
            continue
        interval: dict[str, float | int | None] = {"low": None, "high": None, "n": None}
        if one.values is not None and other.values is not None:
            error = sampling_error([one.values], [other.values], one.owner).as_dict()
            interval = {key: error[key] for key in interval}
        table[name] = {"mean": one.value - other.value, **interval}
    return table


def template_names(evaluation: Evaluation) -> dict[str, str]:
    """The name of the template set used for each label column, by which another model gets the same prompts."""
    return {column: facts["templates"] for column, facts in evaluation.context.get("columns", {}).items()}
