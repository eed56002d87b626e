"""Runs a case in a process of its own and judges it: how it ended, what it said, its time, memory and files."""

import gc
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from PIL import Image

Rng = np.random.Generator
Generator = Callable[[Rng, Path], Sequence[str]]
"""Writes the files of a case into an empty folder, beside which lies ``outside``, where nothing may be opened.

It gives the words of a command of clipc, or the name of one of :data:`ACTIONS` with its arguments.
"""

CPU_SECONDS = 10.0
MEMORY = 1_500_000_000
_HUNG_AFTER = 90.0
_ROOM = 6 << 30
_LONGEST = 1500
_CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_RAW_WARNING = re.compile(r"Traceback|\w+Warning: |^\s*warnings\.warn\(", re.MULTILINE)


class Verdict(NamedTuple):
    """What a case came to; ``faults`` is empty where all is well."""

    code: int
    told: str
    seconds: float
    memory: int
    faults: list[str]


def judge(generator: Generator, seed: Sequence[int], folder: Path) -> Verdict:
    """Writes and runs one case.

    Args:
        generator: The generator of its kind.
        seed: Two numbers, which make the same case again.
        folder: A folder that does not exist; it is removed afterwards.
    """
    _settle()
    root = folder / "root"
    for part in (root, folder / "outside", folder / "cache"):
        part.mkdir(parents=True)
    words = folder / "words.json"

    def prepare() -> None:
        words.write_text(json.dumps(generator(np.random.Generator(np.random.Philox(key=[*seed])), root)))

    # The files are written by a process of its own, whose time and memory do not count.
    code, _, _ = _in_child(prepare, folder / "prepared")
    assert code == 0, (folder / "prepared").read_text("utf-8", "replace")
    code, usage, hung = _in_child(lambda: _run(json.loads(words.read_text()), folder / "outside"), folder / "told")
    told = (folder / "told").read_bytes().decode("utf-8", "replace")
    seconds = usage.ru_utime + usage.ru_stime
    memory = usage.ru_maxrss * 1024 - int((folder / "told.base").read_text())
    shutil.rmtree(folder, ignore_errors=True)
    return Verdict(code, told, seconds, memory, list(_faults(code, told, seconds, memory, hung)))


def _run(words: list[str], outside: Path) -> NoReturn:
    place = str(outside.resolve())

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            path, flags = os.fsdecode(arguments[0]), arguments[2]
            last_link_refused = isinstance(flags, int) and flags & os.O_NOFOLLOW
            if os.path.realpath(os.path.dirname(path) if last_link_refused else path).startswith(place):
                os.write(1, f"\nOPENED OUTSIDE: {path!r}\n".encode("utf-8", "backslashreplace"))

    sys.addaudithook(hear)
    from clipc.cli import exit_after, main

    if words[0] in ACTIONS:
        exit_after(lambda: ACTIONS[words[0]](*words[1:]))
    main(words)


def _read(source: str, *options: str) -> None:
    """Opens a source as all commands do, and shows its images and captions to a small model."""
    from clipc.catalog.images.decode import DecodeError
    from clipc.catalog.open import open_catalog
    from clipc.cli.common import print_catalog
    from clipc.models.tokenizer import load_tokenizer
    from clipc.progress import line_progress
    from clipc.render.evaluation_view import Resizing, evaluation_view

    fields = dict(option.split("=", 1) for option in options)
    lists = ("caption_columns", "label_columns", "caption_templates")
    typed = {name: (value,) if name in lists else value for name, value in fields.items()}
    catalog = open_catalog(source, progress=line_progress(sys.stderr), **typed)
    print_catalog(catalog)
    tokenizer = load_tokenizer("nano")
    for row in range(min(len(catalog), 20)):
        tokenizer(catalog.captions(row)[:5])
        try:
            evaluation_view(catalog.image(row, (32, 32)), 32, Resizing())
        except (OSError, DecodeError) as error:
            print(f"image {row}: {error}", file=sys.stderr)


def _load(model: str, reference: str) -> None:
    """Loads a model, encodes an image and a caption, and compares its weights with those of another folder."""
    import torch

    from clipc.models.model import ClipModel

    loaded = ClipModel.load(model)
    with torch.no_grad():
        loaded.encode_image(torch.zeros((1, loaded.image_size, loaded.image_size, 3), dtype=torch.uint8))
        loaded.encode_text(["a red plate"])
    if reference:
        _compare(Path(model) / "model", Path(reference))


