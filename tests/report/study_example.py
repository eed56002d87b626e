"""Made-up tables of studies for the report's tests; run as a script, it writes example pages and figures to look at.

PYTHONPATH=src:tests python tests/report/study_example.py FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from report.example import LEAKAGE, MACHINE, compare, concluded, settings, source

MAIN = (
    "retrieval/text_to_image/recall@10",
    "retrieval/mean_recall",
    "zero_shot/label/top1",
)
REST = ("retrieval/text_to_image/median_rank", "probe/label/all/top1")


def study_example(
    *,
    arms: int = 7,
    sizes: tuple[int, ...] = (1680,),
    seeds: int = 5,
    controls: tuple[str, ...] = ("augment", "mixgen"),
    lift: float = 0.02,
    control_lift: float = 0.0,
    rates: bool = False,
    missing: int = 0,
    main: tuple[str, ...] = MAIN,
    names: tuple[str, ...] = (),
    generated: bool = False,
) -> dict[str, Any]:
    """The tables of a study.

    Args:
        arms: How many arms are under test, beside the baseline and the controls.
        sizes: Training pairs.
        seeds: How many.
        controls: Their names.
        lift: The true gain of the best arm; others have shares of it, and the last one loses as much.
        control_lift: The true gain of the first control.
        rates: Whether a rate curve is drawn.
        missing: How many of the last trials are not finished.
        main: The main metrics.
        names: Names of arms under test; the rest are made up.
        generated: Whether the pictures are said to be generated.
    """
    rng = np.random.default_rng(5)
    under_test = [*names, *(f"rho={(i + 1) / 10:g}" for i in range(arms))][:arms]
    lifts = {name: lift * (1 - 2 * i / max(arms - 1, 1)) for i, name in enumerate(under_test)}
    lifts |= {"clip": 0.0} | {name: control_lift if i == 0 else 0.0 for i, name in enumerate(controls)}
    order = ["clip", *under_test, *controls]
    keys = list(dict.fromkeys([*main, *REST]))
    listed = [_arm(name, lifts[name], keys, sizes, seeds, rng) for name in order]
    total = len(order) * len(sizes) * seeds
    for _ in range(missing):
        last = next(r for arm in reversed(listed) for r in reversed(arm["results"]) if r["trials"])
        last["trials"].pop()
    metrics = [
        {
            "key": key, "main": key in main, "secondary": key == REST[1] and key not in main,
            "chance": None if "rank" in key else 0.05, "ceiling": None, "n": 1050,
            "higher_is_better": "median_rank" not in key, "unit": "ranks" if "rank" in key else "share",
        }
        for key in keys
    ]  # fmt: skip
    units = {key: 50 if "rank" in key else 1 for key in keys}
    shared = settings()
    comparisons = _compared(metrics, listed, sizes, seeds, controls)
    tables: dict[str, Any] = {
        "clipc": "0.1.0",
        "created": "2026-11-24T09:30:00+00:00",
        "command": "clipc study screen.yaml --jobs 2",
        "name": "screen",
        "note": "Does composing help beyond what plain augmentation gives, and at which rate?",
        "source": source(generated=generated),
        "few_captions": None,
        "leakage": LEAKAGE,
        "machine": MACHINE,
        "settings": {k: shared[k] for k in ("model", "parameters", "image_size", "samples", "policy")},
        "baseline": "clip",
        "controls": list(controls),
        "sizes": list(sizes),
        "seeds": list(range(seeds)),
        "folds": None,
        "planned": total,
        "finished": total - missing,
        "arms": listed,
        "metrics": metrics,
        "comparisons": comparisons,
        "curves": _curves(listed, metrics, sizes, rates=rates),
        "power": [
            {
                "metric": key, "unit": "ranks" if "rank" in key else "share", "sd": 0.011 * units[key],
                "pairs_of_arms": arms, "floor": 0.015 * units[key],
                "rows": [{"difference": d * units[key], "seeds": n} for d, n in ((0.01, None), (0.02, 5), (0.05, 3))],
            }
            for key in main
        ],
        "not_shown": [
            {"code": "few-seeds", "n": seeds}, "one-recipe",
            {"code": "small-test-set", "split": "test", "n": 210, "few": False},
            {"code": "small-model", "parameters": "2.4 M", "size": 64}, "from-scratch", "equal-budget-only",
            {"code": "not-in-all", "metrics": ["swaps/top1"]}, {"code": "groups-apart", "column": "part"},
            "unlike-machines",
            *([{"code": "unfinished", "n": total - missing, "planned": total}] if missing else []),
        ],
    }  # fmt: skip
    return concluded(tables)


def _arm(
    name: str, lift: float, keys: list[str], sizes: tuple[int, ...], seeds: int, rng: np.random.Generator
) -> dict[str, Any]:
    composed = name.startswith("rho=")
    results: list[dict[str, Any]] = []
    for size in sizes:
        trials: list[dict[str, Any]] = []
        for seed in range(seeds):
            start = np.random.default_rng([seed, size])
            values: dict[str, float] = {}
            for key in keys:
                base = 0.2 + 0.08 * np.log10(size / 100) + 0.3 * (sum(map(ord, key)) % 7) / 7
                noise, own = start.normal(0, 0.015), rng.normal(0, 0.005)
                rank = 14 - 60 * lift + 30 * (noise + own)
                values[key] = float(rank if "median_rank" in key else base + lift + noise + own)
            trials.append(
                {
                    "seed": seed, "runs": [f"{name}-n{size}-s{seed}-{rng.integers(16**10):010x}"],
                    "core_seconds": float(93 + rng.normal(0, 3)), "pairs_per_second": float(480 + rng.normal(0, 9)),
                    "best_step": 300, "metrics": values,
                }
            )  # fmt: skip
        treated = 0.298 if composed or name == "augment" else 0.0
        composite = treated if composed else None
        results.append({"size": size, "composite_share": composite, "treated_share": treated, "trials": trials})
    changes: dict[str, Any] = {"policy.rho": float(name[4:])} if composed else {}
    what = {"clip": "Plain CLIP.", "augment": "Equally much more plain augmentation."}.get(name, "")
    return {"name": name, "changes": changes, "what": what, "results": results}


def _compared(
    metrics: list[dict[str, Any]],
    arms: list[dict[str, Any]],
    sizes: tuple[int, ...],
    seeds: int,
    controls: tuple[str, ...],
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        for at, _ in enumerate(sizes):
            full = {a["name"]: a for a in arms if len(a["results"][at]["trials"]) == seeds}
            pairs = [(arm, "clip") for arm in full if arm != "clip"]
            pairs += [(arm, c) for c in controls for arm in full if arm not in (*controls, "clip")]
            for arm, against in pairs:
                if against in full and seeds > 1:
                    rows.append(compare(metric, full[arm], full[against], at))
    return rows


def _curves(
    arms: list[dict[str, Any]], metrics: list[dict[str, Any]], sizes: tuple[int, ...], *, rates: bool
) -> list[dict[str, Any]]:
    def point(x: float, trials: list[dict[str, Any]], key: str) -> dict[str, Any]:
        values = np.array([t["metrics"][key] for t in trials])
        wide = len(values) > 1
        half = float(2.5 * values.std(ddof=1) / np.sqrt(len(values))) if wide else 0.0
        mean = float(values.mean()) if len(values) else None
        ends = (mean - half, mean + half) if wide and mean is not None else (None, None)
        return {"x": x, "mean": mean, "low": ends[0], "high": ends[1], "n": len(values)}

    curves: list[dict[str, Any]] = []
    for metric in metrics:
        key = metric["key"]
        if len(sizes) > 1:
            lines = [
                {"name": a["name"], "points": [point(r["size"], r["trials"], key) for r in a["results"]]} for a in arms
            ]
            curves.append({"axis": "pairs", "log": True, "metric": key, "lines": lines})
        if rates:
            points = [point(a["changes"]["policy.rho"], a["results"][-1]["trials"], key) for a in arms if a["changes"]]
            lines = [{"name": "CLIP-C", "points": points}]
            curves.append({"axis": "policy.rho", "log": False, "metric": key, "lines": lines})
    return curves


CASES: dict[str, dict[str, Any]] = {
    "two": {"arms": 1, "controls": (), "main": MAIN[:1]},
    "seven": {"rates": True},
    "forty": {"arms": 40, "lift": 0.03},
    "sizes": {"arms": 7, "sizes": (250, 500, 1000, 1680), "seeds": 8, "main": (MAIN[1], REST[0])},
    "shared": {"arms": 3, "lift": 0.05, "control_lift": 0.05},
    "none": {"arms": 3, "lift": 0.0, "generated": True},
    "unfinished": {"arms": 4, "sizes": (500, 1680), "missing": 23, "rates": True},
    "long": {"arms": 4, "names": ("a very long name of an arm that no table has room for " * 3, "無作為・ルールあり")},
}
"""Studies to look at and to test with."""


def write_examples(folder: Path) -> None:
    """Writes example pages in both languages, and figures."""
    from clipc.report.study import render_study
    from clipc.report.study_figures import save_figures

    for name, case in CASES.items():
        for lang in ("en", "ja"):
            data = study_example(**case)
            place = folder / lang / name
            save_figures(data, place, lang)
            (place / "study.html").write_text(render_study(data, lang=lang), encoding="utf-8")


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]))
