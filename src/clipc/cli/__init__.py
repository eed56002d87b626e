"""The command line: one module a command, each calling functions of the Python API."""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from clipc.cli.compose import compose
from clipc.cli.evaluate import evaluate
from clipc.cli.export import export
from clipc.cli.pilot import pilot
from clipc.cli.screen import notes
from clipc.cli.study import study
from clipc.cli.train import train
from clipc.errors import UserError


def _default(value: Any) -> Any:
    """What help shows as a default: nothing where there is none, or only yes or no."""
    return None if value is None or value == () or isinstance(value, bool) else value


app = App(
    name="clipc",
    help="Train CLIP on the image-caption pairs you have: semantic composition (CLIP-C), honest paired "
    "experiments, and a report to decide on.",
    help_flags=["--help", "-h"],
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), show_default=_default),
)
app.command(pilot)
app.command(train)
app.command(evaluate, name="eval")
app.command(compose)
app.command(study)
app.command(export)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process: 0 done, 2 the user's mistake, 1 ours, 130 interrupted."""
    from clipc.train.interrupt import Interrupted

    try:
        with notes():
            app(arguments, exit_on_error=False, print_error=False, result_action="return_none")
    except (UserError, CycloptsError) as error:
        sys.exit(_fail(str(error)))
    except Interrupted as error:
        print(f"clipc: {error}", file=sys.stderr)
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _fail(message: str) -> int:
    print(f"clipc: {message}", file=sys.stderr)
    return 2
