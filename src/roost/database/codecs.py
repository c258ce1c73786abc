"""How a tree's keys and values become bytes, and the names by which trees remember that.

    type of a key               its bytes                                            name
    bytes                       as they are                                          bytes
    str                         UTF-8                                                str
    int, datetime               one part of `ordered`                                int, datetime
    tuple[...] of all these     the parts of `ordered`                               tuple[str, int]

    type of a value             its bytes                                            name
    bytes                       as they are                                          bytes
    any other                   MessagePack, by msgspec, strict                      msgpack Person

A class goes by its own name, without its module: moving it changes nothing, and what its fields
may become is msgspec's rule for schemas that evolve.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

import msgspec

from roost.database.errors import BadKey, BadValue, KeyUndecodable, ValueUndecodable
from roost.database.ordered import (
    after_parts,
    after_prefix,
    decode_part,
    decode_parts,
    encode_part,
    encode_parts,
    shown,
    utf8,
)
from roost.errors import UNDECODABLE
from roost.outcome import text_of

K = TypeVar("K")
V = TypeVar("V")
NAME_CHARACTERS_MAX = 200
# What msgspec raises at what it cannot write down, or what is not of the type that it was said to
# be: `msgspec.MsgspecError` is a ValueError, and so is what text that is no Unicode ends with.
UNENCODABLE = (ValueError, TypeError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class KeyCodec(Generic[K]):
    """Keys of one type.

    `encode_prefix` takes what keys may begin with, and `after` says where those that do end.
    """

    name: str
    encode: Callable[[K], bytes]
    decode: Callable[[bytes], K]
    encode_prefix: Callable[[Any], bytes]  # Any: a beginning of a tuple is of another type
    after: Callable[[bytes], bytes | None] = after_prefix


@dataclass(frozen=True, slots=True)
class ValueCodec(Generic[V]):
    """Values of one type."""

    name: str
    encode: Callable[[V], bytes]
    decode: Callable[[bytes], V]


def key_codec(kind: type[K]) -> KeyCodec[K]:
    """The codec for keys of a type.

    Raises:
        BadKey: keys of that type have no order here.

    """
    asked: Any = kind  # Any: types are hashable, which no annotation says
    found: KeyCodec[K] = _key_codec(asked)
    return found


def value_codec(kind: type[V]) -> ValueCodec[V]:
    """The codec for values of a type.

    Raises:
        BadValue: msgspec cannot decode that type.

    """
    asked: Any = kind  # Any: as above
    try:
        found: ValueCodec[V] = _value_codec(asked)
    except TypeError as error:
        raise BadValue(f"values cannot be {name_of(kind)}: {error}") from error
    return found


def name_of(kind: Any) -> str:  # Any: an annotation may be anything
    """What a type is called, without modules."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is ...:
        return "..."
    if origin in (Union, UnionType):
        return " | ".join(map(name_of, arguments))
    if origin is not None:
        inner = ", ".join(map(name_of, arguments))
        return f"{name_of(origin)}[{inner}]"
    if kind is type(None):
        return "None"
    return kind.__qualname__.rpartition(".<locals>.")[2] if isinstance(kind, type) else str(kind)


def decoder_of(kind: Any) -> msgspec.msgpack.Decoder[Any]:  # Any: an annotation may be anything
    """A strict decoder for a type.

    Raises:
        TypeError: msgspec cannot carry it, or something in it.

    """
    decoder = msgspec.msgpack.Decoder(kind)
    # Of a class that it knows nothing of msgspec believes that a hook will see to it.
    seen: list[Any] = []
    left: list[Any] = [msgspec.inspect.type_info(kind)]
    while left:
        it = left.pop()
        if isinstance(it, msgspec.inspect.CustomType):
            raise TypeError(f"{name_of(it.cls)} is no type that MessagePack has a form for")
        if isinstance(it, tuple | list):
            left += it
        elif isinstance(it, msgspec.inspect.Type | msgspec.inspect.Field) and not any(
            it is other
            for other in seen  # a type may hold itself
        ):
            seen.append(it)
            left += (getattr(it, name) for name in it.__struct_fields__)
    return decoder


def _no_prefix(kind: str) -> Callable[[Any], bytes]:
    def encode(prefix: object) -> bytes:
        raise BadKey(
            f"{shown(prefix)}: keys of type {kind} have no prefixes; give `first` and `stop`"
        )

    return encode


