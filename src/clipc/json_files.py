"""JSON that others may have changed: read within limits and by a schema, with one sentence for whatever is wrong."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipc.errors import UserError, invalid_fields
from clipc.limits import OWN_BYTES

if TYPE_CHECKING:
    from pydantic import BaseModel


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is no JSON, or nested too deeply; the message is one line.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"bad byte at {error.start}") from None


def read_object(file: Path, schema: "type[BaseModel] | None", advice: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        file: The file.
        schema: What it must hold; values of other types are not converted. None for any keys and values.
        advice: What the user can do if the file cannot be read.

    Returns:
        The object as it is written, with keys that the schema does not know.

    Raises:
        UserError: The file is missing, larger than :data:`~clipc.limits.OWN_BYTES`, no JSON, or not of the schema.
    """
    try:
        return load_object(file, schema)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise UserError(f"{file} cannot be read ({reason}); {advice}.") from error


def load_object(file: Path, schema: "type[BaseModel] | None") -> dict[str, Any]:
    """As :func:`read_object`, for callers that make the sentence themselves.

    Raises:
        ValueError: Something is wrong; the message is the reason.
        OSError: The file cannot be read.
    """
    with file.open("rb") as stream:
        data = stream.read(OWN_BYTES + 1)
    if len(data) > OWN_BYTES:
        raise ValueError(f"it is larger than {OWN_BYTES >> 20} MiB")
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    if schema is not None and (fault := _fault(value, schema)) is not None:
        raise ValueError(fault)
    return value


def _fault(value: dict[str, Any], schema: "type[BaseModel]") -> str | None:
    """What is wrong with an object, with the key; None if nothing is."""
    from pydantic import ValidationError

    try:
        schema.model_validate(value, strict=True)
    except ValidationError as error:
        return str(invalid_fields(error, "", schema)).removeprefix(": ").rstrip(".")
    return None


def checked(value: dict[str, Any], schema: "type[BaseModel]", where: str, advice: str) -> dict[str, Any]:
    """The object, after it was compared with a schema.

    Args:
        value: The object.
        schema: What it must hold.
        where: Its place for messages.
        advice: What the user can do.

    Raises:
        UserError: It is not of the schema; the message names the key.
    """
    if (fault := _fault(value, schema)) is not None:
        raise UserError(f"{where}: {fault}; {advice}.")
    return value
