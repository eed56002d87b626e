"""``clipc pilot``."""

import shlex
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from clipc.cli.common import (
    DEFAULT_OPTIONS,
    Json,
    OutFolder,
    Overrides,
    SourceParameters,
    data_section,
    names_of,
    print_catalog,
    print_note,
    print_result,
    source_slug,
    warn_of_small_split,
    write_pages,
)
from clipc.cli.study_screen import live_board, study_lines
from clipc.errors import UserError
from clipc.files import write_json
from clipc.translation import terminal_language

DEFAULT_MINUTES: Final = 20.0
DEMO_MINUTES: Final = 6.0
"""The default times for everything."""

DEMO_PAIRS: Final = 140
"""The number of the demo's training pairs: few pairs are the question that a pilot is about. Chosen on plain CLIP alone
(results/demo-regime.yaml)."""


def pilot(
    source: str = "demo",
    /,
    *overrides: str,
    minutes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    seeds: Annotated[int | None, Parameter(validator=Number(gte=3))] = None,
    pairs: Annotated[int | None, Parameter(validator=Number(gte=8))] = None,
    rules: str | None = None,
    jobs: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    study: str = "pilot",
    recipe: str | None = None,
    templates: str = "auto",
    pictures: bool = True,
    options: SourceParameters = DEFAULT_OPTIONS,
    set_overrides: Overrides = (),
    tune: Annotated[int | None, Parameter(validator=Number(gte=2, lte=200))] = None,
    stage: str | None = None,
    plan: Annotated[bool, Parameter(negative="")] = False,
    go_on: Annotated[bool, Parameter(negative="")] = False,
    next_: Annotated[bool, Parameter(name="--next", negative="")] = False,
    approved_by: str | None = None,
    roi: Path | None = None,
    decisions: Path | None = None,
    attributes: str | None = None,
    public: str | None = None,
    format_: Annotated[Literal["html", "md"], Parameter(name="--format")] = "html",
    redact: Annotated[bool, Parameter(negative="")] = False,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Compares CLIP, CLIP-C and CLIP-C's controls on your pairs within a time that you give, then writes a report.

    Each pair is seen as often as suits it. Too little time means fewer seeds, then fewer controls, then fewer pairs;
    what will run, and why, is printed before it starts.

    Args:
        source: A tar, a folder or glob of tars, a table (CSV, TSV, JSONL, Parquet), a folder of images, a
            Hugging Face dataset (hf:owner/name), or the built-in demo set.
        overrides: Changes to the recipe of all arms as key=value, such as policy.rho=0.3 or epochs=30.
        minutes: Minutes for everything (default: 20; 6 for the demo).
        seeds: The number of seeds, at least 3; by default as many as fit, up to 12.
        pairs: Use only so many of the training pairs; a smaller set is part of a larger one.
        rules: Rules of an expert on what may be composed: a YAML file, or the name of a preset. They hold in the
            guarded arm.
        jobs: Parallel trials; by default one per core on a CPU, one at a time on a GPU.
        study: The study to run: a YAML file of your own with more arms, evaluators or sections, or the name of a
            built-in study.
        recipe: The recipe that all arms share: a YAML file, or the name of a built-in recipe; by default the one that
            suits the pairs, as clipc train takes it.
        templates: Prompts for zero-shot classification, the same for all arms: general (also auto), satellite, x-ray or
            factory.
        pictures: Show pictures in the report; --no-pictures for private ones.
        options: How the source is read.
        set_overrides: More overrides.
        tune: Try so many settings of each arm (share of composites and when they end, temperature, batch) on the
            validation split before the experiment; every arm gets as many. Needs Optuna.
        stage: Run this stage again, with those before it as they are: doctor, preview, bias, tune, experiment, curve or
            confirm.
        plan: Print the stages with their minutes and cost, and run none of them.
        go_on: Go on where a stage says that this makes no sense.
        next_: The roll-out after a pilot: the next larger share of the pairs (10, 30, 100%) under the same rules. The
            gates are asked again; it stops where one fails.
        approved_by: Who approved the rules of the next step; it is recorded with their hash and the time.
        roi: Your figures (a YAML file; examples/roi.yaml is one): what a captioned pair and an hour of an expert cost.
            With them the report says what composition saves. They may be given later; nothing is trained again.
        decisions: A file (CSV, JSON Lines) of experts' decisions on composites with the columns left, right, layout,
            decision (accept or reject), by, when. Without it no verdict is better than to extend the pilot.
        attributes: What the bias audit tests, separated by commas: gender, age, skin tone, or column:NAME such as
            column:camera; by default all lists of words that the captions name. May be given later; that stage alone is
            run again.
        public: A public model to compare the trained ones with, untouched: MODEL:WEIGHTS such as
            ViT-B-32:laion2b_s34b_b79k, hf-hub:OWNER/NAME, local-dir:FOLDER or a run. If it cannot be reached, the pilot
            goes on without it. May be given later; nothing is trained again.
        format_: html, or md for Markdown.
        redact: Write a report without pictures, captions, names and paths, beside the complete one.
        out: The folder of all results; by default runs/pilot-NAME, with -ja appended for --lang ja.
        as_json: Print the report's tables as one JSON object.
    """
    if next_ and approved_by is None:
        raise UserError("say who approved the rules of this step: --approved-by NAME.")

    from clipc.audit.decisions import read_decisions
    from clipc.report.decision import decision_lines
    from clipc.report.markdown import pilot_markdown
    from clipc.report.page import load_section
    from clipc.report.pilot import render_pilot
    from clipc.report.sections.plan import plan_sentences
    from clipc.report.sections.stages import stage_sentence
    from clipc.report.words import words
    from clipc.study.pilot.design import pilot_study
    from clipc.study.pilot.options import PilotOptions
    from clipc.study.pilot.pilot import plan_pilot, run_pilot
    from clipc.study.pilot.rollout import next_step
    from clipc.study.recipes import check_recipes
    from clipc.study.worth.figures import read_figures

    folder = out or Path("runs") / f"pilot-{source_slug(source)}{'' if options.lang == 'en' else f'-{options.lang}'}"
    is_demo = source == "demo"
    pairs = pairs or (DEMO_PAIRS if is_demo and not next_ else None)
    pilot_options = PilotOptions(
        data=data_section(source, options).model_copy(update={"pairs": None if next_ else pairs}),
        minutes=minutes or (DEMO_MINUTES if is_demo else DEFAULT_MINUTES),
        seeds=seeds,
        jobs=jobs,
        study=study,
        overrides=(*overrides, *set_overrides, *(() if rules is None else (f"policy.rules={rules}",))),
        recipe=recipe,
        templates=templates,
        pictures=pictures,
        tune=tune or 0,
        go_on=go_on,
        figures=None if roi is None else read_figures(roi),
        decisions=() if decisions is None else read_decisions(decisions),
        attributes=names_of(attributes),
        public=public,
        command=shlex.join(["clipc", *sys.argv[1:]]),
    )

    def announce(name: str, facts: Mapping[str, Any]) -> None:
        say = words(terminal_language())
        if name == "plan":
            sentences = [facts["recipe_reason"], *plan_sentences(facts, say)]
        else:
            sentences = [f"{say(f'pilot.stage_name.{name}')}: {stage_sentence(name, facts, say)}"]
        for sentence in filter(None, sentences):
            print_note(sentence)

    design = pilot_study(pilot_options)
    check_recipes(design)  # Report mistakes in recipes before reading the data.
    extra_sections = [load_section(name) for name in design.sections]
    html = format_ == "html"
    render = partial(render_pilot, more=extra_sections) if html else pilot_markdown
    with live_board() as (progress, show_trials):
        catalog = pilot_options.data.open(progress)
        print_catalog(catalog)
        warn_of_small_split(catalog, "test")
        if plan:
            planned = plan_pilot(pilot_options, folder, catalog=catalog, progress=progress)
            print_result(planned, as_json, _plan_lines(planned))
            return
        if next_:
            step = next_step(
                pilot_options,
                folder,
                catalog=catalog,
                approved_by=approved_by or "",
                announce=announce,
                progress=progress,
                watch=show_trials,
            )
            tables, folder = step["tables"], folder / step["steps"][-1]["folder"]
        else:
            tables = run_pilot(
                pilot_options,
                folder,
                catalog=catalog,
                stage=stage,
                announce=announce,
                progress=progress,
                watch=show_trials,
            )
    if "arms" not in tables:  # The experiment has not run yet, so there is no page.
        print_result(tables, as_json, [])
        return
    write_json(folder / "report.json", tables)
    pages = [write_pages(folder / f"report.{format_}", tables, render, options.lang)]
    if redact:
        redacted = partial(render_pilot if html else pilot_markdown, redact=True)
        pages.append(write_pages(folder / f"report-redacted.{format_}", tables, redacted, options.lang))
    lines = [*study_lines(tables), *decision_lines(tables, words(terminal_language()))]
    print_result(tables, as_json, [*lines, *(f"The report: {page}" for page in pages)])


def _plan_lines(planned: Mapping[str, Any]) -> list[str]:
    """The stages with minutes and cost, then what the experiment would run and why."""
    from clipc.report.sections.plan import plan_sentences
    from clipc.report.words import words

    say = words(terminal_language())
    lines = [
        f"{say('pilot.stage_name.' + row['name']):26s} {row['minutes']:6.1f} min {row['core_hours']:6.2f} core-hours"
        + ("" if row["fits"] else "  (not within these minutes)")
        for row in planned["stages"]
    ]
    return [*lines, *filter(None, [planned["recipe_reason"]]), *plan_sentences(planned, say)]
