"""The tables of docs/results.md from the records that lie here, without the data and without training.

python results/tables.py confirm-ucm                        every arm against the study's baseline
python results/tables.py confirm-ucm --arm "clip-c rho=0.3"  one arm against each control
python results/tables.py confirm-ucm --measure swaps/top1    every arm in one measure
python results/tables.py confirm-ucm --validation            every arm by what validation found
python results/tables.py confirm-ucm --power                 what its seeds could find
python results/tables.py confirm-ucm --verdicts              what stands if all its arms are corrected for
python results/tables.py confirm-ucm --runs                  the names of its runs
"""

import argparse
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import hypot
from pathlib import Path
from statistics import mean
from typing import Any, Final

from clipc.study.spread import Range

from clipc.evaluate.statistics import detectable, holm, paired_difference
from clipc.recipe.recipe import Recipe
from clipc.study.arms import Arm
from clipc.study.compare import LEVEL, comparisons, paired
from clipc.study.design import Study, arm_recipe, first_of, ranges_of, read_study
from clipc.study.noise import POWER, noise
from clipc.study.record import read_record
from clipc.study.results import Outcome, composed_share, metrics_table
from clipc.study.run import measuring_of
from clipc.study.trials import Trial
from clipc.train.validation import CHOSEN_BY

HERE = Path(__file__).parent
NAMES = {
    "swaps": "told from the swapped caption",
    "retrieval/text_to_image/recall@10": "text→image R@10",
    "retrieval/image_to_text/recall@10": "image→text R@10",
    "zero_shot": "zero-shot top-1",
    "probe": "linear probe top-1",
}
Groups = Mapping[tuple[str, int], Sequence[Outcome]]
Rows = list[dict[str, Any]]


def finished(study: Study) -> Groups:
    """The trials of each arm at each size, by seed: the records on these data whose recipe is the arm's."""
    groups: dict[tuple[str, int], dict[int, Outcome]] = {}
    for arm, size, recipe, file, _ in records_of(study):
        outcome = read_record(Trial(arm, recipe, Path(file.stem)), measuring_of(study), file)
        if outcome is not None:
            groups.setdefault((arm, size), {})[recipe.seed] = outcome
    places = {arm.name: place for place, arm in enumerate(study.expanded)}
    most = max(size for _, size in groups)
    asked_for = {most if size == "all" else size for size in study.sizes}
    return {
        (arm, size): [groups[arm, size][seed] for seed in study.seeds if seed in groups[arm, size]]
        for arm, size in sorted(groups, key=lambda key: (key[1], places[key[0]]))
        if size in asked_for
    }


def compared(study: Study, groups: Groups, metrics: Sequence[Mapping[str, Any]], controls: Sequence[str] = ()) -> Rows:
    """The comparisons of a study's page; a seed that diverged is not waited for."""
    lost = Counter((arm, size) for arm, size, _, _, diverged in records_of(study) if diverged)
    return comparisons(groups, metrics, study.compared_with, controls, len(study.seeds), lost)


def records_of(study: Study) -> Iterator[tuple[str, int, Recipe, Path, bool]]:
    """The arm, size, recipe and file of every record of a study, and whether the trial diverged."""
    arms = [(arm.name, ranges_of(study, arm)) for arm in study.expanded]
    # What was searched is not asked for: the records of an arm are those of its best settings, whatever these are.
    first = [arm_recipe(study, arm, study.seeds[0], "all", first_of(ranges_of(study, arm))) for arm in study.expanded]
    recipes = {name: fields(recipe, ranges) for (name, ranges), recipe in zip(arms, first, strict=True)}
    for file, recipe, about, diverged in all_records():
        if about["name"] == Path(study.data.source).name and recipe.seed in study.seeds:
            for name, ranges in arms:
                if recipes[name] == fields(recipe, ranges):
                    yield name, about["pairs"]["train"], recipe, file, diverged


