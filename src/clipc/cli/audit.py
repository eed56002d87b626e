"""``clipc audit``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.catalog.options import SourceOptions
from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    Overrides,
    SourceParameters,
    names_of,
    open_source,
    print_result,
    recipe_changes,
    source_slug,
    write_pages,
)
from clipc.errors import UserError
from clipc.files import write_json
from clipc.progress import Progress, terminal
from clipc.translation import terminal_language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clipc.audit.bias.audit import BiasOptions


def audit(
    source: str = "demo",
    /,
    *overrides: str,
    recipe: str = "small",
    rules: str | None = None,
    attributes: str | None = None,
    concepts: str = "auto",
    words: Path | None = None,
    most: Annotated[int, Parameter(validator=Number(gte=1, lte=100))] = 30,
    correct: bool = False,
    shares: Path | None = None,
    against: Path | None = None,
    split: str = "test",
    score: str | None = None,
    decisions: Path | None = None,
    precision: Annotated[float, Parameter(validator=Number(gt=0, lt=1))] = 0.9,
    count: Annotated[int, Parameter(validator=Number(gte=1, lte=500))] = 24,
    options: SourceParameters = DEFAULT_OPTIONS,
    set_overrides: Overrides = (),
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Audits the pairs and the composites planned from them: for bias, or (--score) for the composites' quality.

    Args:
        source: The pairs, as for pilot; or the folder of a run, whose model is audited too: group gaps, and the groups
            among search results.
        overrides: Changes to the recipe as key=value, such as policy.partner=nearest policy.group=auto.
        recipe: The recipe whose policy is audited.
        rules: Rules for what may be composed: a YAML file, or radiology, satellite or factory.
        attributes: The attributes, separated by commas: gender, age, skin tone, a list of --words, or column:NAME; all
            lists that the captions name by default.
        concepts: label, words (the commonest ones), occupations, activities, a list of --words, column:NAME, a text
            file with one concept a line, or words separated by commas; auto is label if there is one, else words.
        words: A YAML file with more lists of words.
        most: The largest number of concepts.
        correct: Compute partner weights that remove associations across the halves of composites, and audit again.
        shares: A table (group, concept, share) of the shares to reach instead of independence.
        against: Another run on the same data, such as plain CLIP, whose model is audited beside the run's.
        split: The split on which models are measured, and a score is tried with swapped captions.
        score: Score the composites instead, and show them worst first: by a model (a run's or model's folder,
            hf-hub:OWNER/NAME, NAME:TAG of open_clip), or by checks, which need no model.
        decisions: With --score: a file (CSV, JSON Lines) of experts' decisions with the columns left, right, layout,
            decision (accept or reject), by, when; it sets a threshold.
        precision: With --decisions: the share of accepted composites that the threshold must keep.
        count: With --score: the number of the worst composites that are shown.
        options: How the source is read.
        set_overrides: More overrides.
        out: The folder for audit.html and audit.json (with --score quality.html and quality.json); runs/audit-NAME, or
            the run's folder audit, by default.
        as_json: Print the tables as one JSON object.
    """
    names = names_of(attributes)
    is_run = (Path(source) / "recipe.yaml").is_file()
    if not is_run and against is not None:
        raise UserError("--against compares the models of two runs; name a run's folder first, not a source.")
    if is_run and (overrides or set_overrides or rules is not None):
        raise UserError("a run is audited under its own recipe; leave out overrides and --rules, or name its source.")

    if decisions is not None and score is None:
        raise UserError("--decisions calibrates a score; name what scores, such as --score runs/mine.")
    if score is not None and (names or correct or shares is not None or against is not None or words is not None):
        raise UserError("--score audits the quality of composites; leave out the options of the bias audit.")
    default = Path(source) / "audit" if is_run else Path("runs") / f"audit-{source_slug(source)}"
    changes = recipe_changes(overrides, set_overrides, rules)
    if score is not None:
        quality = _QualityRequest(score, decisions, precision, split, count)
        _audit_quality(source, None if is_run else recipe, changes, quality, options, out or default, as_json)
        return

    from clipc.audit.bias.audit import BiasOptions
    from clipc.report.audit import render_audit

    looked_for = BiasOptions(names, concepts, words, most, correct, shares)
    folder = out or default
    with terminal() as progress:
        if is_run:
            tables = _of_run(source, looked_for, against, split, options.lang, progress)
        else:
            tables = _of_source(source, recipe, changes, looked_for, options, folder, progress)
    if not is_run:  # A run's tables are in its audit/bias.json.
        write_json(folder / "audit.json", tables)
    page = write_pages(folder / "audit.html", tables, render_audit, options.lang)
    print_result({**tables, "page": str(folder / "audit.html")}, as_json, [*_lines(tables), f"The audit: {page}"])


class _QualityRequest(NamedTuple):
    """What ``--score`` asks for, in the order of the fields of :class:`clipc.audit.quality.QualityOptions`."""

    by: str
    decisions: Path | None
    precision: float
    split: str
    worst: int


def _audit_quality(
    source: str,
    recipe: str | None,
    changes: tuple[str, ...],
    request: _QualityRequest,
    options: SourceOptions,
    folder: Path,
    as_json: bool,
) -> None:
    """Scores the composites of a source (or, without a recipe, of a run's data) and writes the pages."""
    from clipc.audit.quality import QualityOptions, audit_quality
    from clipc.recipe.recipe import read_recipe, recipe_of_run
    from clipc.report.quality import render_quality
    from clipc.report.sections.quality import quality_sentences
    from clipc.report.words import words

    with terminal() as progress:
        if recipe is None:
            resolved = recipe_of_run(Path(source))
            catalog = resolved.data.open(progress)
        else:
            resolved = read_recipe(recipe, changes)
            catalog = open_source(source, options, progress)
        tables = audit_quality(catalog, resolved, QualityOptions(*request), progress)
    shown = [{name: value for name, value in row.items() if not _is_image(value)} for row in tables["samples"]]
    written = {**tables, "samples": shown}
    write_json(folder / "quality.json", written)
    page = write_pages(folder / "quality.html", tables, render_quality, options.lang)
    lines = [*quality_sentences(tables, words(terminal_language())), f"The page: {page}"]
    print_result({**written, "page": str(folder / "quality.html")}, as_json, lines)


def _is_image(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("data:image/")


def _of_source(
    source: str,
    recipe: str,
    changes: tuple[str, ...],
    looked_for: "BiasOptions",
    options: SourceOptions,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    from clipc.audit.bias.audit import audit_bias
    from clipc.recipe.recipe import read_recipe

    resolved = read_recipe(recipe, changes)
    catalog = open_source(source, options, progress)
    weights_file = folder / "partner-weights.json"
    return audit_bias(
        catalog, resolved.policy, looked_for, seed=resolved.seed, weights_file=weights_file, progress=progress
    )


def _of_run(
    source: str, looked_for: "BiasOptions", against: Path | None, split: str, lang: str, progress: Progress
) -> dict[str, Any]:
    from clipc.audit.bias.run_audit import audit_run

    return audit_run(Path(source), looked_for, against=against, split=split, lang=lang, progress=progress)


def _lines(tables: dict[str, Any]) -> "Sequence[str]":
    """The lines for the terminal: the findings, and how to train with the correction."""
    from clipc.report.sections.bias import bias_sentences
    from clipc.report.words import words

    lines = bias_sentences(tables, words(terminal_language()))
    if (correction := tables["correction"]) and correction["file"]:
        lines.append(f"To train with the partner weights: policy.weights={correction['file']}")
    return lines
