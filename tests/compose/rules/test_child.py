import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import clipc


@pytest.mark.skipif(sys.platform == "win32", reason="a bare interpreter lies elsewhere there")
def test_packages_are_found_where_the_parent_finds_them(tmp_path: Path) -> None:
    """On clusters they lie in folders that only a variable names."""
    places = [str(Path(clipc.__file__).parents[1]), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    code = (
        "import os; from clipc.compose.rules.sandbox import Sandbox\n"
        "os.environ.clear(); print(Sandbox().parse('a.x = b.x').text)"
    )
    ran = subprocess.run(
        [os.path.realpath(sys.executable), "-c", code],
        env={"PYTHONPATH": os.pathsep.join(places)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "a.x = b.x\n", ran.stderr


def test_a_script_beside_which_a_package_lies_does_not_decide(tmp_path: Path) -> None:
    (tmp_path / "duckdb.py").write_text("raise SystemExit('imported from beside the script')", "utf-8")
    script = tmp_path / "mine.py"
    script.write_text(
        "from clipc.compose.rules.sandbox import Sandbox\nprint(Sandbox().parse('a.x = b.x').text)", "utf-8"
    )
    for command, folder in (([str(script)], tmp_path.parent), (["-c", script.read_text("utf-8")], tmp_path)):
        ran = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
        assert ran.stdout == "a.x = b.x\n", ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no folder in use can be removed there")
def test_a_working_folder_may_be_gone(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    code = (
        "import os; from clipc.compose.rules.sandbox import Sandbox\n"
        "os.rmdir(os.getcwd()); print(Sandbox().parse('a.x = b.x').text)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.stdout == "a.x = b.x\n", ran.stderr
