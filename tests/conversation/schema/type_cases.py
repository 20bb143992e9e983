"""Types as response formats: what is sent of each, what is accepted and what is refused."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar, Union

import annotated_types as at
import attrs
import msgspec
import pydantic
import typing_extensions

from ollama_magics.conversation.schema import make_schema
from ollama_magics.conversation.tool_definitions import make_tools

T = TypeVar("T")
UserId = NewType("UserId", int)
Score = Annotated[int, pydantic.Field(ge=1, le=5, description="from bad to good")]


Alias = typing_extensions.TypeAliasType("Alias", list[Score])  # as the type statement of Python 3.12 makes it


class Colour(enum.Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """A level."""

    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    """A text or a number."""

    NONE = "none"
    ONE = 1


class Pair(NamedTuple):
    """A number and its name."""

    number: int
    name: str


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: int = 0


@dataclass
class Rated:
    """A dataclass with constraints."""

    score: Score


@dataclass
class Box(Generic[T]):
    """A generic dataclass."""

    content: T


@dataclass
class Tree:
    """A dataclass that holds itself."""

    label: str
    children: list[Tree] = ()  # type: ignore[assignment] # only its hint matters


class Cat(msgspec.Struct, tag=True):
    """One of two."""

    lives: int


class Dog(msgspec.Struct, tag=True):
    """The other one."""

    tricks: int


class Camel(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A Struct with other names in JSON."""

    hump_count: Annotated[int, msgspec.Meta(ge=1, le=2)]


class OldDict(typing.TypedDict):
    """The TypedDict of typing, which pydantic refuses on Python 3.11."""

    score: Score
    note: typing.NotRequired[str]


class NewDict(typing_extensions.TypedDict):
    """The TypedDict of typing_extensions."""

    score: Score


class Address(pydantic.BaseModel):
    """A model with an alias, a validator and a computed field."""

    zip_code: int = pydantic.Field(alias="zip", ge=1)

    @pydantic.field_validator("zip_code")
    @classmethod
    def _known(cls, value: int) -> int:
        if value == 13:
            raise ValueError("nobody lives there")
        return value

    @pydantic.computed_field  # type: ignore[prop-decorator] # as pydantic's own page has it
    @property
    def label(self) -> str:
        """The code in letters."""
        return f"#{self.zip_code}"


class Shelf(pydantic.BaseModel, Generic[T]):
    """A generic model."""

    books: list[T]


@pydantic.dataclasses.dataclass
class Checked:
    """A dataclass of pydantic."""

    score: Score


@attrs.define
class Attrs:
    """A class of attrs."""

    size: int = attrs.field(validator=attrs.validators.gt(0))


@dataclass
class Mixture:
    """A dataclass with a Struct that has a model, constraints of three libraries, and a TypedDict."""

    camel: Camel
    address: Address
    score: Annotated[int, at.Ge(1)]
    row: OldDict


def even(number: int) -> int:
    """Refuse odd numbers."""
    if number % 2:
        raise ValueError("it is odd")
    return number


def two_of_one_name() -> Any:
    """Return a type with two classes of one name, as a cell that was run again makes them."""
    first = make_dataclass("Twin", [("a", int)])
    return tuple[first, make_dataclass("Twin", [("b", int)])]  # type: ignore[misc, valid-type] # made at run time


@dataclass
class Case:
    """A type; parts of what is sent; JSON that is accepted, with its value; JSON that is refused.

    ``sent`` is compared where the same key is sent: msgspec and pydantic do not write all types alike. ``without`` are the
    holders that cannot have such a field.
    """

    kind: Any
    sent: dict[str, Any]
    accepted: dict[str, Any]
    refused: Sequence[str]
    without: tuple[str, ...] = ()


