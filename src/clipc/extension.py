"""Code of the user's own, which a recipe or a study names as ``module:object`` where it could name what ships.

A name is imported again in every process that needs it, so objects never travel; the source file's hash is part of the
run's identity. Only a recipe or study that somebody gives (on the command line or from Python) has its names imported.
What is read from the folder of a run or from a record may be a stranger's: its names pass through :func:`foreign`, and
are told, compared and written like any others, but never imported.
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
from typing import Annotated, Any, Final

from pydantic import ValidatorFunctionWrapHandler, WrapValidator

from clipc.errors import UserError

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class _Foreign(str):
    """A name that is never imported; ``str`` of it makes a plain one."""

    __slots__ = ()


def _kept(given: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    checked = handler(given)  # makes a plain string of it
    return given if isinstance(given, _Foreign) else checked


Name = Annotated[str, WrapValidator(_kept)]
"""The type of a recipe's key that may name the user's own code."""


def is_own(name: str) -> bool:
    """Whether a name has the form ``module:object``."""
    return _NAME.fullmatch(name) is not None


def foreign(fields: Any) -> Any:
    """Values of a file that may be a stranger's, with names that :func:`load` refuses.

    Args:
        fields: Tables, lists and values, as YAML and JSON hold them.
    """
    if isinstance(fields, Mapping):
        return {key: foreign(value) for key, value in fields.items()}
    if isinstance(fields, list):
        return [foreign(value) for value in fields]
    return _Foreign(fields) if isinstance(fields, str) and is_own(fields) else fields


def load(name: str, kind: Any, expected: str) -> Any:
    """The object of a name, its module imported if it is not yet.

    Args:
        name: ``module:object``.
        kind: The type that the object must have.
        expected: The same in words, for messages.

    Raises:
        UserError: The name was read from a file that may be a stranger's; there is no such module or object; importing
            it fails; the object is of another type.
    """
    if isinstance(name, _Foreign):
        raise UserError(
            f"{name} is somebody's own code, named in the folder of a run or in a record, from which no code is run; "
            f"give the recipe itself, or name {name} again with the command."
        )
    module, _, attribute = name.partition(":")
    if module not in sys.modules:
        source_file(name)
    try:
        found = getattr(import_module(module), attribute)
    except AttributeError as error:
        if module in sys.modules and not hasattr(sys.modules[module], attribute):
            raise UserError(f"{name}: there is no {attribute} in the module {module}.") from error
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error
    if not isinstance(found, kind):
        raise UserError(f"{name} is {_a(type(found).__name__)}; expected is {expected}.")
    return found


@cache
def _function(name: str, parameters: tuple[str, ...], gives: str) -> Callable[..., Any]:
    expected = f"a function of ({', '.join(parameters)}) that gives {gives}"
    function = load(name, Callable, expected)
    try:
        signature(function).bind(*parameters)
    except TypeError as error:
        raise UserError(f"{name} cannot be called with {len(parameters)} values; expected is {expected}.") from error
    return function


def load_function(name: str, *parameters: str, gives: str) -> Callable[..., Any]:
    """The function of a name.

    Args:
        name: ``module:object``.
        parameters: What it is called with, by position, in words for messages.
        gives: What it is to return, in words.

    Raises:
        UserError: As for :func:`load`; or it cannot be called in this way.
    """
    # Equal names share what is cached, and foreign ones must not.
    return load(name, Callable, gives) if isinstance(name, _Foreign) else _function(name, parameters, gives)


def source_file(name: str) -> Path:
    """The file that a name's module is written in, found without importing anything.

    Raises:
        UserError: There is no such module, or it has no file.
    """
    module = name.partition(":")[0]
    spec, folders = None, None
    for part in accumulate(module.split("."), "{}.{}".format):
        if spec is not None and folders is None:
            raise UserError(f"{name}: {spec.name} is no package, so there is no module {part}.")
        specs = (finder.find_spec(part, folders) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((found for found in specs if found is not None), None)
        if spec is None:
            raise UserError(f"{name}: there is no module {part}; install it, or name its folder in PYTHONPATH.")
        folders = spec.submodule_search_locations
    if spec is None or not spec.has_location or spec.origin is None:
        raise UserError(f"{name}: the module {module} has no file of its own; write the code into a file of yours.")
    return Path(spec.origin)


def fingerprint(name: str) -> str:
    """Sixteen hexadecimal digits that change with a name's source file; nothing is imported.

    Raises:
        UserError: As for :func:`source_file`.
    """
    return blake2b(source_file(name).read_bytes(), digest_size=8).hexdigest()


def _failed(name: str, error: BaseException) -> UserError:
    return UserError(f"{name} cannot be imported ({type(error).__name__}: {error}).")


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0].lower() in "aeiou" else f"a {noun}"
