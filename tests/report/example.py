"""Realistic tables for the report's tests; run as a script, it writes example pages to look at.

PYTHONPATH=src python tests/report/example.py FOLDER
"""

import base64
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import stats

from clipc.study.verdict import conclude, credit

SCENES = [
    ("an airplane stands on the runway beside the terminal .", "airplane", (138, 140, 142)),
    ("many green trees are on both sides of a curved river .", "river", (46, 92, 58)),
    ("dense residential buildings with red roofs are neatly arranged .", "residential", (148, 84, 66)),
    ("white waves beat against the yellow beach .", "beach", (214, 190, 140)),
    ("several storage tanks stand near a grey road .", "tanks", (170, 170, 164)),
    ("a baseball diamond surrounded by a lawn .", "diamond", (96, 136, 70)),
]
SCENES_JA = [
    ("六角ナットの表面に擦り傷がある。", "nut", (120, 122, 128)),
    ("青い背景の上に、へこみのある金属製の歯車が置かれている。", "gear", (70, 96, 140)),
    ("錆びたボルト。", "bolt", (150, 92, 60)),
    ("良品のワッシャー、明るい照明で撮影。", "washer", (190, 190, 186)),
]
SEEDS = (0, 1, 2)
LEAKAGE = {"captions": 1050, "captions_in_train": 578, "images": 210, "images_in_train": 4, "near": True}


