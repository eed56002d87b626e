"""The roll-out after a pilot: ever larger shares of the pairs under frozen rules, until a gate or comparison fails."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from clipc.catalog.catalog import Catalog
from clipc.catalog.subsample import subsample
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.recipe.run import Run
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pilot import STAGES, run_pilot
from clipc.study.pilot.stages.preview import rules_fingerprint
from clipc.study.pilot.stages.stage import Announce, read_results, unheard
from clipc.study.run import BoardCallback

SHARES: Final = (0.1, 0.3, 1.0)
"""The shares of the training pairs of the successive steps."""

STEP_STAGES: Final = ("doctor", "preview", "bias", "experiment")
"""The stages of a step: the gates again, then plain CLIP and the winner."""

LEAST_STEP_PAIRS: Final = 32
"""Shares of fewer training pairs than this are left out."""


def next_step(
    options: PilotOptions,
    folder: Path,
    *,
    catalog: Catalog,
    approved_by: str,
    announce: Announce = unheard,
    progress: Progress = silent,
    watch: BoardCallback = lambda _: None,
) -> dict[str, Any]:
    """Takes the next larger share of the pairs, with the pilot's winner and rules, and records who approved them.

    Args:
        options: The options of the pilot; ``data.pairs`` does not count.
        folder: The folder of the finished pilot; steps are kept in ``rollout-10``, ``rollout-30`` and ``rollout-100``.
        catalog: All data.
        approved_by: Who approved the rules.
        announce: Told each stage's result.
        progress: Receives the progress of long steps.
        watch: Called with the state of all trials while they run.

    Returns:
        ``steps``: the content of ``rollout.json``, with the new step last; ``tables``: those of the step's pilot.

    Raises:
        UserError: There is no finished pilot, the rules changed since, the last step failed, or all are done.
    """
    results = read_results(folder, list(STAGES))
    if "experiment" not in results:
        raise UserError(f"there is no finished pilot in {folder}; run it first, then take its --next step.")
    pilot, run = results["experiment"], Run(folder)
    steps: list[dict[str, Any]] = (run.read_json("rollout.json") or {"steps": []})["steps"]
    if steps and not steps[-1]["passed"]:
        raise UserError(
            f"the step of {steps[-1]['share']:.0%} failed ({steps[-1]['code']}), so the roll-out stops here; remove it "
            f"from {folder / 'rollout.json'} to take it again after what failed is put right."
        )
    share = _next_share(steps, catalog.splits["train"])
    if share is None:
        raise UserError("all shares are done: the roll-out is complete.")
    pairs = max(1, round(share * catalog.splits["train"]))
    step_folder = folder / f"rollout-{round(100 * share)}"
    winner = pilot.values["winner"]
    narrowed = replace(
        options,
        data=options.data.model_copy(update={"pairs": pairs}),
        stages=STEP_STAGES,
        arms=(pilot.tables["baseline"], winner),
        public=None,
        tune=0,
        settings=_tuned(run),
    )
    frozen = _frozen(results, steps)
    step: dict[str, Any] = {
        "share": share,
        "pairs": pairs,
        "winner": winner,
        "approved_by": approved_by,
        "approved_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    data = subsample(catalog, pairs)
    step["rules"] = _check_rules(narrowed, data, frozen, folder)
    tables = run_pilot(narrowed, step_folder, catalog=data, announce=announce, progress=progress, watch=watch)
    step |= judged(tables, winner) | {"folder": step_folder.name}
    run.write_json("rollout.json", {"steps": [*steps, step]})
    return {"steps": [*steps, step], "tables": tables}


def judged(tables: Mapping[str, Any], winner: str) -> dict[str, Any]:
    """Whether a step passed, and the code of what it failed on.

    It fails where composites break a rule, the planned composites amplify an association, the winner loses against
    plain CLIP on a main metric, or the time was not enough for all pairs of the step. No evidence of a difference is no
    failure.

    Args:
        tables: The tables of the step's pilot.
        winner: The arm under test.
    """
    meaning, bias, plan = (tables.get(name) or {} for name in ("meaning", "bias_gate", "plan"))
    verdict = tables["verdict"]["arms"].get(winner, "unknown")
    codes = {
        "rules": bool(meaning.get("broken") or meaning.get("failed_examples")),
        "bias": bool(bias.get("amplified")),
        "loss": verdict in ("loss", "mixed"),
        "unfinished": verdict in ("waiting", "unknown"),
        "fewer-pairs": plan.get("pairs") != plan.get("all_pairs"),
    }
    failed = [code for code, holds in codes.items() if holds]
    return {"passed": not failed, "code": failed[0] if failed else "passed", "verdict": verdict}


def _tuned(run: Run) -> dict[str, Any]:
    """The values that the pilot tuned for each arm; empty where it did not tune."""
    return (run.read_json("tune.json") or {"settled": {"settings": {}}})["settled"]["settings"]


def _next_share(steps: list[dict[str, Any]], pairs: int) -> float | None:
    done = max((step["share"] for step in steps), default=0.0)
    return next((share for share in SHARES if share > done and share * pairs >= LEAST_STEP_PAIRS), None)


def _frozen(results: Mapping[str, Any], steps: list[dict[str, Any]]) -> str | None:
    """The fingerprint of the rules that the pilot ran under."""
    if steps:
        return steps[-1]["rules"]
    preview = results.get("preview")
    rules = None if preview is None else preview.tables["meaning"]["rules"]
    return None if rules is None else rules["fingerprint"]


def _check_rules(options: PilotOptions, data: Catalog, frozen: str | None, folder: Path) -> str | None:
    """The fingerprint of the rules.

    Raises:
        UserError: They are not those of the pilot.
    """
    from clipc.study.pilot.pilot import make_context

    design = make_context(options, folder, data).design
    now = rules_fingerprint(design.recipes[design.study.treatments[-1]])
    if now != frozen:
        raise UserError(
            "the rules are not those that the pilot ran under "
            f"({now or 'none'} instead of {frozen or 'none'}); a roll-out keeps them. Run a pilot with the new rules."
        )
    return now
