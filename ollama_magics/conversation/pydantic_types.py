"""Read types in which something of pydantic or annotated-types stands, also those that pydantic alone does not know."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

_FOREIGN = ("pydantic", "pydantic_core", "pydantic_extra_types", "annotated_types")  # whose types and metadata msgspec ignores
_LAZY = (Iterable, Iterator, Generator)  # whose items pydantic checks only when they are used
_LIMITS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "title", "description", "examples")


def needs_pydantic(kind: Any) -> bool:
    """Return whether a type, or a hint of a class in it, is one that only pydantic reads; raises NameError."""
    return any(_is_foreign(part) for part in _parts(kind))


def read_type(kind: Any) -> tuple[dict[str, Any], Callable[[str | bytes], Any]]:
    """Return the JSON schema of a type and a function that reads a JSON text, which raises ValueError in pydantic's words.

    Raises ImportError where pydantic is not installed, TypeError for a type that it does not know, and NameError.
    """
    import pydantic  # noqa: PLC0415 - 150 ms, which only a type that needs it pays
    import pydantic_core  # noqa: PLC0415 - pydantic's own

    try:
        adapter = pydantic.TypeAdapter(_translated(kind, {}))
        schema = adapter.json_schema()
    except pydantic.errors.PydanticUndefinedAnnotation as error:
        raise NameError(str(error), name=error.name) from None
    # a class that is not complete, a package that a type needs, a pattern that pydantic does not read, or what is no type at all
    except (pydantic.errors.PydanticUserError, pydantic_core.SchemaError, ImportError, AttributeError) as error:
        raise TypeError(str(error).splitlines()[0]) from None

    def decode(text: str | bytes) -> Any:
        msgspec.json.decode(text)  # refuses NaN and numbers beyond a float, which pydantic takes
        try:
            return adapter.validate_json(text)
        except pydantic.ValidationError as error:
            raise ValueError(_words(error)) from None

    return schema, decode


def _words(error: Any) -> str:
    """Return what a ValidationError says, without its links and values; of a union that fits nowhere the first three reasons."""
    said = []
    for one in error.errors(include_url=False, include_input=False, include_context=False)[:3]:
        keys = [key for key in one["loc"] if isinstance(key, int) or ("(" not in key and "[" not in key)]  # not pydantic's own
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
        said.append(f"{one['msg']} - at `${place}`")
    return "; ".join(said)


def _is_foreign(part: Any) -> bool:
    if hasattr(part, "__get_pydantic_core_schema__") or hasattr(part, "__pydantic_core_schema__"):
        return True
    owner = part if isinstance(part, type) else type(part)
    return any(base.__module__.partition(".")[0] in _FOREIGN for base in owner.__mro__)


def _is_mixed(kind: Any) -> bool:
    """Return whether there is also something in the type that pydantic ignores or refuses."""
    return any(isinstance(part, msgspec.Meta) or _is_unknown_to_pydantic(part) for part in _parts(kind))


def _is_unknown_to_pydantic(part: Any) -> bool:
    if not isinstance(part, type):
        return False
    if part is msgspec.UnsetType or part in _LAZY:
        return True
    is_old = sys.version_info < (3, 12) and type(part).__module__ == "typing" and typing.is_typeddict(part)
    return is_old or issubclass(part, msgspec.Struct) or hasattr(part, "__attrs_attrs__")


def _parts(kind: Any, seen: set[Any] | None = None) -> Iterator[Any]:
    """Yield every class and every metadata object in a type and in the hints of its classes."""
    seen = set() if seen is None else seen
    origin = get_origin(kind)
    if origin is Annotated:
        yield from kind.__metadata__
        yield from _parts(kind.__origin__, seen)
    elif origin is typing.Literal:
        return
    elif alias := _target(kind):
        yield from () if kind in seen else _parts(alias, seen | {kind})
    else:
        for inner in get_args(kind):
            yield from _parts(inner, seen)
        cls = origin or kind
        if isinstance(cls, type) and cls not in seen:
            seen.add(cls)
            yield cls
            if not _is_foreign(cls):
                yield from (field.default for field in _dataclass_fields(cls))
                for hint in _hints(cls).values():
                    yield from _parts(hint, seen)


def _target(kind: Any) -> Any:
    """Return what a NewType or a ``type`` statement stands for, else None."""
    return getattr(kind, "__supertype__", None) or (not isinstance(kind, type) and getattr(kind, "__value__", None)) or None


def _dataclass_fields(cls: type) -> tuple[Any, ...]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()


def _hints(cls: type) -> dict[str, Any]:
    """Return the hints of a class that has fields; none for others, whose hints say nothing about JSON."""
    names = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "__total__", "_fields")
    return typing.get_type_hints(cls, include_extras=True) if any(hasattr(cls, name) for name in names) else {}


def _translated(kind: Any, known: dict[Any, Any]) -> Any:
    """Return a type that pydantic reads like this one; ``known`` are the classes that were translated."""
    if not _is_mixed(kind):
        return kind
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        metadata = (_field(one) if isinstance(one, msgspec.Meta) else one for one in kind.__metadata__)
        return Annotated[(_translated(kind.__origin__, known), *metadata)]
    if origin in (Union, types.UnionType):
        members = (_translated(one, known) for one in arguments if one is not msgspec.UnsetType)
        return Union[tuple(members)]  # noqa: UP007 - a type made at run time
    if alias := _target(kind):
        return _translated(alias, known)
    if _members(kind):
        return known.setdefault(kind, Annotated[Any, _ReadAsDict(kind, known)])
    if origin in _LAZY:
        origin, arguments = list, arguments[:1]
    return origin[tuple(_translated(one, known) for one in arguments)] if origin and arguments else kind


def _field(meta: msgspec.Meta) -> Any:
    import pydantic  # noqa: PLC0415 - as above

    given = {name: value for name in _LIMITS if (value := getattr(meta, name)) is not None}
    return pydantic.Field(**given, json_schema_extra=meta.extra_json_schema)


@dataclasses.dataclass(frozen=True)
class _Member:
    """A field of a class: the name of its parameter, its name in JSON, and its hint."""

    name: str
    key: str
    hint: Any
    is_required: bool
    default: Any = None  # pydantic's Field, which pydantic alone would make a value of


def _members(kind: Any) -> list[_Member]:
    """Return the fields of a Struct, a dataclass, an attrs class or a TypedDict; none for other types."""
    cls: Any = get_origin(kind) or kind
    if not isinstance(cls, type):
        return []
    hints = _hints(cls)
    if issubclass(cls, msgspec.Struct):
        return [_Member(one.name, one.encode_name, hints[one.name], one.required) for one in msgspec.structs.fields(cls)]
    if typing.is_typeddict(cls):
        required: Any = getattr(cls, "__required_keys__")  # noqa: B009 - which the type of a class lacks
        return [_Member(name, name, hint, name in required) for name, hint in hints.items()]
    if attributes := getattr(cls, "__attrs_attrs__", None):
        nothing = sys.modules["attrs"].NOTHING
        return [_Member(one.alias, one.name, hints[one.name], one.default is nothing) for one in attributes if one.init]
    return [_dataclass_member(field, hints[field.name]) for field in _dataclass_fields(cls) if field.init]


def _dataclass_member(field: dataclasses.Field[Any], hint: Any) -> _Member:
    default: Any = field.default
    if not hasattr(default, "is_required"):
        is_required = default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        return _Member(field.name, field.name, hint, is_required)
    return _Member(field.name, field.name, Annotated[hint, default], default.is_required(), default)


class _ReadAsDict:
    """Metadata by which pydantic reads a class as a TypedDict of its fields, and makes the class of what it has read."""

    def __init__(self, kind: Any, known: dict[Any, Any]) -> None:
        self._kind, self._known = kind, known
        self._class = get_origin(kind) or kind
        self._fields: Any = None

    def __get_pydantic_core_schema__(self, _: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 - as above

        self._fields = self._fields or self._typed_dict()  # one class, so that pydantic knows it again in a recursive type
        fields = handler.generate_schema(self._fields)
        if typing.is_typeddict(self._class):
            return fields
        return core_schema.no_info_after_validator_function(self._make, fields)

    def _typed_dict(self) -> Any:
        from typing_extensions import TypedDict  # noqa: PLC0415 - pydantic's own; it refuses the one of Python 3.11

        config = getattr(self._class, "__struct_config__", None)
        if config and config.array_like:
            raise TypeError(f"{self._class.__name__} is array_like, which pydantic does not read")
        arguments = dict(zip(getattr(self._class, "__parameters__", ()), get_args(self._kind), strict=False))
        hints = {one.key: _translated(_filled(one.hint, arguments), self._known) for one in _members(self._kind)}
        optional = {one.key for one in _members(self._kind) if not one.is_required}
        hints = {key: typing.NotRequired[hint] if key in optional else hint for key, hint in hints.items()}
        if config and config.tag_field:
            hints = {config.tag_field: typing.Literal[config.tag], **hints}
        made: Any = TypedDict(self._class.__name__, hints)  # type: ignore[misc] # its fields are known at run time only
        made.__doc__ = None if (self._class.__doc__ or "").startswith(f"{self._class.__name__}(") else self._class.__doc__
        setattr(made, "__pydantic_config__", {"extra": "forbid" if config and config.forbid_unknown_fields else "ignore"})  # noqa: B010 - which the type of a class lacks
        return made

    def _make(self, values: dict[str, Any]) -> Any:
        members = _members(self._kind)
        found = {one.name: one.default.get_default(call_default_factory=True) for one in members if one.default is not None}
        return self._class(**found | {one.name: values[one.key] for one in members if one.key in values})


def _filled(hint: Any, arguments: dict[Any, Any]) -> Any:
    """Return a hint of a generic class with the type variables replaced."""
    if hint in arguments:
        return arguments[hint]
    own = getattr(hint, "__parameters__", ())
    return hint[tuple(arguments.get(one, one) for one in own)] if own and not isinstance(hint, type) else hint
