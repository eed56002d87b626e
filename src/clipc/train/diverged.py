"""The error of a run whose loss or weights are not finite."""

from clipc.errors import UserError
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.train.checkpoint import checkpoint_steps


class Diverged(UserError):
    """The loss or a weight is not finite.

    Attributes:
        step: The number of steps done.
    """

    def __init__(self, message: str, step: int) -> None:
        """Stores the message and the step."""
        super().__init__(message, step)  # Unpickling passes these arguments to __init__ again.
        self.step = step

    def __str__(self) -> str:
        """The message."""
        return str(self.args[0])


def diverged(recipe: Recipe, run: Run, step: int) -> Diverged:
    """The error after a step of a run, which says where the run can go on from."""
    steps = checkpoint_steps(run.checkpoints)
    last = f"the last good checkpoint is step {steps[-1]}" if steps else "there is no checkpoint yet"
    return Diverged(
        f"the loss or a weight is not finite at step {step} (run folder {run.folder}; {last}); "
        f"start a new run with a learning_rate below {recipe.learning_rate:g}, or with precision=fp32.",
        step,
    )
