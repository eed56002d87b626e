"""clipc: CLIP on the pairs you have, with semantic composition and honest experiments.

The public API, each name loaded when it is first used, so that ``import clipc`` costs nothing:

    from clipc import open_catalog, read_recipe, train_model, with_splits

``clipc.train`` and ``clipc.evaluate`` are packages, so their main functions are called
:func:`train_model` and :func:`evaluate_model` here.
"""

from importlib import import_module
from typing import Any


def _read_stub() -> dict[str, tuple[str, str]]:
    """For each public name its module and its name there, from the stub by which type checkers know them.

    Lines are split by hand, since importing a parser would take longer than everything else here.
    """
    homes: dict[str, tuple[str, str]] = {}
    with open(__file__.removesuffix("c") + "i", encoding="utf-8") as stub:
        for line in stub:
            if line.startswith("from "):
                module, _, names = line.removeprefix("from ").partition(" import ")
                for name in names.split(","):
                    own_name, _, public_name = name.strip().partition(" as ")
                    homes[public_name or own_name] = (module, own_name)
    return homes


_SOURCES = _read_stub()
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
