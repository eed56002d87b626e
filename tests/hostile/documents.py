"""Recipes, studies, rules and lists that are too deep, too long, of other types, or ask for too much."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .images import encoded
from .oracle import Generator, Rng
from .tables import mutated


def _source(root: Path) -> str:
    for number in range(8):
        (root / f"{number}.png").write_bytes(encoded("PNG", number))
    rows = [{"image": f"{n}.png", "caption": f"a red plate {n}", "label": "ab"[n % 2]} for n in range(8)]
    (root / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(root / "pairs.jsonl")


def _yaml_bomb(rng: Rng) -> str:
    size = int(rng.choice([100, 10_000, 300_000, 5_000_000]))
    laughs = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
    )
    texts = [
        "a: " + "[" * size + "]" * size, "a: " + "{b: " * size + "}" * size,
        "".join(" " * n + "a:\n" for n in range(min(size, 9000))),
        laughs, "&a [*a]", "a: &a {b: *a}", "- " * size, "? " * size, "a: !!python/object/apply:os.system [true]",
        "a: !!binary " + "A" * size, "a: !x y", "a: " + "9" * size, "a: 1e" + "9" * 400, "a: 0x" + "f" * size,
        "a: 190:20:30:40",
        "a: 2024-13-40", "a: " + "x" * size, "\0", "\x1b[31m: 1", "a: 'x", "%YAML 9.9\n---\na: 1",
        "---\na: 1\n---\nb: 2",
        "a: b: c", "- a\n- b", "", "null", "5", "a: *none", "<<: {a: 1}", "<<: [1, 2]", "a: 1\na: 2", "{[1, 2]: 3}",
        "\ufeffa: 1",
        "a: \"\\ud800\"", "a: !!float x", "a: !!int x", "a: !!timestamp x", "a: .inf", "a: ~", "a: " + "'" * size,
    ]  # fmt: skip
    return texts[int(rng.integers(len(texts)))]


def recipe_text(rng: Rng, root: Path) -> Sequence[str]:
    """A recipe that is a bomb, or no YAML, or no recipe."""
    (root / "r.yaml").write_text(_yaml_bomb(rng), "utf-8", "surrogatepass")
    return ["train", str(root / "r.yaml"), _source(root)]


def recipe_bytes(rng: Rng, root: Path) -> Sequence[str]:
    """A file that is no text in the place of a recipe, a study, rules, or another file that a command takes."""
    size = int(rng.choice([10, 1000, 50_000_000]))
    file = root / str(rng.choice(["r.yaml", "r.yml", "r.json", "r.txt", "r.csv"]))
    file.write_bytes(
        [rng.bytes(min(size, 5000)), bytes(size), b"\xff\xfe" * 99, b"a" * size, b"[" * size][int(rng.integers(5))]
    )
    return _anywhere(rng, root, file)


def _anywhere(rng: Rng, root: Path, file: Path) -> Sequence[str]:
    """A command that reads a file in one of its many places."""
    source = _source(root)
    return [
        ["train", str(file), source],
        ["study", str(file)],
        ["compose", source, "--rules", str(file), "--check"],
        ["compose", source, "--recipe", str(file)],
        ["train", "nano", source, f"model={file}"],
        ["compose", source, f"policy.weights={file}", "--check"],
        ["read", source, f"keys={file}"],
        ["audit", source, "--words", str(file)],
        ["audit", source, "--decisions", str(file), "--score", "checks"],
        ["eval", str(root), source, "--templates", str(file)],
    ][int(rng.integers(10))]


def yaml_anywhere(rng: Rng, root: Path) -> Sequence[str]:
    """A YAML bomb in one of the many places where a command takes a file."""
    file = root / "f.yaml"
    file.write_text(_yaml_bomb(rng), "utf-8", "surrogatepass")
    return _anywhere(rng, root, file)


_RECIPE = {
    "model": "nano", "epochs": 1, "batch_size": 8, "learning_rate": 0.001, "seed": 0, "image_size": 64,
    "validations": 0,
    "vocabulary": None, "threads": 1, "num_workers": 0, "kept_views": 1, "betas": [0.9, 0.98], "track": [],
    "betas2": None,
    "policy": {"rho": 0.3, "partner": "random", "layout": "halves", "until": 1.0}, "augmentation": {"scale": [0.5,
    1.0]},
    "data": {"lang": "en", "caption_columns": ["caption"], "pairs": None}, "selection": "last",
    "tune": {"image": "all"},
}  # fmt: skip


def recipe_values(rng: Rng, root: Path) -> Sequence[str]:
    """A recipe with values of other types and sizes; it always holds a wrong key, so that nothing is trained."""
    recipe = dict(_RECIPE)
    for _ in range(int(rng.integers(1, 4))):
        recipe = mutated(recipe, rng) if rng.integers(9) else recipe
    recipe = recipe if isinstance(recipe, dict) else {"a": recipe}
    (root / "r.yaml").write_text(
        json.dumps(recipe | {"batch_size": 10**9}).replace("NaN", ".nan").replace("Infinity", ".inf")
    )
    return ["train", str(root / "r.yaml"), _source(root)]


def overrides(rng: Rng, root: Path) -> Sequence[str]:
    """Changes of recipe keys with odd values."""
    keys = [
        "samples", "epochs", "image_size", "vocabulary", "threads", "num_workers", "kept_views", "policy.rho", "model",
        "policy.rules", "data.lang", "betas", "track", "seed", "policy.partner", "policy.layout", "data.pairs",
        "data.folds",
        "checkpoint_seconds", "augmentation.scale", "precision", "a" * 5000, "policy", "data", "", ".", "policy..rho",
        "a.b.c.d",
    ]  # fmt: skip
    values = [
        "1e400", "-1", "nan", "9" * 5000, "[" * 5000, "{a: " * 3000, "\x1b[31m", "&a [*a]", "''", "'",
        "!!python/object:x", "null",
        "[1, 2, 3]", "{each: [1, 2]}", "1" + "0" * 30, "x" * 5000, "true", "0x", "\ud800"[:0] + "é",
    ]  # fmt: skip
    key, value = keys[int(rng.integers(len(keys)))], values[int(rng.integers(len(values)))]
    return ["train", "nano", _source(root), f"{key}={value}", "batch_size=1000000000"]


_STUDY = {
    "name": "s", "recipe": "nano", "arms": {"plain": {"policy": {"rho": 0}}, "composed": {"policy": {"rho": 0.3}}},
    "seeds": 2, "sizes": ["all"], "baseline": "plain", "controls": [], "main": [], "shots": [],
}  # fmt: skip


def study_values(rng: Rng, root: Path) -> Sequence[str]:
    """A study of billions of trials, with lists that multiply, or with values of other types."""
    many = {"each": list(range(int(rng.choice([3, 100, 4000]))))}
    changes = [
        {"seeds": int(rng.choice([10**6, 10**9, 10**18]))}, {"seeds": list(range(20_000))}, {"sizes": list(range(1,
        20_000))},
        {"arms": {"plain": {}, "a": {f"policy.k{n}": many for n in range(9)}}},
        {"arms": {str(n): {} for n in range(15_000)}},
        {"arms": {"plain": {}, "a": {"policy": {"rho": many, "until": many}, "seed": many, "warmup": many}}},
        {"search": {"trials": 10**12}}, {"folds": 10**9}, {"seeds": 10**5000}, {"name": "x" * 5000},
        {"name": "\x1b[31m"},
        {"arms": {"\x1b[31m": {}, "b\nc": {}}}, {"arms": {"a": {"learning_rate": {"from": -1e308, "to": 1e308}}}},
        {"contrasts": [{"gain": ["a", "b"], "than": ["c"]}] * 9000}, {"data": {"folds": 3}}, {"shots": [10**30]},
    ]  # fmt: skip
    study = {**_STUDY, **changes[int(rng.integers(len(changes)))]} if rng.integers(3) else mutated(_STUDY, rng)
    study = study if isinstance(study, dict) else {"a": study}
    sys.set_int_max_str_digits(0)  # for numbers of thousands of digits; every case has a process of its own
    # A wrong metric name keeps a study that is well-formed from being run.
    text = json.dumps(study | {"data": {"source": str(root / "none.csv")}} if "data" not in study else study)
    (root / "s.yaml").write_text(text.replace("NaN", ".nan").replace("Infinity", ".inf"))
    return ["study", str(root / "s.yaml"), "--out", str(root / "out")]


def rules(rng: Rng, root: Path) -> Sequence[str]:
    """Rules with odd values, endless expressions, or what would read files and never end."""
    conditions = [
        "a.label = b.label", "1=1 " * 20_000, "(" * 5000 + "a.label = 'x'" + ")" * 5000,
        "a.caption like '%" + "x%" * 5000 + "'",
        "regexp_matches(a.caption, '(a+)+$')", "a.label in (select * from read_csv('../outside/secret.txt'))",
        "a.none = 1",
        "a.label = '\x1b[31m'", "a.label = b.label; drop table x", "length(repeat(a.caption, 1000000000)) > 1",
        "a.label = 'x",
        "list_sum(range(10000000000)) > 1", "a.label ~ '[' ", "\0", "", "true",
        "a.caption = b.caption or " * 900 + "true",
    ]  # fmt: skip
    document = {"name": "r", "pairs": [{"forbid": conditions[int(rng.integers(len(conditions)))], "why": "x"}]}
    document = mutated(document, rng) if rng.integers(3) == 0 else document
    (root / "rules.yaml").write_text(json.dumps(document))
    return ["compose", _source(root), "--rules", str(root / "rules.yaml"), "--check"]


KINDS: list[Generator] = [recipe_text, recipe_bytes, yaml_anywhere, recipe_values, overrides, study_values, rules]
