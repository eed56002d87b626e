"""The command line: one short function a command, each calling one function of the Python API."""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.progress import Progress, terminal
from clipc.screen import pilot_lines, tell

if TYPE_CHECKING:
    from clipc.train.recipe import Data

app = App(
    name="clipc",
    help="Train CLIP on the image-caption pairs you have: semantic composition (CLIP-C), honest paired "
    "experiments, and a report to decide on.",
    help_flags=["--help", "-h"],
    version_flags=["--version"],
    default_parameter=Parameter(negative_iterable=(), show_default=lambda value: value not in (None, (), False, True)),
)


@Parameter(name="*")
@dataclass(frozen=True)
class Columns:
    """How a source is read, where clipc does not find it out by itself.

    Attributes:
        images: The folder that a table's image paths are relative to.
        image_column: The table's column of image paths.
        caption_columns: A column of captions; may be repeated.
        label_columns: A column of class labels, the main one first; may be repeated.
        split_column: The column that names train, val and test.
        key_column: The column of unique keys.
        group_column: Pairs of one group (a patient, a part) stay in one split.
        encoding: The encoding of tables and caption files.
        cache: Where catalogs are kept; $CLIPC_CACHE or the user's cache folder by default.
        lang: Language of the demo set, of prompts and of pages.
    """

    images: Path | None = None
    image_column: str | None = None
    caption_columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    split_column: str | None = None
    key_column: str | None = None
    group_column: str | None = None
    encoding: str | None = None
    cache: Path | None = None
    lang: Literal["en", "ja"] = "en"


Json = Annotated[bool, Parameter(name="--json", negative="")]
Out = Annotated[Path | None, Parameter(name="--out")]