def _compare(folder: Path, reference: Path) -> None:
    from safetensors.torch import load_file

    own, expected = (load_file(each / "open_clip_model.safetensors") for each in (folder, reference))
    if own.keys() != expected.keys() or any(not own[name].equal(expected[name]) for name in own):
        print("OTHER WEIGHTS")


def _resume(recipe: str, folder: str, reference: str) -> None:
    """Resumes a run, whose end is known."""
    from clipc.cli import app

    app(["train", recipe, "--out", folder], exit_on_error=False, print_error=False, result_action="return_none")
    _compare(Path(folder) / "model", Path(reference))


def _cached(source: str) -> None:
    """Opens a catalog from the cache, and compares it with its fingerprint."""
    from clipc.catalog.catalog import fingerprint
    from clipc.catalog.open import open_catalog

    catalog = open_catalog(source)
    if fingerprint(catalog.table) != catalog.fingerprint or len(catalog) != 24 or catalog.about.name != "pairs":
        print("ANOTHER CATALOG")


def _record(file: str) -> None:
    """Reads a record as a study does."""
    from clipc.recipe.recipe import make_recipe
    from clipc.study.record import read_diverged, read_record
    from clipc.study.trials import EvaluationOptions, Trial

    trial, options = Trial("a", make_recipe({"epochs": 1}), Path()), EvaluationOptions()
    if read_diverged(options, Path(file)) is None and (outcome := read_record(trial, options, Path(file))) is not None:
        print(outcome.metrics)


ACTIONS: dict[str, Callable[..., None]] = {
    "read": _read,
    "load": _load,
    "resume": _resume,
    "cached": _cached,
    "record": _record,
}
"""What is run beside the commands of clipc: a command would take seconds for what is told in tenths."""


def _faults(code: int, told: str, seconds: float, memory: int, hung: bool) -> Iterator[str]:
    if hung:
        yield f"did not end in {_HUNG_AFTER:.0f} s"
    elif code not in (0, 2):
        yield f"exit code {code}"
    if seconds > CPU_SECONDS:
        yield f"{seconds:.1f} s"
    if memory > MEMORY:
        yield f"{memory / 1e9:.2f} GB"
    if found := _CONTROLS.search(told):
        yield f"a raw control character {found[0]!r}"
    if found := _RAW_WARNING.search(told):
        yield f"a raw message: {told[found.start() : found.start() + 200]!r}"
    if re.search("^(OTHER WEIGHTS|ANOTHER CATALOG|RAN)$", told, re.MULTILINE):
        yield "other weights, another catalog, or code that was run, without a word"
    if "OPENED OUTSIDE" in told:
        yield "a file outside was opened"
    sentences = [line for line in told.splitlines() if line.startswith("clipc: ")]
    if code == 2 and (len(sentences) != 1 or not told.rstrip().endswith(sentences[0])):
        yield f"{len(sentences)} sentences at the end"
    if any(len(line) > _LONGEST + 100 for line in told.splitlines()):
        yield "a line of more than 1,600 characters"


@cache
def _settle() -> None:
    """Makes forks cheap: what each would import is imported, and the garbage collector touches no page of it."""
    Image.init()
    gc.collect()
    gc.freeze()


def _in_child(action: Callable[[], object], output: Path) -> tuple[int, resource.struct_rusage, bool]:
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
            sys.stdout, sys.stderr = (
                TextIOWrapper(FileIO(number, "w", closefd=False), "utf-8", line_buffering=True) for number in (1, 2)
            )
            os.environ["CLIPC_CACHE"] = str(output.parent / "cache")
            os.chdir(output.parent)
            output.with_suffix(".base").write_text(str(_status("VmRSS")))
            limit = _status("VmSize") + _ROOM
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            action()
        except SystemExit as ended:
            _leave(ended.code if isinstance(ended.code, int) else 0)
        except BaseException:
            import traceback

            traceback.print_exc()
            _leave(1)
        _leave(0)
    began, hung = time.monotonic(), False
    pid, status, usage = os.wait4(child, os.WNOHANG)
    while pid == 0:
        time.sleep(0.01)
        if time.monotonic() - began > _HUNG_AFTER:
            os.killpg(child, signal.SIGKILL)
            hung = True
            pid, status, usage = os.wait4(child, 0)
            break
        pid, status, usage = os.wait4(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status), usage, hung


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) << 10
