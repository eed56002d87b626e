"""``clipc review``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    Overrides,
    SourceParameters,
    check_file,
    open_source,
    print_note,
    print_result,
    recipe_changes,
    source_slug,
)
from clipc.errors import UserError
from clipc.files import write_text
from clipc.progress import terminal
from clipc.translation import terminal_language, translate

if TYPE_CHECKING:
    from socket import socket

    from clipc.review.sitting import Sitting


def review(
    source: str = "demo",
    /,
    *overrides: str,
    by: str | None = None,
    recipe: str = "small",
    rules: str | None = None,
    score: str | None = None,
    count: Annotated[int, Parameter(validator=Number(gte=1, lte=100_000))] = 200,
    decisions: Annotated[Path | None, Parameter(validator=check_file)] = None,
    mine: Annotated[bool, Parameter(negative="")] = False,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 0,
    options: SourceParameters = DEFAULT_OPTIONS,
    set_overrides: Overrides = (),
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Opens a local page on which an expert accepts or rejects composites, and accepts rules that follow from it.

    The page can be reached from this machine alone, under an address that only the terminal shows. Ctrl-C ends it; the
    same command goes on where it stopped.

    Args:
        source: The pairs, as for pilot.
        overrides: Changes to the recipe as key=value, such as policy.axis=left-right.
        by: Who decides; needed for the page. Two experts on one file give their agreement.
        recipe: The recipe whose policy makes the composites.
        rules: Rules under which composites are planned: a YAML file, or radiology, satellite or factory.
        score: Show those composites first of which a model is least certain: a run's or model's folder,
            hf-hub:OWNER/NAME, NAME:TAG of open_clip; or checks, which need no model.
        count: The largest number of composites.
        decisions: The file (CSV, JSON Lines) to which decisions are appended; decisions.csv in the folder by default.
        mine: Open no page; look for rules that the decisions suggest, and write them to candidate-rules.yaml.
        port: The port of the page; any free one by default.
        options: How the source is read.
        set_overrides: More overrides.
        out: The folder for decisions.csv and rules.yaml (accepted rules); runs/review-NAME by default.
        as_json: Print one JSON object: the address of the page, or with --mine the rules.
    """
    if by is None and not mine:
        raise UserError("say who decides, such as --by Mori; decisions are written under this name.")
    from clipc.recipe.recipe import read_recipe

    resolved = read_recipe(recipe, recipe_changes(overrides, set_overrides, rules))
    listener = None if mine else _listener(port)  # Before long work: the extra or the port may be missing.

    from clipc.review.book import DecisionBook
    from clipc.review.queue import review_queue
    from clipc.review.sitting import Sitting

    folder = out or Path("runs") / f"review-{source_slug(source)}"
    file = decisions or folder / "decisions.csv"
    book = DecisionBook(file, by or "nobody")
    with terminal() as progress:
        catalog = open_source(source, options, progress)
        queue = review_queue(resolved, catalog, count, score=score, progress=progress)
        sitting = Sitting(queue, book, folder / "rules.yaml", resolved.policy.rules)
    if listener is None:
        _print_mined(sitting, folder / "candidate-rules.yaml", as_json)
    else:
        _serve(sitting, source, listener, options.lang, as_json)


def _listener(port: int) -> "socket":
    from clipc.web import listen

    return listen("127.0.0.1", port)


def _serve(sitting: "Sitting", source: str, listener: "socket", lang: str, as_json: bool) -> None:
    from clipc.review.app import review_app
    from clipc.web import Access, address, run_server

    access = Access.of_host("127.0.0.1", always_token=True)
    place = address(listener, access) + ("?lang=ja" if lang == "ja" else "")
    book, counts = sitting.book, sitting.progress()
    decided = counts["accepted"] + counts["rejected"]
    if as_json:
        print(json.dumps({"address": place, "decisions": str(book.file), "rules": str(sitting.rules.file), **counts}))
    else:
        counted = f"{counts['total']:,} composites, {decided:,} of them decided by {book.by}. The page: {place}"
        alone = "It is for this machine alone. Ctrl-C ends it; every decision is saved when it is made."
        print(translate(counted), translate(alone), sep="\n", flush=True)
    run_server(review_app(sitting, access), listener)
    counts = sitting.progress()
    print_note(f"{counts['accepted']:,} accepted and {counts['rejected']:,} rejected by {book.by}, in {book.file}")
    if book.file.is_file():
        print_note(f"to calibrate a score: clipc audit {source} --score MODEL --decisions {book.file}")
        print_note(f"to open a pilot's gate of meaning: clipc pilot {source} --decisions {book.file}")
    if sitting.rules.accepted:
        print_note(f"to train under the accepted rules: --rules {sitting.rules.file}")


def _print_mined(sitting: "Sitting", file: Path, as_json: bool) -> None:
    """Prints the rules that decisions suggest, and writes them as a rules file."""
    from clipc.report.words import words
    from clipc.review.rules_file import with_rule

    say = words(terminal_language())
    rules, counts = sitting.mined()
    text, lines, tables = "", list[str](), list[dict[str, Any]]()
    for offered in rules:
        assert offered.mined is not None
        precision = offered.mined.precision
        shares = {"mean": f"{precision.mean:.0%}", "low": f"{precision.low:.0%}", "high": f"{precision.high:.0%}"}
        evidence = say("review.rule.mined_on", n=offered.mined.support, rejected=offered.mined.rejected, **shares)
        removes = say("review.rule.removes", n=offered.removes, of=len(sitting.queue))
        rule = offered.proposal.rule.model_copy(update={"why": evidence})
        text = with_rule(text, rule, file.name)
        lines += [offered.proposal.text, f"  {evidence}", f"  {removes}"]
        table = {"rule": offered.proposal.text, "removes": offered.removes, "support": offered.mined.support}
        tables.append({**table, "rejected": offered.mined.rejected, "precision": precision.as_dict()})
    if rules:
        write_text(file, text)
        lines.append(f"The rules, each with its counts as its reason: {file}. Keep those that you can explain.")
    else:
        lines.append(say(f"review.mined.{'none' if counts['enough'] else 'few'}", **counts))
    print_result({"rules": tables, **counts, "file": str(file) if rules else None}, as_json, lines)
