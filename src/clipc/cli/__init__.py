"""The command line: one module for each command, which calls functions of the Python API."""

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from threading import Event, Thread
from typing import Any, NoReturn

from cyclopts import App, CycloptsError, Parameter

from clipc.cli.audit import audit
from clipc.cli.classify import classify
from clipc.cli.common import print_logs
from clipc.cli.compare import compare
from clipc.cli.compose import compose
from clipc.cli.doctor import doctor
from clipc.cli.evaluate import evaluate
from clipc.cli.export import export
from clipc.cli.pilot import pilot
from clipc.cli.review import review
from clipc.cli.search import search
from clipc.cli.serve import serve
from clipc.cli.study import study
from clipc.cli.train import train
from clipc.errors import UserError, sentence
from clipc.files import disk_error
from clipc.translation import VARIABLE, translate, wanted_language

_PATIENCE = 1.0
"""Seconds without a word before it is said that libraries are loaded."""
_BETWEEN_WORDS = 2.5
"""Seconds until it is said again."""


def _shown_default(value: Any) -> Any:
    """The default that help shows; None hides it, for flags and empty values."""
    return None if value is None or value == () or isinstance(value, bool) else value


app = App(
    name="clipc",
    help="Train CLIP on the image-caption pairs you have: semantic composition (CLIP-C), honest paired "
    "experiments, and a report to decide on.",
    help_flags=["--help", "-h"],
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), show_default=_shown_default),
)
app.command(pilot)
app.command(train)
app.command(evaluate, name="eval")
app.command(compose)
app.command(doctor)
app.command(audit)
app.command(review)
app.command(study)
app.command(export)
app.command(search)
app.command(classify)
app.command(serve)
app.command(compare)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits, with the codes of :func:`exit_after`."""
    # User code may be in the working folder, as with python -m. The folder goes last, so that it shadows no module.
    with suppress(OSError):  # the working folder may be gone
        if (here := os.getcwd()) not in sys.path:
            sys.path.append(here)
    words = sys.argv[1:] if arguments is None else arguments
    with _terminal_language(words), _loading_told():
        exit_after(lambda: app(arguments, exit_on_error=False, print_error=False, result_action="return_none"))


@contextmanager
def _terminal_language(arguments: Sequence[str]) -> Generator[None]:
    """Settles the language of the terminal for a command and for the processes that it starts."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = wanted_language(arguments, os.environ)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


@contextmanager
def _loading_told() -> Generator[None]:
    """Says so on standard error where loading the large libraries takes long, so that no command begins in silence."""
    ended = Event()

    def watch() -> None:
        told, next_word = "loading PyTorch and the libraries around it ...", 0.0
        while not ended.wait(_PATIENCE):
            modules = [sys.modules[name] for name in ("torch", "open_clip") if name in sys.modules]
            loading = any(getattr(module.__spec__, "_initializing", False) for module in modules)
            if loading and time.monotonic() >= next_word:
                print(translate(told), file=sys.stderr, flush=True)
                told, next_word = "still loading ...", time.monotonic() + _BETWEEN_WORDS
            if not loading and "open_clip" in sys.modules:
                return

    if "open_clip" not in sys.modules:
        Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def exit_after(command: Callable[[], object]) -> NoReturn:
    """Does what a command does and exits: code 0 for success, 2 for a user's error, 1 for a bug, 130 for an interrupt.

    A user's error is one sentence on standard error. Warnings of libraries, which speak to programmers, are not shown
    unless Python is asked for warnings (``-W``, ``PYTHONWARNINGS``).
    """
    from clipc.train.interrupt import Interrupted

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if not logging.root.handlers:
        logging.root.addHandler(logging.NullHandler())  # Else Python prints what other loggers warn of.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # Names of files need not be text.
    try:
        with print_logs():
            command()
        sys.stdout.flush()
    except (UserError, CycloptsError, Interrupted) as error:
        print(f"clipc: {translate(sentence(error))}", file=sys.stderr)
        sys.exit(130 if isinstance(error, Interrupted) else 2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # The reader of the output, such as head, has all that it wants.
        _discard_output()
    except Exception as error:
        if (told := disk_error(error)) is None:
            raise
        print(f"clipc: {translate(sentence(told))}", file=sys.stderr)
        _discard_output()
        sys.exit(2)
    sys.exit(0)


def _discard_output() -> None:
    """Drops what cannot be printed; otherwise Python tries once more at its end, and exits with a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
