"""``clipc doctor``."""

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    Overrides,
    SourceParameters,
    open_source,
    print_result,
    source_slug,
    write_pages,
)
from clipc.errors import sentence
from clipc.files import whole_file, write_json
from clipc.progress import terminal
from clipc.translation import terminal_language, translate


def doctor(
    source: str = "demo",
    /,
    *overrides: str,
    recipe: str | None = None,
    fix: Annotated[bool, Parameter(negative="")] = False,
    pixels: bool = True,
    speed: bool = True,
    options: SourceParameters = DEFAULT_OPTIONS,
    set_overrides: Overrides = (),
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Examines the pairs before training: what will hurt, what limits the speed, and what to do. No data are changed.

    Exit code 1 if something must be put right before training.

    Args:
        source: The pairs, as for pilot.
        overrides: Changes to the recipe as key=value, such as image_size=224 batch_size=256.
        recipe: The recipe that would be trained; one that suits the data by default.
        fix: Write OUT/keys.csv, a cleaned list of keys, which every command takes as --keys.
        pixels: --no-pixels examines captions, sizes and hashes alone, without decoding an image.
        speed: --no-speed leaves out measuring how fast images are loaded.
        options: How the source is read.
        set_overrides: More overrides.
        out: The folder for doctor.html, doctor.json and keys.csv; runs/doctor-NAME by default.
        as_json: Print the tables as one JSON object.
    """
    from clipc.recipe.recipe import read_recipe
    from clipc.recipe.suited import suited_recipe

    changes = (*overrides, *set_overrides)
    # The recipe is read before the data are opened, so that its errors are reported at once.
    resolved = read_recipe(recipe or "nano", changes) if recipe or changes else None

    from clipc.audit.doctor import doctor as examine
    from clipc.audit.doctor import kept_keys, stops, without_images
    from clipc.report.doctor import render_doctor

    folder = out or Path("runs") / f"doctor-{source_slug(source)}"
    with terminal() as progress:
        catalog = open_source(source, options, progress)
        if changes and recipe is None:
            suited = suited_recipe(catalog)
            resolved = read_recipe(suited.name, changes, suited.changes)
        tables = examine(catalog, resolved, pixels=pixels, speed=speed, progress=progress)
    files = {"page": str(folder / "doctor.html")}
    if fix:
        files["keys"] = str(folder / "keys.csv")
        _write_keys(folder / "keys.csv", kept_keys(catalog, tables))
    pages = write_pages(folder / "doctor.html", {**tables, **files}, render_doctor, options.lang)
    small_tables = without_images(tables)
    write_json(folder / "doctor.json", small_tables)
    if as_json:
        print_result({**small_tables, **files}, True, [])
    else:
        _print_findings(tables)
        print_result({}, False, list(_closing_lines(tables, files, pages)))
    if stops(tables):
        sys.exit(1)


def _write_keys(file: Path, keys: list[str]) -> None:
    """Writes keys as a CSV file: UTF-8 with a byte order mark, by which spreadsheets detect the encoding."""
    with whole_file(file) as new, new.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["key"])
        writer.writerows([key] for key in keys)


def _print_findings(tables: Mapping[str, Any]) -> None:
    """Prints the findings: as a table on a terminal, else as one line each."""
    from clipc.report.doctor import finding_texts
    from clipc.report.words import words

    say = words(terminal_language())
    rows = [(finding["severity"], finding_texts(finding, say)) for finding in tables["findings"]]
    if not sys.stdout.isatty():
        colon, stop = ("：", "。") if terminal_language() == "ja" else (": ", ". ")
        for severity, texts in rows:
            print(sentence(f"{translate(severity)}{colon}{texts['title']}{stop}{texts['advice']}"))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 1, 0), show_header=bool(rows))
    for name in ("severity", "finding", "what to do"):
        table.add_column(translate(name), ratio=None if name == "severity" else 1)
    styles = {"stop": "bold white on red", "warning": "bold yellow", "note": "dim"}
    for severity, texts in rows:
        cells = (Text(sentence(texts[name])) for name in ("title", "advice"))
        table.add_row(Text(f" {translate(severity)} ", styles[severity]), *cells)
    Console().print(table)


def _closing_lines(tables: Mapping[str, Any], files: Mapping[str, str], pages: str) -> Iterator[str]:
    from clipc.report.doctor import clean_sentence, headline, recipe_command
    from clipc.report.words import words

    say = words(terminal_language())
    yield headline(tables, say)
    yield f"Untrained, the loss is ln {tables['loss']['batch']} = {tables['loss']['untrained']:.2f}."
    if speed := tables["speed"]:
        yield (
            f"Loading an image: read {speed['read']:.2f} ms, decode {speed['decode']:.2f} ms, resize "
            f"{speed['resize']:.2f} ms, transfer {speed['transfer']:.2f} ms; {speed['cores']} cores give about "
            f"{speed['per_second']:,.0f} a second."
        )
    yield f"A recipe to start with: {recipe_command(tables)}"
    if "keys" in files or tables["removed"]:
        yield clean_sentence({**tables, **files}, say)
    yield f"The page: {pages}"
