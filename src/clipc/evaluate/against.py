"""Two models on the same data: the differences of their metrics, such as after fine-tuning and before."""

from clipc.evaluate.evaluation import Evaluation
from clipc.evaluate.statistics.sampling_error import sampling_error


def differences(model: Evaluation, start: Evaluation) -> dict[str, dict[str, float | int | None]]:
    """The difference of each metric that both were measured by, with the test set's own sampling error.

    Args:
        model: The metrics of one model.
        start: Those of the other, measured on the same data in the same way.

    Returns:
        By the metric's name, ready for JSON: ``mean`` (the model's value less the start's), ``low`` and ``high`` (its
        95% interval by bootstrap over images, :func:`~clipc.evaluate.statistics.sampling_error`; None where the metric
        is no mean of values of single items, or one image allows none) and ``n`` (images; None where there are no such
        values).
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


def templates_of(evaluation: Evaluation) -> dict[str, str]:
    """The template set that each label column was measured with, so that another model reads the same prompts."""
    return {column: facts["templates"] for column, facts in evaluation.context.get("columns", {}).items()}
