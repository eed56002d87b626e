"""The hooks check with the ruff that ``make lint`` uses, so that the two never disagree."""

import tomllib
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]


def test_hooks_use_the_locked_ruff() -> None:
    locked = {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]}
    hooks = YAML(typ="safe", pure=True).load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    revisions = {entry["repo"].rsplit("/", 1)[-1]: entry["rev"] for entry in hooks["repos"]}
    assert revisions["ruff-pre-commit"] == f"v{locked['ruff']['version']}"