STRING, INTEGER, ARRAY, OBJECT = ({"type": name} for name in ("string", "integer", "array", "object"))
NO_MODEL = ("BaseModel",)  # which refuses a Struct, an attrs class, and on Python 3.11 the TypedDict of typing
NOON = dt.datetime(2026, 11, 29, 12)  # noqa: DTZ001 - a time without a zone
CASES: dict[str, Case] = {
    "int": Case(int, INTEGER, {"5": 5, "1815.0": 1815, "-1": -1}, ['"a"', "1.5", "null", "[]"]),
    "float": Case(float, {"type": "number"}, {"1.5": 1.5, "2": 2.0}, ['"a"', "null", "8e309", "NaN"]),
    "bool": Case(bool, {"type": "boolean"}, {"true": True, "false": False}, ['"maybe"', "5", "null"]),
    "str": Case(str, STRING, {'"a"': "a", '"雪"': "雪"}, ["5", "null", "[]"]),
    "None": Case(None, {"type": "null"}, {"null": None}, ["5"]),
    "Any": Case(Any, {}, {"5": 5, '{"a": [1]}': {"a": [1]}, "null": None}, ["NaN"]),
    "Literal": Case(Literal["no", "yes"], {"enum": ["no", "yes"]}, {'"no"': "no"}, ['"maybe"', "null"]),
    "Literal of numbers": Case(Literal[1, 2], {"enum": [1, 2]}, {"1": 1}, ["3", '"a"']),
    "Enum": Case(Colour, {"enum": ["red", "blue"]}, {'"red"': Colour.RED}, ['"green"', "1"]),
    "IntEnum": Case(Level, {"enum": [1, 2]}, {"2": Level.HIGH}, ["3", '"a"']),
    "mixed Enum": Case(Mixed, {"enum": ["none", 1]}, {'"none"': Mixed.NONE, "1": Mixed.ONE}, ['"one"']),
    "NewType": Case(UserId, INTEGER, {"5": 5}, ['"a"']),
    "Optional": Case(
        Optional[int],  # noqa: UP045 - as users write it
        {"anyOf": [INTEGER, {"type": "null"}]},
        {"5": 5, "null": None},
        ['"a"'],
    ),
    "Union": Case(
        Union[int, str],  # noqa: UP007 - as users write it
        {"anyOf": [INTEGER, STRING]},
        {"5": 5, '"a"': "a"},
        ["[]", "null"],
    ),
    "datetime": Case(
        dt.datetime,
        {**STRING, "format": "date-time"},
        {
            '"2026-11-29T12:00:00Z"': NOON.replace(tzinfo=dt.UTC),
            '"2026-11-29T12:00:00"': NOON,
        },
        ['"2026-11-31T10:00:00Z"', '"soon"'],
    ),
    "date": Case(dt.date, {**STRING, "format": "date"}, {'"2026-11-29"': dt.date(2026, 11, 29)}, ['"2026-11-31"', '"soon"']),
    "time": Case(dt.time, {**STRING, "format": "time"}, {'"10:30:00"': dt.time(10, 30)}, ['"25:00:00"', '"soon"']),
    "timedelta": Case(dt.timedelta, {**STRING, "format": "duration"}, {'"PT5M"': dt.timedelta(minutes=5)}, ['"soon"']),
    "naive datetime": Case(
        Annotated[dt.datetime, msgspec.Meta(tz=False)],
        STRING,
        {'"2026-11-29T12:00:00"': NOON},
        ['"soon"'],
    ),
    "UUID": Case(uuid.UUID, {**STRING, "format": "uuid"}, {f'"{uuid.UUID(int=1)}"': uuid.UUID(int=1)}, ['"1"']),
    "Decimal": Case(decimal.Decimal, {}, {'"1.50"': decimal.Decimal("1.50"), "2": decimal.Decimal(2)}, ['"a"', "[]"]),
    "bytes": Case(bytes, STRING, {}, ["5"]),
    "list": Case(list[int], {**ARRAY, "items": INTEGER}, {"[1, 2]": [1, 2], "[]": []}, ['["a"]', "{}"]),
    "bare list": Case(list, ARRAY, {'[1, "a"]': [1, "a"]}, ["{}"]),
    "Sequence": Case(Sequence[int], {**ARRAY, "items": INTEGER}, {"[1, 2]": [1, 2]}, ['["a"]']),
    "Iterable": Case(Iterable[int], {**ARRAY, "items": INTEGER}, {"[1, 2]": [1, 2]}, ['["a"]'], NO_MODEL),
    "set": Case(set[int], {**ARRAY, "uniqueItems": True}, {"[1, 2, 2]": {1, 2}}, ['["a"]']),
    "frozenset": Case(frozenset[str], ARRAY, {'["a"]': frozenset({"a"})}, ["[1]"]),
    "fixed tuple": Case(
        tuple[int, str],
        {**ARRAY, "prefixItems": [INTEGER, STRING], "minItems": 2, "maxItems": 2},
        {'[1, "a"]': (1, "a")},
        ["[1]"],
    ),
    "tuple of any length": Case(tuple[int, ...], {**ARRAY, "items": INTEGER}, {"[1, 2]": (1, 2)}, ['["a"]']),
    "NamedTuple": Case(Pair, {**ARRAY, "minItems": 2}, {'[1, "a"]': Pair(1, "a")}, ["[1]", '["a", 1]']),
    "dict": Case(dict[str, int], {**OBJECT, "additionalProperties": INTEGER}, {'{"a": 1}': {"a": 1}}, ['{"a": "b"}', "[]"]),
    "Mapping": Case(Mapping[str, int], OBJECT, {'{"a": 1}': {"a": 1}}, ['{"a": "b"}']),
    "dict with number keys": Case(dict[int, str], OBJECT, {'{"1": "a"}': {1: "a"}}, ['{"x": "a"}']),
    "dict of anything": Case(dict[str, Any], OBJECT, {'{"a": [1, null]}': {"a": [1, None]}}, ["[]"]),
    "dataclass": Case(Point, {**OBJECT, "required": ["x"]}, {'{"x": 1}': Point(1)}, ['{"x": "a"}', "{}"]),
    "list of dataclasses": Case(list[Point], ARRAY, {'[{"x": 1}, {"x": 2, "y": 3}]': [Point(1), Point(2, 3)]}, ['[{"y": 1}]']),
    "optional dataclass": Case(Point | None, {}, {"null": None, '{"x": 1}': Point(1)}, ['{"x": "a"}']),
    "generic dataclass": Case(Box[int], OBJECT, {'{"content": 1}': Box(1)}, ['{"content": "a"}']),
    "two dataclasses": Case(Point | Rated, {}, {'{"x": 1}': Point(1), '{"score": 3}': Rated(3)}, ['{"score": 9}', "{}"]),
    "two classes of one name": Case(two_of_one_name(), ARRAY, {}, ['[{"a": 1}, {"a": 1}]']),
    "tagged Structs": Case(
        Cat | Dog, {}, {'{"type": "Cat", "lives": 9}': Cat(9), '{"type": "Dog", "tricks": 1}': Dog(1)}, ['{"lives": 9}'], NO_MODEL
    ),
    "renamed Struct": Case(Camel, OBJECT, {'{"humpCount": 2}': Camel(2)}, ['{"humpCount": 3}', '{"hump_count": 2}'], NO_MODEL),
    "attrs": Case(Attrs, {**OBJECT, "required": ["size"]}, {'{"size": 1}': Attrs(1)}, ['{"size": 0}', "{}"], NO_MODEL),
    "TypedDict of typing": Case(OldDict, OBJECT, {'{"score": 3}': {"score": 3}}, ['{"score": 9}', "{}"], NO_MODEL),
    "TypedDict of typing_extensions": Case(NewDict, OBJECT, {'{"score": 3}': {"score": 3}}, ['{"score": 9}', "{}"]),
    "model": Case(
        Address, {**OBJECT, "required": ["zip"]}, {'{"zip": 12}': Address(zip=12)}, ['{"zip": 0}', '{"zip": 13}', "{}"]
    ),
    "list of models": Case(list[Address], ARRAY, {'[{"zip": 12}]': [Address(zip=12)]}, ['[{"zip": 13}]']),
    "dict of models": Case(dict[str, Address], OBJECT, {'{"a": {"zip": 12}}': {"a": Address(zip=12)}}, ['{"a": {"zip": 0}}']),
    "generic model": Case(Shelf[int], OBJECT, {'{"books": [1]}': Shelf[int](books=[1])}, ['{"books": ["a"]}']),
    "dataclass of pydantic": Case(Checked, OBJECT, {'{"score": 3}': Checked(3)}, ['{"score": 9}']),
    "dataclass with constraints": Case(Rated, OBJECT, {'{"score": 3}': Rated(3)}, ['{"score": 9}', '{"score": 0}']),
    "a mixture of all": Case(
        Mixture,
        OBJECT,
        {
            '{"camel": {"humpCount": 2}, "address": {"zip": 1}, "score": 1, "row": {"score": 5}}': Mixture(
                Camel(2), Address(zip=1), 1, {"score": 5}
            )
        },
        [
            '{"camel": {"humpCount": 3}, "address": {"zip": 1}, "score": 1, "row": {"score": 5}}',
            '{"camel": {"humpCount": 2}, "address": {"zip": 0}, "score": 1, "row": {"score": 5}}',
            '{"camel": {"humpCount": 2}, "address": {"zip": 1}, "score": 0, "row": {"score": 5}}',
            '{"camel": {"humpCount": 2}, "address": {"zip": 1}, "score": 1, "row": {"score": 6}}',
        ],
        NO_MODEL,
    ),
    # constraints, in the words of three libraries
    "Field": Case(Score, {"minimum": 1, "maximum": 5, "description": "from bad to good"}, {"5": 5}, ["9", "0"]),
    "Field gt, lt": Case(
        Annotated[int, pydantic.Field(gt=1, lt=5)], {"exclusiveMinimum": 1, "exclusiveMaximum": 5}, {"2": 2}, ["1", "5"]
    ),
    "Field multiple_of": Case(Annotated[int, pydantic.Field(multiple_of=5)], {"multipleOf": 5}, {"10": 10}, ["3"]),
    "Field lengths": Case(
        Annotated[str, pydantic.Field(min_length=2, max_length=3)],
        {"minLength": 2, "maxLength": 3},
        {'"ab"': "ab"},
        ['"a"', '"abcd"'],
    ),
    "Field pattern": Case(Annotated[str, pydantic.Field(pattern=r"^\d+$")], STRING, {'"12"': "12"}, ['"x"']),
    "Field of a list": Case(
        Annotated[list[int], pydantic.Field(min_length=1, max_length=2)],
        {"minItems": 1, "maxItems": 2},
        {"[1]": [1]},
        ["[]", "[1, 2, 3]"],
    ),
    "Field title and examples": Case(
        Annotated[str, pydantic.Field(title="Town", examples=["Bonn"], description="where")],
        {"title": "Town", "description": "where"},
        {'"Ulm"': "Ulm"},
        ["5"],
    ),
    "items with a Field": Case(list[Score], {"items": {"minimum": 1, "maximum": 5}}, {"[5]": [5]}, ["[9]"]),
    "PositiveInt": Case(pydantic.PositiveInt, {"exclusiveMinimum": 0}, {"1": 1}, ["0"]),
    "conint": Case(pydantic.conint(ge=3), {"minimum": 3}, {"3": 3}, ["2"]),
    "HttpUrl": Case(
        pydantic.HttpUrl, {**STRING, "format": "uri", "minLength": 1}, {}, ['"no address"', f'"http://a.b/{"c" * 2100}"']
    ),
    "SecretStr": Case(dict[str, pydantic.SecretStr], OBJECT, {'{"a": "b"}': {"a": pydantic.SecretStr("b")}}, ['{"a": 1}']),
    "alias": Case(Alias, {**ARRAY, "items": {"minimum": 1}}, {"[5]": [5]}, ["[9]"]),
    "validator": Case(Annotated[int, pydantic.AfterValidator(even)], INTEGER, {"2": 2}, ["3"]),
    "annotated_types": Case(Annotated[int, at.Ge(1), at.Lt(5)], {"minimum": 1, "exclusiveMaximum": 5}, {"1": 1}, ["0", "5"]),
    "annotated_types lengths": Case(
        Annotated[str, at.Len(1, 3)], {"minLength": 1, "maxLength": 3}, {'"a"': "a"}, ['""', '"abcd"']
    ),
    "Meta": Case(Annotated[int, msgspec.Meta(ge=1, le=5)], {"minimum": 1, "maximum": 5}, {"5": 5}, ["0", "9"], NO_MODEL),
    "Meta lengths": Case(
        Annotated[str, msgspec.Meta(max_length=3, description="short")],
        {"maxLength": 3, "description": "short"},
        {'"abc"': "abc"},
        ['"abcd"'],
        NO_MODEL,
    ),
    "Meta pattern": Case(Annotated[str, msgspec.Meta(pattern=r"^\d+$")], STRING, {'"12"': "12"}, ['"x"'], NO_MODEL),
    "Meta and a Field": Case(
        tuple[Annotated[int, msgspec.Meta(ge=1)], Score], ARRAY, {"[1, 5]": (1, 5)}, ["[0, 5]", "[1, 6]"], NO_MODEL
    ),
    "long Field": Case(Annotated[str, pydantic.Field(max_length=5000)], STRING, {'"a"': "a"}, [json.dumps("a" * 5001)]),
    "long Meta": Case(Annotated[str, msgspec.Meta(min_length=2001)], STRING, {}, ['"a"'], NO_MODEL),
    "long list": Case(Annotated[list[int], at.MinLen(2001)], {**ARRAY, "items": INTEGER}, {}, ["[1]"]),
    "large bound": Case(Annotated[int, pydantic.Field(ge=-(2**63), le=2**63 - 1)], INTEGER, {"5": 5}, [str(2**63)]),
    "recursive": Case(
        Tree,
        OBJECT,
        {'{"label": "a", "children": [{"label": "b", "children": []}]}': Tree("a", [Tree("b", [])])},
        ['{"label": 5}'],
        ("function",),
    ),
}


