"""Imports between packages go one way, and light imports stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "clipc"

ORDER = (
    ("cli",),
    ("inference", "review"),
    ("study",),
    ("train", "audit", "export"),
    ("prepare",),
    ("recipe",),
    ("models", "evaluate"),
    ("render",),
    ("compose",),
    ("catalog",),
    ("demo",),
)
"""From the top down: a package imports those of lower rows; those of one row do not know each other."""
BELOW = {package: set[str]().union(*ORDER[row + 1 :]) for row, packages in enumerate(ORDER) for package in packages}
BELOW |= {"report": set()}
BELOW["cli"] |= {"report", "web"}
for pages in ("inference", "review"):
    BELOW[pages] |= {"report", "web"}
EVERYWHERE = {
    "array_cache",
    "checksums",
    "errors",
    "extension",
    "files",
    "identity",
    "installation",
    "json_files",
    "limits",
    "progress",
    "translation",
    "yaml_text",
}
HEAVY = {"torch", "open_clip", "torchvision", "matplotlib", "sklearn", "scipy"}


def imports(file: Path) -> set[str]:
    """The modules of clipc that a file imports, wherever in it, such as ``clipc.catalog.open``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides where its arrow goes"
            module = node.module or ""
            found |= {f"{module}.{name.name}" for name in node.names} if module == "clipc" else {module}
    return {module for module in found if module.split(".")[0] == "clipc"}


def test_every_folder_is_a_package_with_known_arrows() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(BELOW)


@pytest.mark.parametrize("package", BELOW)
def test_arrows_go_one_way(package: str) -> None:
    allowed = BELOW[package] | EVERYWHERE | {package}
    for file in sorted((PACKAGE / package).rglob("*.py")):
        for module in imports(file):
            target = module.split(".")[1] if "." in module else "the package itself"
            assert target in allowed, f"{file.relative_to(PACKAGE)} imports {module}"


@pytest.mark.parametrize("module", ["errors", "identity", "installation", "limits", "translation"])
def test_what_is_used_everywhere_uses_nothing(module: str) -> None:
    assert imports(PACKAGE / f"{module}.py") == set()


@pytest.mark.parametrize("module", ["extension", "files"])
def test_what_knows_the_users_errors_alone(module: str) -> None:
    assert imports(PACKAGE / f"{module}.py") == {"clipc.errors"}


def test_progress_knows_the_terminals_language_alone() -> None:
    assert imports(PACKAGE / "progress.py") == {"clipc.translation"}


def test_pages_know_errors_and_how_their_extra_is_installed() -> None:
    assert imports(PACKAGE / "web.py") == {"clipc.errors", "clipc.installation"}


def test_checksums_know_files_alone() -> None:
    assert imports(PACKAGE / "checksums.py") == {"clipc.files"}


def test_cached_arrays_know_files_alone() -> None:
    assert imports(PACKAGE / "array_cache.py") == {"clipc.checksums", "clipc.errors", "clipc.files"}


def test_only_the_command_line_and_the_package_know_all_packages() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {
        "__init__.py",
        "__main__.py",
        "array_cache.py",
        "checksums.py",
        "errors.py",
        "extension.py",
        "files.py",
        "identity.py",
        "installation.py",
        "json_files.py",
        "limits.py",
        "progress.py",
        "translation.py",
        "web.py",
        "yaml_text.py",
    }


def test_one_door_to_open_clip() -> None:
    with_door = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "open_clip" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "open_clip")
    }
    files = ("image_tower", "model", "model_config", "projection", "text_tower", "tokenizer", "weights")
    assert with_door == {f"models/{name}.py" for name in files}


@pytest.mark.parametrize("statement", ["import clipc", "import clipc.cli", "import clipc; clipc.open_catalog"])
def test_light_imports_stay_light(statement: str) -> None:
    code = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & {name.split(".")[0] for name in ran.stdout.split()} == set()


def test_the_report_needs_no_torch() -> None:
    code = "import clipc.report.pilot, clipc.report.sheet, sys; print(' '.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "open_clip"} & {name.split(".")[0] for name in ran.stdout.split()} == set()