@cache
def all_records() -> list[tuple[Path, Recipe, Mapping[str, Any], bool]]:
    """Every record that lies here: its file, its recipe, what its data were, and whether the loss diverged."""
    found: list[tuple[Path, Recipe, Mapping[str, Any], bool]] = []
    for file in sorted(HERE.glob("*/*.json")):
        record = json.loads(file.read_text("utf-8"))
        found.append((file, Recipe.model_validate(record["recipe"]), record["data"], "diverged" in record))
    return found


def fields(recipe: Recipe, searched: Mapping[str, Range]) -> dict[str, Any]:
    """What of a recipe is the arm's own: neither seed nor data, nor what cannot change a result.

    Of a value that was searched it only says whether it lies in its range.
    """
    found = recipe.model_dump(mode="json", exclude={"data", "seed", "threads", "workers"})
    for key, span in searched.items():
        *path, last = key.split(".")
        table = found
        for part in path:
            table = table[part]
        table[last] = table[last] in span
    return found


def against_baseline(study: Study, groups: Groups, size: int, measure: str | None = None) -> str:
    """A row for each arm: the share composed, each main metric's mean, and its paired difference from the baseline."""
    here = {key: found for key, found in groups.items() if key[1] == size}
    metrics = main_metrics(here) if measure is None else [m for m in all_metrics(here) if m["key"] == measure]
    rows = {(row["arm"], row["metric"]): row for row in compared(study, here, metrics)}
    lines = [header("arm", "composed", *(title(m["key"]) for m in metrics))]
    for (arm, _), found in here.items():
        shares = [share for o in found if (share := composed_share(o)) is not None]
        cells = [f"{arm} (n = {len(found)})", f"{mean(shares):.2f}" if shares else "–"]
        for key in (m["key"] for m in metrics):
            row = rows.get((arm, key))
            value = f"{100 * mean(o.metrics[key] for o in found):.1f}"
            cells.append(value if row is None else f"{value}: {difference(row)}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def against_controls(study: Study, groups: Groups, size: int, arm: str) -> str:
    """A row for each control: the arm's paired difference from it, each main metric."""
    asked = (arm, study.compared_with, *study.controls)
    here = {key: found for key, found in groups.items() if key[1] == size and key[0] in asked}
    metrics = main_metrics(here)
    every = compared(study, here, metrics, study.controls)
    rows = [row for row in every if row["arm"] == arm]
    lines = [header(f"{arm} minus", *(title(m["key"]) for m in metrics))]
    for control in study.controls:
        cells = [difference(row) for row in rows if row["against"] == control]
        lines.append(f"| {control} | {' | '.join(cells)} |")
    return "\n".join(lines)


def by_validation(study: Study, groups: Groups, size: int) -> str:
    """A row for each arm: the mean recall on validation of the checkpoints chosen by it."""
    lines = [header("arm", "mean recall on validation")]
    for (arm, trained), found in groups.items():
        if trained != size:
            continue
        ours, theirs = (
            [o.summary["best"][CHOSEN_BY] for o in group] for group in paired(found, groups[study.compared_with, size])
        )
        value = f"{100 * mean(ours):.1f}"
        if arm != study.compared_with:
            row = paired_difference(ours, theirs)
            value += f": {100 * row.mean:+.1f} [{100 * row.low:+.1f}, {100 * row.high:+.1f}]"
        lines.append(f"| {arm} (n = {len(ours)}) | {value} |")
    return "\n".join(lines)


def power(study: Study, groups: Groups, size: int) -> str:
    """The true difference that so many seeds would find four times in five, and what makes it so large."""
    here = {key: found for key, found in groups.items() if key[1] == size}
    metrics, seeds = main_metrics(here), len(study.seeds)
    found = {row["metric"]: row for row in noise(here, metrics, study.compared_with)}
    told: dict[str, list[str]] = {
        f"found by {seeds} seeds, from": [],
        "differences vary by (s.d.)": [],
        "hidden by the test set": [],
    }
    for row in (found[m["key"]] for m in metrics):
        seen, hidden = detectable(row["sd"], seeds, power=POWER, level=LEVEL / len(metrics)), row["floor"] or 0
        for cells, value in zip(told.values(), (hypot(seen, hidden), row["sd"], hidden), strict=True):
            cells.append(f"{100 * value:.1f}")
    lines = [header("points", *(title(m["key"]) for m in metrics))]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in told.items())])


