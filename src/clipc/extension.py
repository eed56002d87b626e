"""User code, which a recipe or a study names as ``module:object`` in place of a built-in choice.

A name is imported in every process that needs it, so objects are never pickled; the source file's hash is part of the
run's identity. A name is imported only if it comes from a recipe or study that the user gave on the command line or in
Python. Records and files in a run's folder may come from a stranger: :func:`mark_untrusted` marks their names, which
are then compared and written like any others, but never imported.
"""

import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import blake2b
from importlib import import_module
from inspect import signature
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from clipc.errors import UserError

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class UntrustedName(str):
    """A name that is never imported; ``str()`` makes a plain string of it."""

    __slots__ = ()


def is_object_reference(name: str) -> bool:
    """Whether a name has the form ``module:object``."""
    return _NAME.fullmatch(name) is not None


def mark_untrusted(fields: Any) -> Any:
    """Marks the names in values of an untrusted file, so that :func:`load` refuses them.

    Args:
        fields: Mappings, lists and values of YAML or JSON.
    """
    if isinstance(fields, Mapping):
        return {key: mark_untrusted(value) for key, value in fields.items()}
    if isinstance(fields, list):
        return [mark_untrusted(value) for value in fields]
    return UntrustedName(fields) if isinstance(fields, str) and is_object_reference(fields) else fields


def load(name: str, kind: Any, expected: str) -> Any:
    """Imports the object of a name.

    Args:
        name: ``module:object``.
        kind: The type that the object must have.
        expected: A description of the type, for messages.

    Raises:
        UserError: The name comes from an untrusted file; there is no such module or object; importing it fails; the
            object is of another type.
    """
    if isinstance(name, UntrustedName):
        raise UserError(
            f"{name} is somebody's own code, named in the folder of a run or in a record, from which no code is run; "
            f"give the recipe itself, or name {name} again with the command."
        )
    module, _, attribute = name.partition(":")
    if module not in sys.modules:
        source_file(name)
    try:
        value = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        attribute_error = isinstance(error, AttributeError) and module in sys.modules
        if attribute_error and not hasattr(sys.modules[module], attribute):
            raise UserError(f"{name}: there is no {attribute} in the module {module}.") from error
        raise UserError(f"{name} cannot be imported ({type(error).__name__}: {error}).") from error
    if not isinstance(value, kind):
        noun = type(value).__name__
        article = "an" if noun[0].lower() in "aeiou" else "a"
        raise UserError(f"{name} is {article} {noun}; expected is {expected}.")
    return value


@cache
def _load_function(name: str, parameters: tuple[str, ...], result: str) -> Callable[..., Any]:
    expected = f"a function of ({', '.join(parameters)}) that gives {result}"
    function = load(name, Callable, expected)
    try:
        signature(function).bind(*parameters)
    except TypeError as error:
        raise UserError(f"{name} cannot be called with {len(parameters)} values; expected is {expected}.") from error
    return function


def load_function(name: str, *parameters: str, result: str) -> Callable[..., Any]:
    """Imports the function of a name.

    Args:
        name: ``module:object``.
        parameters: Descriptions of its positional arguments, for messages.
        result: A description of its result, for messages.

    Raises:
        UserError: As for :func:`load`; or the function does not accept these arguments.
    """
    # An untrusted name equals the plain one, so it must not reach the cache.
    return load(name, Callable, result) if isinstance(name, UntrustedName) else _load_function(name, parameters, result)


def source_file(name: str) -> Path:
    """The source file of the module in a name; nothing is imported.

    Raises:
        UserError: There is no such module, or it has no file.
    """
    module = name.partition(":")[0]
    spec, folders = None, None
    for part in accumulate(module.split("."), "{}.{}".format):
        if spec is not None and folders is None:
            raise UserError(f"{name}: {spec.name} is no package, so there is no module {part}.")
        specs = (finder.find_spec(part, folders) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next(filter(None, specs), None)
        if spec is None:
            raise UserError(f"{name}: there is no module {part}; install it, or name its folder in PYTHONPATH.")
        folders = spec.submodule_search_locations
    if spec is None or not spec.has_location or spec.origin is None:
        raise UserError(f"{name}: the module {module} has no file of its own; write the code into a file of yours.")
    return Path(spec.origin)


def fingerprint(name: str) -> str:
    """A hash of the source file of the module in a name, 16 hexadecimal digits; nothing is imported.

    Raises:
        UserError: As for :func:`source_file`.
    """
    return blake2b(source_file(name).read_bytes(), digest_size=8).hexdigest()