def _dataclass(kind: Any) -> Any:
    return make_dataclass("Holder", [("x", kind)])


def _struct(kind: Any) -> Any:
    return msgspec.defstruct("Holder", [("x", kind)])


def _model(kind: Any) -> Any:
    return pydantic.create_model("Holder", x=(kind, ...))


def _typed_dict(kind: Any) -> Any:
    make: Any = typing.TypedDict
    return make("Holder", {"x": kind})


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "dataclass": _dataclass,
    "TypedDict": _typed_dict,
    "Struct": _struct,
    "BaseModel": _model,
}
PLACES = (*HOLDERS, "function")


class Reader:
    """Reads a field of a type: ``sent`` is its schema in the request, ``read`` takes its JSON."""

    def __init__(self, kind: Any, place: str) -> None:
        if place == "function":

            def function(x: Any) -> None:
                """Take something."""

            function.__annotations__ = {"x": kind, "return": None}
            [self._tool] = make_tools(function)
            self.sent: dict[str, Any] = self._tool.definition["function"]["parameters"]["properties"]["x"]
        else:
            self._schema = make_schema(HOLDERS[place](kind))
            whole: Any = self._schema.format
            self.sent = whole["properties"]["x"]
            if "$ref" in self.sent:
                self.sent = whole["$defs"][self.sent["$ref"].removeprefix("#/$defs/")]
        self._place = place

    def read(self, text: str) -> Any:
        """Return the value of the field."""
        if self._place == "function":
            return self._tool.convert({"x": msgspec.json.decode(text)})["x"]
        found = self._schema.decode(f'{{"x": {text}}}')
        return found["x"] if isinstance(found, dict) else found.x