def verdicts(study: Study, groups: Groups, size: int) -> str:
    """Each gain and loss against the baseline, and its p value corrected over the measures and over all arms too."""
    here = {key: found for key, found in groups.items() if key[1] == size}
    rows = compared(study, here, main_metrics(here))
    everything = holm([row["p"] for row in rows])
    lines = [header("arm", "measure", "difference", "p", "over its measures", f"over all {len(rows)}")]
    for row, p in zip(rows, everything, strict=True):
        if row["verdict"] in ("gain", "loss"):
            chances = ("< 0.001" if value < 0.001 else f"{value:.3f}" for value in (row["p"], row["p_holm"], p))
            lines.append(f"| {' | '.join((row['arm'], title(row['metric']), difference(row), *chances))} |")
    return "\n".join(lines)


def main_metrics(groups: Groups) -> list[dict[str, Any]]:
    """What a report shows first."""
    return [m for m in all_metrics(groups) if m["main"]]


def all_metrics(groups: Groups) -> list[dict[str, Any]]:
    """All that was measured."""
    return metrics_table([o for found in groups.values() for o in found])


def run_names(arms: Sequence[Arm], groups: Groups) -> str:
    """The runs of each arm, as their records are named."""
    lines = [header("arm", "runs")]
    for arm in arms:
        names = [f"`{o.trial.folder.name}`" for key, found in groups.items() if key[0] == arm.name for o in found]
        lines.append(f"| {arm.name} | {' '.join(names)} |")
    return "\n".join(lines)


def header(*cells: str) -> str:
    """The first two lines of a table."""
    return f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}"


def title(metric: str) -> str:
    """A metric's name for readers."""
    return NAMES.get(metric) or NAMES[metric.split("/")[0]]


def difference(row: Mapping[str, Any]) -> str:
    """In points, with the t interval over seeds; bold with its verdict where there is one."""
    text = f"{100 * row['difference']:+.1f} [{100 * row['interval'][0]:+.1f}, {100 * row['interval'][1]:+.1f}]"
    return f"**{text} {row['verdict']}**" if row["verdict"] in ("gain", "loss") else text


def table(words: Sequence[str]) -> str:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="the name of a study here")
    parser.add_argument("--size", type=int, help="training pairs; the most there are by default")
    parser.add_argument("--baseline", help="instead of the study's")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--arm", help="this arm against each control")
    kind.add_argument("--measure", help="every arm in this measure alone")
    for option, (_, what) in OTHERS.items():
        kind.add_argument(f"--{option}", action="store_true", help=what)
    kind.add_argument("--runs", action="store_true", help="names of the runs")
    asked = parser.parse_args(words)
    study = read_study(HERE / f"{asked.study}.yaml", [f'baseline="{asked.baseline}"'] if asked.baseline else [])
    groups = finished(study)
    size = asked.size or max(size for _, size in groups)
    if asked.runs:
        return run_names(study.expanded, groups)
    for option, (made, _) in OTHERS.items():
        if getattr(asked, option):
            return made(study, groups, size)
    if asked.arm:
        return against_controls(study, groups, size, asked.arm)
    return against_baseline(study, groups, size, asked.measure)


OTHERS: Final[dict[str, tuple[Callable[[Study, Groups, int], str], str]]] = {
    "validation": (by_validation, "every arm by what validation found"),
    "power": (power, "the differences that its seeds could find"),
    "verdicts": (verdicts, "gains and losses, corrected over all its arms"),
}


def filled(page: str) -> str:
    """A page whose tables are made anew: each stands under a comment ``<!-- results/tables.py WORDS -->``."""
    marked = re.compile(r"(<!-- results/tables\.py (.*) -->\n)(?:\n(?:\|.*\n)+)?")
    return marked.sub(lambda found: f"{found[1]}\n{table(shlex.split(found[2]))}\n", page)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fill"]:
        for name in sys.argv[2:]:
            Path(name).write_text(filled(Path(name).read_text("utf-8")), "utf-8")
    else:
        print(table(sys.argv[1:]))
