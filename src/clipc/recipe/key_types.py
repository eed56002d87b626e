"""Values in YAML are read as their key's type: ``2024-11-01`` is a date, but as the name of a folder it is text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic_core import PydanticUndefined
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_STRING, _NULL, _LIST = (f"tag:yaml.org,2002:{name}" for name in ("str", "null", "seq"))
_NULL_WORDS: Final = ("none", "null")


class KeyType:
    """What a key's value may be.

    Attributes:
        is_text: Whether a single value is always text, never a number or a date.
        is_optional: Whether it may be null.
        items: The types of a list's items, one for each place or one for all; None if the value is no list.
    """

    def __init__(self, annotation: Any) -> None:
        """Describes a type.

        Args:
            annotation: A type as in a pydantic model, or a mapping of keys to types in place of a model.
        """
        members = list(_members(annotation))
        self.is_optional = NoneType in members
        self.items = next((get_args(m) for m in members if get_origin(m) in (tuple, list)), None)
        self._keys = [m for m in members if _has_keys(m)]
        single = [m for m in members if m is not NoneType and get_origin(m) not in (tuple, list) and not _has_keys(m)]
        self.is_text = bool(single) and all(map(_is_text, single))
        self.is_texts = not single and self.items is not None and all(KeyType(item).is_text for item in self._types())

    @property
    def has_parts(self) -> bool:
        """Whether the value may be a list or have keys of its own."""
        return self.items is not None or bool(self._keys)

    def at(self, key: str) -> "KeyType | None":
        """The type of a dotted key below this one; None if there is no such key."""
        first, _, rest = key.partition(".")
        for member in self._keys:
            if (annotation := _key_of(member, first)) is not None:
                return KeyType(annotation).at(rest) if rest else KeyType(annotation)
        return None

    def below(self, name: str) -> "KeyType | None":
        """The type of a key of a mapping, which may be dotted unless all keys of the mapping are free."""
        free = next((get_args(member)[1] for member in self._keys if get_origin(member) is dict), None)
        return self.at(name) if free is None else KeyType(free)

    def item(self, index: int) -> "KeyType | None":
        """The type of an item of a list."""
        types = self._types()
        return KeyType(types[min(index, len(types) - 1)]) if types else None

    def _types(self) -> Sequence[Any]:
        return [item for item in self.items or () if item is not ...]


def is_null(text: str) -> bool:
    """Whether a word stands for null, in any case."""
    return text.lower() in _NULL_WORDS


def set_types(node: Node, kind: KeyType) -> Node:
    """Marks those values of a YAML document as text whose keys are text; a list of texts may be a text alone.

    Args:
        node: The document, or a part of it; changed in place.
        kind: What it may be.

    Returns:
        The node that takes its place.
    """
    if isinstance(node, ScalarNode):
        if kind.is_optional and node.style is None and is_null(node.value):
            node.tag = _NULL
        elif kind.is_text or kind.is_texts:
            _set_text(node)
        return SequenceNode(_LIST, [node]) if kind.is_texts and node.tag != _NULL else node
    if isinstance(node, MappingNode):
        for i, (key, value) in enumerate(node.value):
            if (below := kind.below(str(key.value))) is not None:
                node.value[i] = key, set_types(value, below)
            elif kind.is_text:  # A study's list of choices for a key that is text.
                _set_text(value)
    if isinstance(node, SequenceNode):
        for i, value in enumerate(node.value):
            if (below := kind.item(i)) is not None:
                node.value[i] = set_types(value, below)
    return node


def _set_text(node: Node) -> None:
    for part in node.value if isinstance(node, SequenceNode) else [node]:
        if isinstance(part, ScalarNode) and part.tag != _NULL:
            part.tag = _STRING


def _members(annotation: Any) -> Iterator[Any]:
    """The types in a union, one by one; where a validator accepts more than the type, what it accepts."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        yield from _members(_input_type(inner, metadata))
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _input_type(annotation: Any, metadata: Sequence[Any]) -> Any:
    accepted = (part.json_schema_input_type for part in metadata if isinstance(part, BeforeValidator))
    return next((kind for kind in accepted if kind is not PydanticUndefined), annotation)


def _has_keys(kind: Any) -> bool:
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return isinstance(kind, Mapping) or get_origin(kind) is dict or is_model


def _key_of(kind: Any, key: str) -> Any:
    """The type of one key; None if there is no such key."""
    if isinstance(kind, Mapping):
        return kind.get(key)
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    field = kind.model_fields.get(key)
    return None if field is None else _input_type(field.annotation, field.metadata)


def _is_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return all(isinstance(value, str) for value in get_args(kind))
    return isinstance(kind, type) and issubclass(kind, str | Path)
