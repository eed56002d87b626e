"""The public API: every name is there, is loaded when it is asked for, and does not depend on the order of imports."""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import clipc


@pytest.mark.parametrize("name", clipc.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(clipc, name)
    assert name in dir(clipc)
    if name == "__version__":
        assert found.count(".") == 2
    else:
        assert found.__doc__
        assert getattr(clipc, name) is found


def test_the_stub_lists_the_names_that_it_imports() -> None:
    stub = ast.parse(Path(clipc.__file__).with_suffix(".pyi").read_text("utf-8"))
    lists = [ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)]
    assert lists == [clipc.__all__]


def test_functions_stay_functions_after_their_packages_are_imported() -> None:
    for name in ("recipe.recipe", "evaluate", "train.train", "study.pilot"):
        import_module(f"clipc.{name}")
    assert callable(clipc.train_model)
    assert callable(clipc.evaluate_model)
    assert callable(clipc.run_pilot)
    assert isinstance(clipc.train, ModuleType)
    assert isinstance(clipc.evaluate, ModuleType)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_catalogue'"):
        clipc.open_catalogue  # noqa: B018
    assert not hasattr(clipc, "utils")


def test_star_import_works() -> None:
    names: dict[str, object] = {}
    exec("from clipc import *", names)
    assert set(clipc.__all__) <= set(names)
