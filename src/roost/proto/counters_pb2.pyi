from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CounterChange(_message.Message):
    __slots__ = ("name", "change")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    change: int
    def __init__(self, name: _Optional[str] = ..., change: _Optional[int] = ...) -> None: ...

class CounterValue(_message.Message):
    __slots__ = ("name", "value", "large", "missing", "parts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LARGE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: int
    large: str
    missing: bool
    parts: _containers.RepeatedCompositeFieldContainer[CounterValue]
    def __init__(self, name: _Optional[str] = ..., value: _Optional[int] = ..., large: _Optional[str] = ..., missing: _Optional[bool] = ..., parts: _Optional[_Iterable[_Union[CounterValue, _Mapping]]] = ...) -> None: ...

class IncrementRequest(_message.Message):
    __slots__ = ("changes", "key")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[CounterChange]
    key: bytes
    def __init__(self, changes: _Optional[_Iterable[_Union[CounterChange, _Mapping]]] = ..., key: _Optional[bytes] = ...) -> None: ...

class DeleteCountersRequest(_message.Message):
    __slots__ = ("names", "key")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    key: bytes
    def __init__(self, names: _Optional[_Iterable[str]] = ..., key: _Optional[bytes] = ...) -> None: ...

class ReadCountersRequest(_message.Message):
    __slots__ = ("names", "raw")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    raw: bool
    def __init__(self, names: _Optional[_Iterable[str]] = ..., raw: _Optional[bool] = ...) -> None: ...

class SearchCountersRequest(_message.Message):
    __slots__ = ("prefix", "after", "limit")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    after: str
    limit: int
    def __init__(self, prefix: _Optional[str] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class WatchCountersRequest(_message.Message):
    __slots__ = ("prefix", "all")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    all: bool
    def __init__(self, prefix: _Optional[str] = ..., all: _Optional[bool] = ...) -> None: ...

class CountersResponse(_message.Message):
    __slots__ = ("values", "more", "after")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[CounterValue]
    more: bool
    after: str
    def __init__(self, values: _Optional[_Iterable[_Union[CounterValue, _Mapping]]] = ..., more: _Optional[bool] = ..., after: _Optional[str] = ...) -> None: ...

class DescribeCountersRequest(_message.Message):
    __slots__ = ("what",)
    WHAT_FIELD_NUMBER: _ClassVar[int]
    what: str
    def __init__(self, what: _Optional[str] = ...) -> None: ...

class DescribeCountersResponse(_message.Message):
    __slots__ = ("said",)
    SAID_FIELD_NUMBER: _ClassVar[int]
    said: bytes
    def __init__(self, said: _Optional[bytes] = ...) -> None: ...

class AdministerCountersRequest(_message.Message):
    __slots__ = ("what", "name", "force", "source", "relay")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RELAY_FIELD_NUMBER: _ClassVar[int]
    what: str
    name: str
    force: bool
    source: str
    relay: bool
    def __init__(self, what: _Optional[str] = ..., name: _Optional[str] = ..., force: _Optional[bool] = ..., source: _Optional[str] = ..., relay: _Optional[bool] = ...) -> None: ...
