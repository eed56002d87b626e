"""``clipc compose``."""

import sys
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    Overrides,
    SourceParameters,
    open_source,
    print_result,
    recipe_changes,
    source_slug,
)
from clipc.errors import first_names
from clipc.files import write_json, write_text
from clipc.installation import install_command
from clipc.progress import terminal
from clipc.report.readable import percent
from clipc.translation import terminal_language

_MOST_LISTED = 5
"""Of more rules without effect only the number is printed."""

if TYPE_CHECKING:
    from clipc.compose.rules.check import ExampleResult


def compose(
    source: str = "demo",
    /,
    *overrides: str,
    recipe: str = "small",
    rules: str | None = None,
    check: bool = False,
    print_rules: str | None = None,
    count: Annotated[int, Parameter(validator=Number(gte=1))] = 24,
    options: SourceParameters = DEFAULT_OPTIONS,
    set_overrides: Overrides = (),
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Makes a contact sheet of composites and shows the effect of rules, before any training.

    Args:
        source: The pairs, as for pilot.
        overrides: Changes to the recipe as key=value, such as policy.rho=0.5 policy.axis=left-right.
        recipe: The recipe whose policy and augmentation are shown.
        rules: Rules for what may be composed: a YAML file, or radiology, satellite or factory.
        check: Only check the examples in the rules file; exit code 1 if one fails.
        print_rules: Print the built-in rules of this name, as a start for your own.
        count: The number of composites on the sheet.
        options: How the source is read.
        set_overrides: More overrides.
        out: The folder for sheet.html; runs/compose-NAME or, with rules, runs/compose-NAME-RULES by default.
        as_json: Print the tables of the sheet as one JSON object.
    """
    from clipc.compose.rules.read import preset_text
    from clipc.recipe.recipe import read_recipe

    if print_rules is not None:
        print(preset_text(print_rules), end="")
        return
    # The recipe is read before the slow imports, so that its errors are reported at once.
    resolved = read_recipe(recipe, recipe_changes(overrides, set_overrides, rules))

    from clipc.prepare.contact_sheet import check_rules, contact_sheet
    from clipc.report.sheet import render_sheet

    with terminal() as progress:
        catalog = open_source(source, options, progress)
        if check:
            checks, given = check_rules(resolved.policy, catalog), resolved.policy.rules
            _print_checks(checks, len(given.examples) if given else 0, as_json)
            return
        tables = contact_sheet(resolved, catalog, count, progress=progress)
    name = "-".join([source_slug(source), *([source_slug(rules)] if rules else [])])
    sheet = (out or Path("runs") / f"compose-{name}") / "sheet.html"
    write_text(sheet, render_sheet(tables, lang=options.lang))
    write_json(sheet.with_name("plan-statistics.json"), {name: tables[name] for name in ("statistics", "rules")})
    print_result(
        {**tables, "samples": len(tables["samples"]), "sheet": str(sheet)}, as_json, _lines(tables, sheet, count)
    )


def _lines(tables: dict[str, Any], sheet: Path, count: int) -> list[str]:
    """The lines for the terminal."""
    from clipc.report.sheet import few_captions_sentence, idle_counts
    from clipc.report.words import words
    from clipc.study.pilot.design import COMPOSITION

    statistics, rules = tables["statistics"], tables["rules"]
    shares = ", ".join(f"{key}={value:g}" for key, value in COMPOSITION.items())
    composed = f"{statistics['composed']:,} of {statistics['rows']:,} examples are composites"
    lines = [f"{composed}; a pilot composes with {shares}."]
    if len(tables["samples"]) < count and statistics["composed"] < count:
        lines.append(f"So the sheet shows {len(tables['samples'])}, not {count}; a larger policy.rho makes more.")
    plain = {reason: n for reason, n in statistics["fallbacks"].items() if n}
    if plain:
        reasons = {"never": "by rule", "unknown": "a value is unknown", "alone": "no allowed partner"}
        reasons["score"] = "no candidate of sufficient score"
        counts = ", ".join(f"{n:,} ({reasons[reason]})" for reason, n in plain.items())
        lines.append(f"Of the examples drawn for composition, {sum(plain.values()):,} stayed plain: {counts}.")
    if statistics["equal_captions"]:
        lines.append(
            f"{statistics['equal_captions']:,} composites join two equal captions, since no other was allowed."
        )
    lines += few_captions_sentence(tables, words(terminal_language()))
    if rules is not None:
        never: list[dict[str, Any]] = [{**rule, "text": f"never: {rule['text']}"} for rule in rules["exclusions"]]
        refusing = [*rules["constraints"], *never]
        effects = [f"  {percent(rule['share']):>7s}  {_short(rule['text'])}" for rule in refusing if rule["share"]]
        end = "; each rule refuses:" if effects else "."
        lines.append(f"The rules allow {rules['share']:.1%} of random partners{end}")
        idle = [rule for rule in (*refusing, *rules["shapes"]) if not rule["share"]]
        without_effect = [f"  {_short(rule['text'])} ({_reason(rule, rules['candidates'])})" for rule in idle]
        if len(idle) > _MOST_LISTED:
            lines += [
                *effects,
                f"{sum(idle_counts(rules).values())} rules have no effect on these data; the sheet says why.",
            ]
        else:
            lines += [*effects, *(["Without effect on these data:", *without_effect] if without_effect else [])]
    if tables["advice"] and statistics["composed"]:
        lines.append(f"A hint: {tables['advice']}")
    return [*lines, f"The sheet: {sheet}"]


def _reason(rule: dict[str, Any], candidates: int) -> str:
    """Why a rule had no effect."""
    reason = rule["no_effect"]
    if reason is None:
        return f"seen in none of {candidates:,} random pairs"
    if reason["code"] == "empty-columns":
        return f"no row has a value in {first_names(reason['columns'])}"
    return "it applies to no pair"


def _short(text: str) -> str:
    return shorten(text, 100, placeholder=" ...")


def _print_checks(checks: "list[ExampleResult]", examples: int, as_json: bool) -> None:
    """Prints which examples of the rules agree with the expert's expectation, and exits with code 1 if one does not.

    Args:
        checks: The results of the examples that could be checked.
        examples: The number of all examples.
        as_json: Whether to print JSON.
    """
    not_checked = examples - len(checks)
    wrong = sum(not check.as_expected for check in checks)
    tables: list[dict[str, Any]] = []
    lines: list[str] = []
    for number, check in enumerate(checks, 1):
        example = check.example
        facts = {"right": check.as_expected, "found": check.allowed, "reasons": check.reasons}
        tables.append({**example.model_dump(mode="json"), **facts})
        result = "allowed" if check.allowed else f"not allowed: {'; '.join(check.reasons)}"
        expectation = "as expected" if check.as_expected else "NOT AS EXPECTED"
        lines.append(f"{number:3d}  {expectation}: {_pair(example.a)} + {_pair(example.b)}: {result}")
    lines.append(f"{len(checks) - wrong} of {len(checks)} examples come out as expected.")
    if not_checked:
        lines.append(f"{not_checked} more are in Japanese; to check them: {install_command('ja')}")
    print_result({"examples": tables, "wrong": wrong, "not_checked": not_checked}, as_json, lines)
    if wrong:
        sys.exit(1)


def _pair(pair: "str | dict[str, Any]") -> str:
    return pair if isinstance(pair, str) else ", ".join(f"{name}: {value}" for name, value in pair.items())
