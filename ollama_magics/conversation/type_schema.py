"""Write the JSON schema of a type that msgspec decodes."""

from __future__ import annotations

import inspect
import re
from typing import Any

from msgspec import inspect as mi

_STRING: dict[str, Any] = {"type": "string"}
_BASE64 = _STRING | {"contentEncoding": "base64"}
_SCALARS: dict[type[mi.Type], dict[str, Any]] = {
    mi.AnyType: {},
    mi.RawType: {},
    mi.NoneType: {"type": "null"},
    mi.BoolType: {"type": "boolean"},
    mi.IntType: {"type": "integer"},
    mi.FloatType: {"type": "number"},
    mi.StrType: _STRING,
    mi.BytesType: _BASE64,
    mi.ByteArrayType: _BASE64,
    mi.MemoryViewType: _BASE64,
    mi.DateTimeType: _STRING | {"format": "date-time"},
    mi.TimeType: _STRING | {"format": "time"},
    mi.DateType: _STRING | {"format": "date"},
    mi.TimeDeltaType: _STRING | {"format": "duration"},
    mi.UUIDType: _STRING | {"format": "uuid"},
    mi.DecimalType: _STRING | {"format": "decimal"},
}
_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum", "multiple_of": "multipleOf"}
_NAMED = (mi.StructType, mi.DataclassType, mi.TypedDictType, mi.NamedTupleType, mi.EnumType)


def schema_of_type(kind: Any) -> dict[str, Any]:
    """Return the schema, with classes in ``$defs``.

    Unlike ``msgspec.json.schema`` it gives dates and times without a zone their ``format``, and takes two classes of one name.
    Raises TypeError for a type that msgspec does not decode, and NameError for an unknown name in a hint.
    """
    writer = _Writer()
    schema = writer.write(mi.type_info(kind))
    return {**schema, "$defs": writer.definitions} if writer.definitions else schema


class _Writer:
    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self._names: dict[Any, str] = {}  # of classes

    def write(self, info: Any) -> dict[str, Any]:
        if isinstance(info, mi.Metadata):
            return {**(info.extra_json_schema or {}), **self.write(info.type)}
        if isinstance(info, _NAMED):
            return self._reference(info)
        if (known := _SCALARS.get(type(info))) is not None:
            return _with_bounds(known, info, "Length")
        if isinstance(info, mi.UnionType):
            return {"anyOf": [self.write(one) for one in info.types]}
        if isinstance(info, mi.LiteralType):
            return {"enum": list(info.values)}
        return self._container(info)

    def _container(self, info: Any) -> dict[str, Any]:
        if isinstance(info, mi.CollectionType):
            unique = {"uniqueItems": True} if isinstance(info, (mi.SetType, mi.FrozenSetType)) else {}
            return _with_bounds({"type": "array", "items": self.write(info.item_type), **unique}, info, "Items")
        if isinstance(info, mi.TupleType):
            items = [self.write(item) for item in info.item_types]
            return {"type": "array", "minItems": len(items), "maxItems": len(items), "prefixItems": items, "items": False}
        if isinstance(info, mi.DictType):
            names = {key: value for key, value in self.write(info.key_type).items() if key != "type"}
            schema = {"type": "object", "additionalProperties": self.write(info.value_type)}
            return _with_bounds(schema | ({"propertyNames": names} if names else {}), info, "Properties")
        raise TypeError(f"type {getattr(info, 'cls', info)!r} is not supported")

    def _reference(self, info: Any) -> dict[str, Any]:
        if info.cls not in self._names:
            short = re.sub(r"[^\w.-]", "_", _title(info.cls))
            name = f"{short}_{len(self.definitions)}" if short in self.definitions else short
            self._names[info.cls] = name
            self.definitions[name] = {}  # a class that refers to itself finds its name
            self.definitions[name] = self._definition(info)
        return {"$ref": f"#/$defs/{self._names[info.cls]}"}

    def _definition(self, info: Any) -> dict[str, Any]:
        cls = getattr(info.cls, "__origin__", info.cls)
        title = {"title": _title(info.cls)}
        doc = inspect.cleandoc(cls.__doc__ or "")
        if doc and doc != "An enumeration." and not doc.startswith(f"{cls.__name__}("):  # not what dataclass and Enum write
            title["description"] = doc
        if isinstance(info, mi.EnumType):
            return {**title, "enum": [member.value for member in cls]}

        tag = getattr(info, "tag_field", None)
        members = {tag: {"enum": [info.tag]}} if tag else {}
        members |= {field.encode_name: self.write(field.type) for field in info.fields}
        required = [*([tag] if tag else []), *(field.encode_name for field in info.fields if field.required)]
        is_closed = getattr(info, "forbid_unknown_fields", False)
        if isinstance(info, mi.NamedTupleType) or getattr(info, "array_like", False):
            most = {"maxItems": len(members)} if is_closed or isinstance(info, mi.NamedTupleType) else {}
            return {**title, "type": "array", "prefixItems": list(members.values()), "minItems": len(required), **most}
        closed = {"additionalProperties": False} if is_closed else {}
        return {**title, "type": "object", "properties": members, "required": required, **closed}


def _title(cls: Any) -> str:
    if not hasattr(cls, "__origin__"):
        return str(cls.__name__)
    return f"{cls.__origin__.__name__}[{', '.join(getattr(one, '__name__', str(one)) for one in cls.__args__)}]"


def _with_bounds(schema: dict[str, Any], info: Any, noun: str) -> dict[str, Any]:
    """Return the schema with the bounds of ``msgspec.Meta``; ``noun`` is what its lengths count."""
    bounds = {word: getattr(info, name, None) for name, word in _LIMITS.items()}
    lengths = {f"{side}{noun}": getattr(info, f"{side}_length", None) for side in ("min", "max")}
    if "contentEncoding" in schema:
        lengths = {word: 4 * ((length + 2) // 3) for word, length in lengths.items() if length is not None}
    if getattr(info, "tz", None) is False:  # a format of JSON schema always has a zone
        schema = _STRING
    found = {**schema, **bounds, **lengths, "pattern": getattr(info, "pattern", None)}
    return {word: value for word, value in found.items() if value is not None}
