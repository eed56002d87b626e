"""``clipc compose``."""

import json
import sys
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.source import AS_FOUND, Json, Options, Out, Set, opened, short_name, show
from clipc.files import write_json, write_text
from clipc.progress import terminal
from clipc.report.readable import percent

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
    read: Options = AS_FOUND,
    more: Set = (),
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Shows composites as a contact sheet, and what rules do to them, before anything is trained.

    Args:
        source: The pairs, as for pilot.
        overrides: Changes to the recipe as key=value, such as policy.rho=0.5 policy.axis=left-right.
        recipe: The recipe whose policy and augmentation are shown.
        rules: Rules for what may be composed: a YAML file, or radiology, satellite or factory.
        check: Only try the rules' own examples; exit code 1 if one comes out wrong.
        print_rules: Print the rules file of this name, to be copied and changed.
        count: How many composites.
        read: How the source is read.
        more: More overrides.
        out: The folder for sheet.html; runs/compose-NAME by default.
        as_json: Print the tables of the sheet as one JSON object.
    """
    from clipc.compose.rules.read import preset_text
    from clipc.recipe.recipe import read_recipe

    if print_rules is not None:
        print(preset_text(print_rules), end="")
        return
    named = () if rules is None else (f"policy.rules={json.dumps(rules)}",)
    # Before what takes long to load, so that a mistake is told at once.
    resolved = read_recipe(recipe, (*overrides, *more, *named))

    from clipc.prepare.contact_sheet import check_rules, contact_sheet
    from clipc.report.sheet import render_sheet

    with terminal() as progress:
        catalog = opened(source, read, progress)
        if check:
            _show_checked(check_rules(resolved.policy, catalog), as_json)
            return
        tables = contact_sheet(resolved, catalog, count, progress=progress)
    sheet = (out or Path("runs") / f"compose-{short_name(source)}") / "sheet.html"
    write_text(sheet, render_sheet(tables, lang=read.lang))
    write_json(sheet.with_name("plan-statistics.json"), {name: tables[name] for name in ("statistics", "rules")})
    show({**tables, "samples": len(tables["samples"]), "sheet": str(sheet)}, as_json, _lines(tables, sheet, count))


def _lines(tables: dict[str, Any], sheet: Path, count: int) -> list[str]:
    """What is said on the terminal."""
    found, rules = tables["statistics"], tables["rules"]
    lines = [f"{found['composed']:,} of {found['rows']:,} examples are composites."]
    if len(tables["samples"]) < count and found["composed"] < count:
        lines.append(f"So the sheet shows {len(tables['samples'])}, not {count}; a larger policy.rho makes more.")
    stayed = {reason: n for reason, n in found["fallbacks"].items() if n}
    if stayed:
        why = {"never": "by rule", "unknown": "a value is not known", "alone": "no allowed partner"}
        told = ", ".join(f"{n:,} ({why[reason]})" for reason, n in stayed.items())
        lines.append(f"Of those that were to be composed, {sum(stayed.values()):,} stayed plain: {told}.")
    if rules is not None:
        told = [(ban["share"], ban["text"]) for ban in rules["constraints"]]
        told += [(never["share"], f"never: {never['text']}") for never in rules["exclusions"]]
        some = [f"  {percent(share):>7s}  {shorten(text, 100, placeholder=' ...')}" for share, text in told if share]
        lines.append(f"Of random partners the rules allow {rules['share']:.1%}" + ("; they refuse by" if some else "."))
        told += [(shape["share"], shape["text"]) for shape in rules["shapes"]]
        idle = [f"  {shorten(text, 100, placeholder=' ...')}" for share, text in told if not share]
        lines += [*some, *(["Without effect on these data:", *idle] if idle else [])]
    if tables["advice"] and found["composed"]:
        lines.append(f"A hint: {tables['advice']}")
    return [*lines, f"The sheet: {sheet}"]


def _show_checked(checked: "list[ExampleResult]", as_json: bool) -> None:
    """Tells which examples came out as the expert says, and ends with exit code 1 where one did not."""
    wrong = [one for one in checked if not one.right]
    tables = [
        {**one.example.model_dump(mode="json"), "right": one.right, "found": one.allowed, "reasons": one.reasons}
        for one in checked
    ]
    lines: list[str] = []
    for number, one in enumerate(checked, 1):
        said = "allowed" if one.allowed else f"not allowed: {'; '.join(one.reasons)}"
        mark = "as expected" if one.right else "NOT AS EXPECTED"
        lines.append(f"{number:3d}  {mark}: {_pair(one.example.a)} + {_pair(one.example.b)}: {said}")
    lines.append(f"{len(checked) - len(wrong)} of {len(checked)} examples come out as expected.")
    show({"examples": tables, "wrong": len(wrong)}, as_json, lines)
    if wrong:
        sys.exit(1)


def _pair(given: "str | dict[str, Any]") -> str:
    return given if isinstance(given, str) else ", ".join(f"{name}: {value}" for name, value in given.items())