def _plain_bytes(key: Any) -> bytes:  # Any: it is what we find out
    if not isinstance(key, bytes):
        raise BadKey(f"{shown(key)} is a {type(key).__name__}; this tree has keys of type bytes")
    return key


def _text(key: Any) -> bytes:  # Any: it is what we find out
    if not isinstance(key, str):
        raise BadKey(f"{shown(key)} is a {type(key).__name__}; this tree has keys of type str")
    return utf8(key)


def _decode_text(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise KeyUndecodable(f"{key!r}: {error}") from error


@lru_cache(maxsize=1024)
def _key_codec(kind: Any) -> KeyCodec[Any]:  # Any: annotations, which have no common type
    if kind is bytes:
        return KeyCodec("bytes", _plain_bytes, bytes, _plain_bytes)
    if kind is str:
        return KeyCodec("str", _text, _decode_text, _text)
    fits = _checker(kind)
    name = name_of(kind)

    def check(key: object) -> Any:
        if not fits(key):
            raise BadKey(f"{shown(key)} is no key of this tree, whose keys are {name}")
        return key

    def checked(key: Any) -> Any:
        if not fits(key):
            raise KeyUndecodable(f"{key!r} is in the tree, whose keys are {name}")
        return key

    if get_origin(kind) is tuple:
        return KeyCodec(
            name,
            lambda key: encode_parts(check(key)),
            lambda key: checked(decode_parts(key)),
            _tuple_prefix,
            after_parts,
        )
    # What is just of that type, as nearly all are, needs no other look.
    return KeyCodec(
        name,
        lambda key: encode_part(key if type(key) is kind else check(key)),
        lambda key: it if type(it := decode_part(key)) is kind else checked(it),
        _no_prefix(name),
    )


def _tuple_prefix(prefix: object) -> bytes:
    if not isinstance(prefix, tuple):
        raise BadKey(
            f"{shown(prefix)}: a prefix of keys that are tuples is a tuple of their first parts"
        )
    return encode_parts(prefix)


def _checker(kind: Any) -> Callable[[object], bool]:  # Any: annotations, which have no common type
    """Whether something is a key, or a part of one, of that type."""
    if kind in (bytes, str, datetime):
        return lambda key: isinstance(key, kind)
    if kind is int:
        return lambda key: isinstance(key, int) and not isinstance(key, bool)
    if get_origin(kind) is tuple:
        arguments = get_args(kind)
        if len(arguments) == 2 and arguments[1] is ...:
            each = _checker(arguments[0])
            return lambda key: isinstance(key, tuple) and all(map(each, key))
        parts, plain = tuple(map(_checker, arguments)), list(arguments)
        return lambda key: (
            isinstance(key, tuple)
            and len(key) == len(parts)
            and (
                list(map(type, key)) == plain  # as nearly all, for the price of one look
                or all(fits(part) for fits, part in zip(parts, key, strict=True))
            )
        )
    raise BadKey(f"keys cannot be {name_of(kind)}: they are bytes, str, int, datetime, or a tuple "
                 "with its parts' types, as tuple[str, int]")  # fmt: skip


@lru_cache(maxsize=1024)
def _value_codec(kind: Any) -> ValueCodec[Any]:  # Any: annotations, which have no common type
    if kind is bytes:
        return ValueCodec("bytes", _plain_value, bytes)
    name = name_of(kind)
    decoder = decoder_of(kind)

    def decode(content: bytes) -> Any:
        try:
            return decoder.decode(content)
        except UNDECODABLE as error:
            raise ValueUndecodable(f"a value of the tree is no {name}: {error}") from error

    def encode(value: Any) -> bytes:
        try:
            content = msgspec.msgpack.encode(value)
            # Nothing checks what is put into a field, and a wrong value would be found by the one
            # who reads it, years later.
            decoder.decode(content)
        except UNENCODABLE as error:
            raise BadValue(f"{shown(value)} is no {name}: {text_of(error)}") from error
        return content

    return ValueCodec(f"msgpack {name}"[:NAME_CHARACTERS_MAX], encode, decode)


def _plain_value(value: Any) -> bytes:  # Any: it is what we find out
    if not isinstance(value, bytes):
        kind = type(value).__name__
        raise BadValue(f"{shown(value)} is a {kind}; this tree has values of type bytes")
    return value
