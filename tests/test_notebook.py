"""The notebook runs from the first cell to the last, and is kept without outputs."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from clipc.demo import demo

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "use.ipynb"


def cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_it_holds_no_outputs() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells())


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLIPC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "COUNTS", {"train": 140, "val": 70, "test": 70})
    names: dict[str, Any] = {"__name__": "__main__"}
    assert all('"samples": 1600' in "".join(cell["source"]) for cell in (cells()[0], cells()[-1]))
    with mpl.rc_context({"backend": "agg"}):
        for cell in cells():
            source = "".join(cell["source"]).replace('"samples": 1600', '"samples": 320')  # A shorter training.
            exec(compile(source, NOTEBOOK.name, "exec"), names)
    assert (tmp_path / "runs" / "compare.html").is_file()
    assert len(names["hits"]) == 6
