"""A model and a catalog into figures: pure metric functions on features, thin evaluators around them.

Importing this package loads neither torch nor scikit-learn; its functions do.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipc.evaluate.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from clipc.evaluate import evaluation

    return getattr(evaluation, name)
