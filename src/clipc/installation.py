"""How this copy of clipc was installed, and what installs an extra of it."""

import json
import shutil
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def install_command(extra: str) -> str:
    """The command that installs an extra from where the user is, such as ``pip install '.[ja]'``.

    It names the folder that clipc was installed from where that still exists, because no package index need have clipc,
    and the Python that runs now where its pip is not the one that the shell finds.

    Args:
        extra: The name of the extra, as ``pyproject.toml`` has it.
    """
    folder = _source_folder()
    return pip_install(f"{_shown(folder)}[{extra}]" if folder else f"clipc[{extra}]")


def pip_install(package: str) -> str:
    """The command that installs a package into the environment of the Python that runs now.

    Args:
        package: Its name or folder.
    """
    return f"{_pip_command()} '{package}'"


def _pip_command() -> str:
    python = _shown(Path(sys.executable))
    if find_spec("pip") is None:
        return f"uv pip install --python {python}"
    pip = shutil.which("pip")
    same = pip is not None and Path(pip).parent == Path(sys.executable).parent
    return "pip install" if same else f"{python} -m pip install"


@cache
def _source_folder() -> Path | None:
    """The folder that clipc was installed from, while ``pyproject.toml`` is there; None for a package of an index."""
    try:
        text = distribution("clipc").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    parts = urlsplit(json.loads(text)["url"] if text else "")
    folder = Path(url2pathname(parts.path)) if parts.scheme == "file" else None
    return folder if folder is not None and (folder / "pyproject.toml").is_file() else None


def _shown(path: Path) -> str:
    """A path as the user would type it: short in the folder that clipc was installed from, whole elsewhere."""
    here = Path.cwd()
    return str(path.relative_to(here)) if here == _source_folder() and path.is_relative_to(here) else str(path)
