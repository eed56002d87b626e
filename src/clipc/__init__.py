"""clipc: CLIP on the pairs you have, with semantic composition and honest experiments.

The public API, each name loaded when it is first used, so that ``import clipc`` costs nothing:

    from clipc import open_catalog, read_recipe, train_model, with_splits

``clipc.train`` and ``clipc.evaluate`` are packages, so their main functions are called
:func:`train_model` and :func:`evaluate_model` here.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

# The stub, which type checkers read, says which module each name is imported from.
_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text("utf-8"))
_IMPORTS = [node for node in _STUB.body if isinstance(node, ast.ImportFrom)]
_SOURCES = {name.asname or name.name: (str(node.module), name.name) for node in _IMPORTS for name in node.names}
__all__ = sorted([*_SOURCES, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("clipc")
    if name not in _SOURCES:
        raise AttributeError(f"module 'clipc' has no attribute {name!r}")
    module, own_name = _SOURCES[name]
    value = getattr(import_module(module), own_name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
