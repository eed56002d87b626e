import sys
from pathlib import Path

import pytest

from clipc import installation
from clipc.installation import install_command


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that clipc was installed from, with an environment in it whose pip is not on the path."""
    monkeypatch.setattr(installation, "_source_folder", lambda: tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setattr(installation, "find_spec", str)
    monkeypatch.setattr(installation.shutil, "which", "/usr/bin/{}".format)
    return tmp_path


def test_the_command_works_from_where_the_user_is(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    assert install_command("ja") == ".venv/bin/python -m pip install '.[ja]'"
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert install_command("ja") == f"{checkout}/.venv/bin/python -m pip install '{checkout}[ja]'"


def test_an_activated_environment_needs_no_python(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(installation.shutil, "which", (str(checkout) + "/.venv/bin/{}").format)
    assert install_command("onnx") == "pip install '.[onnx]'"


def test_an_environment_without_pip_is_uvs(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(installation, "find_spec", {}.get)
    assert install_command("hub") == "uv pip install --python .venv/bin/python '.[hub]'"


def test_a_package_of_an_index_is_named(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_source_folder", lambda: None)
    assert install_command("lora").endswith("install 'clipc[lora]'")


def test_this_copy_knows_where_it_came_from() -> None:
    folder = installation._source_folder()  # pyright: ignore[reportPrivateUsage]
    assert folder is None or (folder / "pyproject.toml").is_file()