def data_uri(rng: np.random.Generator, left: Any, right: Any, axis: str, size: int = 160) -> str:
    """A small composite of two textured scenes as a PNG data URI."""

    def scene(colour: tuple[int, int, int]) -> Image.Image:
        base = np.full((size, size, 3), colour, dtype=np.float64)
        base += np.linspace(-24, 24, size)[:, None, None] + rng.normal(0, 7, (size, size, 1))
        image = Image.fromarray(base.clip(0, 255).astype(np.uint8))
        draw = ImageDraw.Draw(image)
        for _ in range(7):
            x, y, r = (int(v) for v in rng.integers([0, 0, 8], [size, size, 30]))
            shade = tuple(int(np.clip(c + rng.integers(-60, 60), 0, 255)) for c in colour)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=shade)
        return image

    image = scene(left)
    box = (size // 2, 0, size, size) if axis == "left-right" else (0, size // 2, size, size)
    image.paste(scene(right).crop(box), box)
    buffer = io.BytesIO()
    image.quantize(64).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def thumbnail(rng: np.random.Generator, colour: tuple[int, int, int]) -> str:
    """A small source, pale where it is cut away."""
    pixels = np.clip(np.array(colour) + rng.normal(0, 9, (72, 96, 1)), 0, 255)
    for away in (pixels[:, :24], pixels[:, 72:]):
        away[:] = 255 - 0.3 * (255 - away)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


WHYS: list[dict[str, Any]] = [
    {"code": "random"},
    {"code": "nearest", "rank": 3, "of": 10},
    {"code": "diverse", "draws": 4, "similarity": -0.12},
    {"code": "group", "pairs": 310, "values": [["view", "PA"]]},
    {"code": "group", "pairs": 12, "values": []},
]
HITS = [
    {"code": "whole", "of": "both", "text": "whole: true (when label = 'bridge')", "why": "bridges are cut apart"},
    {"code": "mirror", "of": "second", "text": "mirror: false", "why": ""},
]


def samples(count: int = 8, *, japanese: bool = False) -> list[dict[str, Any]]:
    """Composites with their captions."""
    rng = np.random.default_rng(7)
    scenes = SCENES_JA if japanese else SCENES
    joiner = "、そして" if japanese else " and "
    rows: list[dict[str, Any]] = []
    for i in range(count):
        (a, left_key, left), (b, right_key, right) = scenes[i % len(scenes)], scenes[(i * 2 + 1) % len(scenes)]
        layout = ("left-right", "top-bottom")[i % 3 == 1]
        start = a.rstrip(" .。")
        rows.append(
            {
                "picture": data_uri(rng, left, right, layout),
                "left_image": thumbnail(rng, left),
                "right_image": thumbnail(rng, right),
                "left_key": f"{left_key}{i:03d}",
                "right_key": f"{right_key}{i + 40:03d}",
                "left_caption": a,
                "right_caption": b,
                "caption": start + joiner + b,
                "parts": [
                    {"of": "first", "text": start}, {"of": "", "text": joiner}, {"of": "second", "text": b},
                ],
                "shortened": i == 2,
                "layout": layout,
                "kept": [0.31, 0.424],
                "mirrored": [i == 1, False],
                "why": WHYS[i % len(WHYS)],
                "hits": HITS if i == 3 else [],
                "passed": 4,
                "unreadable": i == 4,
            }
        )  # fmt: skip
    return rows


def source(*, labels: bool = True, generated: bool = False, japanese: bool = False) -> dict[str, Any]:
    """The data that the example pretends to have read."""
    return {
        "name": "clipc demo" if generated else "部品外観検査 2026年度" if japanese else "ucm-captions",
        "generated": generated,
        "pairs": {"train": 1680, "val": 210, "test": 210},
        "captions": {"train": 8400, "val": 1050, "test": 1050},
        "splits_made": generated or japanese,
        "label_columns": ["label"] if labels else [],
        "classes": {"label": 21} if labels else {},
        "rejects": {"total": 3, "reasons": {"empty caption": 2, "unreadable image": 1}},
        "notes": ["read as CP932"] if japanese else [],
        "warnings": [],
        "fingerprint": "9f3c61d2a07be845",
    }


def metrics(*, labels: bool = True) -> list[dict[str, Any]]:
    """Every metric that a pilot may report."""
    entries: list[tuple[str, bool, float, int]] = []
    for way, n in (("text_to_image", 1050), ("image_to_text", 210)):
        for k in (1, 5, 10):
            entries.append((f"retrieval/{way}/recall@{k}", False, k / 210, n))
        entries.append((f"retrieval/{way}/median_rank", False, 105.5, n))
    entries.append(("retrieval/mean_recall", False, 0.025, 210))
    entries.append(("retrieval/text_equal/mean_recall", True, 0.025, 210))
    if labels:
        entries += [
            ("zero_shot/label/top1", True, 1 / 21, 210),
            ("zero_shot/label/top5", False, 5 / 21, 210),
            ("zero_shot/label/mean_per_class", False, 1 / 21, 210),
        ]
        entries += [(f"probe/label/{k}-shot/top1", False, 1 / 21, 210) for k in (1, 2, 4, 8, 16)]
        entries.append(("probe/label/all/top1", False, 1 / 21, 210))
    entries.sort(key=lambda entry: (not entry[1], entry[0] != "probe/label/all/top1"))
    return [
        {
            "key": key, "main": main, "secondary": key == "probe/label/all/top1",
            "chance": chance, "ceiling": None, "n": n,
            "higher_is_better": not key.endswith("median_rank"),
            "unit": "ranks" if key.endswith("median_rank") else "share",
        }
        for key, main, chance, n in entries
    ]  # fmt: skip


MACHINE = {
    "cpu": "AMD EPYC", "cores": 2, "device": "cpu", "gpu": None,
    "python": "3.11.7", "torch": "2.15.0", "open_clip": "3.3.0",
}  # fmt: skip


def policy(*, japanese: bool = False) -> dict[str, Any]:
    """A policy of composition."""
    return {
        "rho": 0.3, "treatment": "compose", "layout": "centre-halves", "axis": "random", "region": None,
        "caption": "join", "joiner": "、そして" if japanese else " and ", "template": None,
        "partner": "random", "group": None, "neighbours": 10, "draws": 4, "pairing": "dynamic",
        "embedding": "captions", "embedding_of": "mean", "reference": None, "rules": None,
    }  # fmt: skip


def settings(*, japanese: bool = False) -> dict[str, Any]:
    """What all arms share."""
    return {
        "model": "small", "selection": "last", "image_size": 64, "parameters": 2400000, "batch_size": 128,
        "samples": 100000, "steps": 781,
        "epochs": 59.5, "prompts": "satellite", "learning_rate": 0.001, "weight_decay": 0.1,
        "policy": policy(japanese=japanese),
    }  # fmt: skip


def trial(arm: str, seed: int, lift: float, keys: list[str], rng: np.random.Generator) -> dict[str, Any]:
    """One trial with plausible metrics."""
    start = np.random.default_rng(seed + 100)
    values: dict[str, float] = {}
    for key in keys:
        base = 0.28 + 0.5 * (sum(map(ord, key)) % 37) / 37
        if key.endswith("median_rank"):
            values[key] = float(np.round(12 - 60 * lift + start.normal(0, 0.5) + rng.normal(0, 0.2), 2))
        else:
            values[key] = float(base + lift * (0.5 + base) + start.normal(0, 0.012) + rng.normal(0, 0.002))
    return {
        "seed": seed,
        "runs": [f"n1680-s{seed}-{sum(map(ord, arm)):010x}"],
        "core_seconds": float(412 + rng.normal(0, 6)),
        "pairs_per_second": float(240 + rng.normal(0, 3)),
        "best_step": 695,
        "metrics": values,
    }


def training(arm: str, seed: int, lift: float, rng: np.random.Generator) -> dict[str, Any]:
    """Plausible curves of a trial."""
    steps = np.arange(10, 790, 20)
    loss = 1.1 + 3.7 * np.exp(-steps / 210) + (0.18 if arm != "clip" else 0) + rng.normal(0, 0.05, len(steps))
    checks = np.arange(100, 790, 85)
    validation = (0.42 + lift) * (1 - np.exp(-checks / 230)) + rng.normal(0, 0.008, len(checks))
    return {
        "arm": arm,
        "seed": seed,
        "loss": [[int(s), float(v)] for s, v in zip(steps, loss, strict=True)],
        "validation": [[int(s), float(v)] for s, v in zip(checks, validation, strict=True)],
    }


def compare(metric: dict[str, Any], arm: dict[str, Any], against: dict[str, Any], at: int = 0) -> dict[str, Any]:
    """A paired comparison at one size, with a verdict by its wider interval."""
    key, up = metric["key"], metric["higher_is_better"]
    here, there = arm["results"][at]["trials"], against["results"][at]["trials"]
    each = np.array([a["metrics"][key] - b["metrics"][key] for a, b in zip(here, there, strict=True)])
    mean, n = float(each.mean()), len(each)
    error = max(float(each.std(ddof=1)) / np.sqrt(n), 1e-9)
    half = float(stats.t.ppf(0.975, n - 1)) * error
    both = [mean - half * 1.25, mean + half * 1.1]
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    verdict = "no evidence" if both[0] <= 0 <= both[1] else "gain" if (mean > 0) is up else "loss"
    verdict = verdict if metric["main"] or metric["secondary"] else "not tested"
    return {
        "metric": key, "arm": arm["name"], "against": against["name"], "size": arm["results"][at]["size"],
        "difference": mean, "interval": [mean - half, mean + half], "both": both, "per_seed": each.tolist(),
        "p": p, "p_holm": min(1.0, 2 * p) if metric["main"] else None, "p_sign": 2 / 2**n if n >= 8 else None,
        "verdict": verdict,
    }  # fmt: skip


def gain_differences(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Differences of the gains of all arms from those of the controls, and over sizes, with made-up intervals."""
    base, rows = data["baseline"], list[dict[str, Any]]()
    gains = {(c["metric"], c["arm"], c["size"]): c for c in data["comparisons"] if c["against"] == base}
    last = data["sizes"][-1]
    for (metric, arm, size), gain in gains.items():
        others = [(control, size) for control in data["controls"]]
        others += [(arm, other) for other in data["sizes"][:-1]] if size == last else []
        if arm in data["controls"] or not any(m["key"] == metric and m["main"] for m in data["metrics"]):
            continue
        for other, other_size in others:
            than = gains.get((metric, other, other_size))
            if than is not None and gain["per_seed"] and len(than["per_seed"]) == len(gain["per_seed"]):
                each = [a - b for a, b in zip(gain["per_seed"], than["per_seed"], strict=True)]
                mean = float(np.mean(each))
                row = {"metric": metric, "gain": {"arm": arm, "over": base, "size": size}}
                row |= {"than": {"arm": other, "over": base, "size": other_size}, "difference": mean, "per_seed": each}
                rows.append(row | {"interval": [mean - 0.01, mean + 0.01], "both": [mean - 0.014, mean + 0.014]})
    return rows


def concluded(data: dict[str, Any]) -> dict[str, Any]:
    """The tables with what follows from the verdicts of their comparisons."""
    credit(data["comparisons"], data["baseline"], data["controls"])
    names = [arm["name"] for arm in data["arms"]]
    data["gain_differences"] = gain_differences(data)
    parts = (data["baseline"], data["controls"], data["metrics"], data["comparisons"])
    data["verdict"] = conclude(names, *parts)
    return data


def pilot_example(
    *,
    lift: float = 0.04,
    control_lift: float | None = 0.0,
    labels: bool = True,
    generated: bool = False,
    japanese: bool = False,
) -> dict[str, Any]:
    """The tables of a pilot.

    Args:
        lift: The true gain of CLIP-C.
        control_lift: The true gain of the control; without it the control arm was not run.
        labels: Whether the data has labels.
        generated: Whether the pictures are said to be generated.
        japanese: Whether the captions and the source's name are Japanese.
    """
    rng = np.random.default_rng(11)
    listed = metrics(labels=labels)
    keys = [m["key"] for m in listed]
    lifts = {"clip": (0.0, 0.0), "augment": (control_lift, 0.302), "clip-c": (lift, 0.298)}
    arms: list[dict[str, Any]] = [
        {
            "name": name,
            "changes": {"policy.rho": 0} if name == "clip" else {},
            "what": f"What {name} does.",
            "results": [
                {
                    "size": 1680,
                    "composite_share": share if name == "clip-c" else None,
                    "treated_share": share,
                    "trials": [trial(name, seed, up, keys, rng) for seed in SEEDS],
                }
            ],
        }
        for name, (up, share) in lifts.items()
        if up is not None
    ]
    by_name = {arm["name"]: arm for arm in arms}
    pairs = (("augment", "clip"), ("clip-c", "clip"), ("clip-c", "augment"))
    not_shown: list[Any] = [
        "same-source",
        "leakage",
        {"code": "few-seeds", "n": 3},
        {"code": "small-test-set", "split": "test", "n": 210, "few": False},
        "one-recipe",
        {"code": "one-share", "share": "30%"},
        "random-partners",
        "from-scratch",
        {"code": "small-model", "parameters": "2.4 M", "size": 64},
        "no-audit",
    ]
    not_shown += [] if labels else ["no-labels"]
    not_shown += [] if control_lift is not None else ["no-control-arm"]
    not_shown += ["generated"] if generated else []
    return concluded(
        {
            "clipc": "0.1.0",
            "created": "2026-11-23T12:00:00+00:00",
            "command": "clipc pilot data/ucm --minutes 20",
            "name": "pilot",
            "note": "",
            "source": source(labels=labels, generated=generated, japanese=japanese),
            "few_captions": None,
            "leakage": LEAKAGE,
            "machine": MACHINE,
            "settings": settings(japanese=japanese),
            "baseline": "clip",
            "controls": ["augment"] if control_lift is not None else [],
            "sizes": [1680],
            "seeds": list(SEEDS),
            "folds": None,
            "planned": 3 * len(arms),
            "finished": 3 * len(arms),
            "diverged": [],
            "search": [],
            "arms": arms,
            "metrics": listed,
            "comparisons": [
                compare(metric, by_name[arm], by_name[against])
                for metric in listed
                for arm, against in pairs
                if arm in by_name and against in by_name
            ],
            "curves": [],
            "power": [],
            "budget": {"minutes": 20.0, "minutes_taken": 17.2, "jobs": 2},
            "plan": {
                "recipe": "starter-1000",
                "recipe_reason": "1,680 training pairs: the recipe starter-1000.",
                "epochs": 50.0,
                "pairs": 1680,
                "all_pairs": 1680,
                "arms": list(by_name),
                "left_out": ["self-halves"],
                "seeds": len(SEEDS),
                "seeds_asked": False,
                "trials": 3 * len(arms),
                "minutes": 14.0,
                "feature_minutes": 3.0,
                "allowed_minutes": 20.0,
                "jobs": 2,
            },
            "untrained": untrained(list(by_name)) if labels else [],
            "stages": STAGES,
            "doctor": {
                "findings": [
                    {"code": "unreadable", "severity": "note", "count": 12, "total": 1680, "share": 0.007}
                    | {"values": {"times": 12, "reason": "no such image"}, "examples": []}
                ]
            },
            "confirmation": [
                {"metric": keys[0], "arm": name, "features": 0.41, "pixels": 0.43} for name in ("clip", "clip-c")
            ],
            "composites": [
                {"arm": "clip-c", "policy": policy(japanese=japanese), "samples": samples(japanese=japanese)}
            ],
            "composing_cost": {
                "baseline": 240.0,
                "arms": [{"arm": "clip-c", "pairs_per_second": 236.0, "ratio": 0.983}],
            },
            "training": [
                training(arm["name"], seed, lifts[arm["name"]][0] or 0.0, rng) for arm in arms for seed in SEEDS
            ],
            "not_shown": not_shown,
        }
    )


STAGES = [
    {"name": "doctor", "go_on": True, "code": "warning", "values": {"warning": 2}, "minutes": 0.4},
    {
        "name": "preview",
        "go_on": True,
        "code": "plain",
        "values": {"arm": "clip-c", "composed": 820, "of": 840},
        "minutes": 0.1,
    },
    {
        "name": "bias",
        "go_on": True,
        "code": "none",
        "values": {"arm": "clip-c", "tested": 40, "amplified": 0},
        "minutes": 0.1,
    },
    {
        "name": "experiment",
        "go_on": True,
        "code": "none",
        "values": {"arms": 3, "seeds": 3, "winner": "clip-c"},
        "minutes": 14.2,
    },
    {
        "name": "curve",
        "go_on": True,
        "code": "measured",
        "values": {"sizes": [210, 420, 840, 1680], "seeds": 3, "winner": "clip-c"},
        "minutes": 2.0,
    },
    {
        "name": "confirm",
        "go_on": True,
        "code": "measured",
        "values": {"winner": "clip-c", "seed": 3},
        "minutes": 1.0,
    },
]


def untrained(arms: list[str]) -> list[dict[str, Any]]:
    """The probe on the start's features and a public model, beside the arms'."""
    rows = [{"arm": name, "mean": 0.91 + 0.01 * i, "low": 0.89, "high": 0.95, "n": 3} for i, name in enumerate(arms)]
    shared = {"mean": 0.924, "low": 0.888, "high": 0.96, "n": 210, "chance": 1 / 21, "arms": rows}
    probe = {"kind": "probe", "metric": "probe/label/all/top1", "column": "label", "model": "starter"}
    public = {"kind": "public", "metric": "zero_shot/label/top1", "model": "ViT-B-32:laion2b_s34b_b79k"}
    return [{**probe, **shared}, {**public, **shared}]


def with_few_captions(data: dict[str, Any]) -> dict[str, Any]:
    """The tables of a pilot on data of few distinct captions, in the order in which a study makes them."""
    limited = [m for m in data["metrics"] if "recall" in m["key"] and "text_equal" not in m["key"]]
    rest = [m for m in data["metrics"] if m not in limited]
    few = {"ceiling": 0.269, "distinct": 21, "captions": 1210, "class_names": False}
    return data | {"few_captions": few, "metrics": [*rest, *({**m, "ceiling": 0.269} for m in limited)]}


def rules_example(*, japanese: bool = False) -> dict[str, Any]:
    """What rules remove."""
    scenes = SCENES_JA if japanese else SCENES
    pairs = [
        {"key": f"{key}7", "caption": text, "values": {"view": view}}
        for (text, key, _), view in zip(scenes[:3], ("PA", "AP", ""), strict=True)
    ]
    reason = "正面と側面では読み方が異なる" if japanese else "frontal and lateral films are read differently"
    return {
        "candidates": 100_000, "allowed": 41_234, "share": 0.41234,
        "constraints": [
            {"text": "require: a.view = b.view", "why": reason, "line": 6, "removed": 58_000, "share": 0.58,
             "only": 51_000, "examples": [{"first": pairs[i], "second": pairs[i + 1]} for i in range(2)]},
            {"text": "forbid: word(a.caption, 'left')", "why": "", "line": None, "removed": 0, "share": 0.0,
             "only": 0, "examples": []},
            {"text": "forbid: a.patient = b.patient", "why": "", "line": 12, "removed": 31, "share": 0.00031,
             "only": 2, "examples": []},
        ],
        "exclusions": [
            {"text": "word(caption, 'collage')", "why": reason, "line": 20, "pairs": 3, "captions": 5, "share": 0.0007,
             "examples": [{"key": "nut1", "caption": scenes[0][0], "values": {}}]},
        ],
        "shapes": [
            {"text": "axis: horizontal", "why": reason, "line": 30, "pairs": 900, "share": 1.0},
            {"text": "joiner: ; (when a.view = 'PA')", "why": "", "line": None, "pairs": None, "share": 0.0},
        ],
        "groups": {"groups": 12, "median": 40, "largest": 310, "alone": 3, "unknown": 27},
    }  # fmt: skip


def sheet_example(*, generated: bool = False, japanese: bool = False) -> dict[str, Any]:
    """The tables of a contact sheet."""
    rules: dict[str, Any] = {"name": "胸部X線" if japanese else "chest x-ray", "pairs": [{}, {}, {}], "never": [{}]}
    return {
        "source": source(generated=generated, japanese=japanese),
        "few_captions": None,
        "policy": policy(japanese=japanese) | {"rules": rules},
        "statistics": {
            "rows": 8734, "composed": 2620, "strong": 0, "share": 0.3,
            "layouts": {
                "plain": 6114, "left-right": 1300, "top-bottom": 1320, "strong": 0, "box": 0, "overlay": 0,
                "first-image": 0,
            },
            "fallbacks": {"never": 3, "unknown": 27, "alone": 0}, "partners": 2201, "partners_most": 5,
            "counted": 2000, "shortened": 12, "shortened_share": 0.006, "context_length": 64, "room": 62,
            "tokens": {
                "single": {"median": 14, "p95": 25, "max": 60}, "joined": {"median": 29, "p95": 48, "max": 118},
                "read": {"median": 29, "p95": 48, "max": 62},
            },
            "kept": {"first": 0.5, "second": 0.5}, "seen": {"first": 0.31, "second": 0.32}, "equal_captions": 4,
        },
        "rules": rules_example(japanese=japanese),
        "samples": samples(12, japanese=japanese),
    }  # fmt: skip


def write_pages(folder: Path) -> None:
    """Writes example pages in both languages to look at in a browser."""
    from clipc.report.pilot import render_pilot
    from clipc.report.sheet import render_sheet

    folder.mkdir(parents=True, exist_ok=True)
    cases: dict[str, dict[str, Any]] = {
        "gain": {}, "none": {"lift": 0.004}, "unconfirmed": {"control_lift": 0.04},
        "uncontrolled": {"control_lift": None, "labels": False}, "loss": {"lift": -0.05, "generated": True},
    }  # fmt: skip
    for lang in ("en", "ja"):
        for name, case in cases.items():
            page = render_pilot(pilot_example(japanese=lang == "ja", **case), lang=lang)
            (folder / f"pilot-{name}-{lang}.html").write_text(page, encoding="utf-8")
        page = render_pilot(with_few_captions(pilot_example(japanese=lang == "ja")), lang=lang)
        (folder / f"pilot-few-captions-{lang}.html").write_text(page, encoding="utf-8")
        page = render_sheet(sheet_example(japanese=lang == "ja"), lang=lang)
        (folder / f"sheet-{lang}.html").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