@app.command
def pilot(
    source: str = "demo",
    /,
    *,
    budget: Literal["quick", "standard", "long"] | None = None,
    minutes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    seeds: Annotated[int, Parameter(validator=Number(gte=3))] = 3,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    recipe: str | None = None,
    override: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    templates: str = "auto",
    pictures: bool = True,
    columns: Columns | None = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """CLIP, its augmentation control and CLIP-C on the same pairs, seeds and time; then a report.

    Args:
        source: A tar, a folder or glob of tars, a table (CSV, TSV, JSONL, Parquet), a folder of images, a
            Hugging Face set (hf:owner/name), or the built-in demo set.
        budget: quick (under 5 minutes, without the control arm; the demo's default), standard (20 minutes) or
            long (90).
        minutes: The time for everything, instead of the budget's.
        seeds: How many seeds, 3 at least.
        jobs: Trials at a time; on a CPU one a core by default.
        recipe: The recipe that all arms share: a YAML file, or one that ships; nano for quick, else small.
        override: A change to the recipe, such as policy.rho=0.15; may be repeated.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        pictures: Whether the report shows pictures; --no-pictures for private ones.
        columns: How the source is read.
        out: Where everything goes; runs/pilot-NAME by default.
        as_json: Print the report's tables as one JSON object.
    """
    from clipc.report.pilot import render_pilot
    from clipc.study.options import PilotOptions
    from clipc.study.pilot import pilot as run_pilot

    columns = columns or Columns()
    folder = out or Path("runs") / f"pilot-{_short(source)}{'' if columns.lang == 'en' else f'-{columns.lang}'}"
    named = budget or ("quick" if source == "demo" and minutes is None else "standard")
    options = PilotOptions(
        data=_data(source, columns),
        budget=named,
        minutes=minutes,
        seeds=seeds,
        jobs=jobs,
        overrides=override,
        recipe=recipe or ("nano" if named == "quick" else "small"),
        templates=templates,
        pictures=pictures,
        command=_command(),
    )
    with terminal() as progress:
        catalog = _opened(source, columns, progress)
        tables = run_pilot(options, folder, catalog=catalog, progress=progress)
    _write(folder / "report.json", json.dumps(tables, indent=1, ensure_ascii=False))
    other = "ja" if columns.lang == "en" else "en"
    _write(folder / "report.html", render_pilot(tables, lang=columns.lang))
    _write(folder / f"report.{other}.html", render_pilot(tables, lang=other))
    _show(tables, as_json, [*pilot_lines(tables), f"The report: {folder / 'report.html'} (and report.{other}.html)"])


@app.command
def train(recipe: str, /, *overrides: str, out: Out = None, as_json: Json = False) -> None:
    """Trains one model; the same command goes on with a run that was stopped.

    Args:
        recipe: A YAML file, or a recipe that ships.
        overrides: Changes as key=value, such as data.source=pairs.csv policy.rho=0.15 seed=1.
        out: The run folder; runs/NAME-HASH by default, named by what is trained on what.
        as_json: Print the run's summary as one JSON object.
    """
    from clipc.train.loop import train as run_training
    from clipc.train.recipe import read_recipe

    resolved = read_recipe(recipe, overrides)
    with terminal() as progress:
        catalog = resolved.data.open(progress)
        tell(catalog)
        folder = out or Path("runs") / f"{catalog.about.name}-{resolved.identity(catalog.fingerprint)}"
        run = run_training(resolved, folder, catalog=catalog, progress=progress)
    summary = run.finished or {}
    best = summary.get("best")
    chosen = f", the best of validation at step {best['step']}" if best else ""
    _show({"run": str(folder), **summary}, as_json, [f"{summary['samples']:,} pairs shown; {run.model}{chosen}."])


@app.command(name="eval")
def evaluate(
    model: Path,
    source: str,
    /,
    *,
    split: str = "test",
    templates: str = "auto",
    class_names: Path | None = None,
    probe: bool = True,
    columns: Columns | None = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Retrieval, zero-shot classification and linear probe of a trained model.

    Args:
        model: A run folder, or a model folder as open_clip's local-dir: takes it.
        source: The pairs, as for pilot.
        split: The split to measure on.
        templates: Prompts for zero-shot classification: auto, general, satellite, x-ray, factory, or a file.
        class_names: A file with a readable name for each label of the main label column.
        probe: Whether to fit linear probes; --no-probe to leave them out.
        columns: How the source is read.
        out: Write the figures into this JSON file too.
        as_json: Print the figures as one JSON object.
    """
    from clipc.evaluate import evaluate as measure
    from clipc.train.model import ClipModel

    columns = columns or Columns()
    loaded = ClipModel.load(model / "model" if (model / "model").is_dir() else model)
    with terminal() as progress:
        catalog = _opened(source, columns, progress)
        found = measure(
            loaded,
            catalog,
            split=split,
            templates=_templates(templates),
            class_names=_class_names(class_names, catalog),
            probe=probe,
            lang=columns.lang,
            progress=progress,
        )
    tables = {"metrics": found.metrics, "context": found.context}
    if out is not None:
        _write(out, json.dumps(tables, indent=1, ensure_ascii=False))
    chance = found.context["chance"]
    lines = [
        f"{name:48s} {value:8.4f}" + (f"   (chance {chance[name]:.4f})" if name in chance else "")
        for name, value in found.metrics.items()
    ]
    _show(tables, as_json, [*lines, *(f"not measured: {k}: {v}" for k, v in found.context["not_measured"].items())])


@app.command
def compose(
    source: str = "demo",
    /,
    *overrides: str,
    recipe: str = "small",
    count: Annotated[int, Parameter(validator=Number(gte=1))] = 24,
    columns: Columns | None = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Shows composites as a contact sheet, before anything is trained.

    Args:
        source: The pairs, as for pilot.
        overrides: Changes to the recipe as key=value, such as policy.rho=0.5 policy.axis=left-right.
        recipe: The recipe whose policy and augmentation are shown.
        count: How many composites.
        columns: How the source is read.
        out: The folder for sheet.html; runs/compose-NAME by default.
        as_json: Print the plan's statistics as one JSON object.
    """
    from clipc.catalog.summary import summary
    from clipc.compose.plan import Plans
    from clipc.render.preview import preview, statistics
    from clipc.render.worker import WorkerRenderer
    from clipc.report.sheet import render_sheet
    from clipc.train.model import load_tokenizer
    from clipc.train.recipe import read_recipe

    columns = columns or Columns()
    resolved = read_recipe(recipe, overrides)
    with terminal() as progress:
        catalog = _opened(source, columns, progress)
    plans = Plans(catalog.split("train"), resolved.policy, resolved.seed)
    renderer = WorkerRenderer(plans, resolved.augmentation, 192, load_tokenizer(resolved.model))
    found = statistics(renderer)
    tables = {"source": summary(catalog), "policy": resolved.policy.model_dump(mode="json"), "statistics": found}
    sheet = (out or Path("runs") / f"compose-{_short(source)}") / "sheet.html"
    _write(sheet, render_sheet({**tables, "samples": preview(renderer, count)}, lang=columns.lang))
    _write(sheet.with_name("plan-statistics.json"), json.dumps(found, indent=1))
    lines = [f"{found['composed']:,} of {found['rows']:,} examples are composites.", f"The sheet: {sheet}"]
    _show({**tables, "sheet": str(sheet)}, as_json, lines)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process: 0 done, 2 the user's mistake, 1 ours, 130 interrupted."""
    from clipc.train.interrupt import Interrupted

    try:
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


def _data(source: str, columns: Columns) -> "Data":
    from clipc.train.recipe import Data

    return Data(source=source, **asdict(columns))


def _opened(source: str, columns: Columns, progress: Progress) -> Catalog:
    catalog = _data(source, columns).open(progress)
    tell(catalog)
    return catalog


def _templates(given: str) -> str | Sequence[str]:
    from clipc.evaluate.prompts import read_templates

    return read_templates(Path(given)) if Path(given).is_file() else given


def _class_names(file: Path | None, catalog: Catalog) -> dict[str, dict[str, str]] | None:
    from clipc.evaluate.prompts import read_class_names

    if file is None:
        return None
    columns = catalog.about.label_columns
    if not columns:
        raise UserError(
            f"{catalog.about.name} has no labels that {file} could name; give the column with --label-columns."
        )
    labels = sorted({str(label) for label in catalog.column(columns[0]) if label is not None})
    return {columns[0]: read_class_names(file, labels)}


def _command() -> str:
    return shlex.join(["clipc", *sys.argv[1:]])


def _short(source: str) -> str:
    """A source's name as a part of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", Path(source.rstrip("/")).stem or source).strip("-") or "pairs"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def _show(tables: Any, as_json: bool, lines: Sequence[str]) -> None:
    print(json.dumps(tables, ensure_ascii=False) if as_json else "\n".join(lines))
