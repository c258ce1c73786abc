"""A descriptor pool of our own, and how the generated modules put their messages there.

protobuf has one pool and one database of classes for a whole process.  A name can be taken once
in them, and every package that speaks to etcd brings the same names: whoever is imported second
would fail.  Ours go into neither.
"""

from typing import Any

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.reflection import GeneratedProtocolMessageType

POOL = DescriptorPool()


def build(module: dict[str, Any], schema: bytes) -> FileDescriptor:  # Any: a module's names
    """Put a file's messages and enums into `module`, the globals of a generated module.

    `schema` is the file's FileDescriptorProto.  The files it imports were built before.
    """
    file: FileDescriptor = POOL.AddSerializedFile(schema)  # type: ignore[assignment]  # the stub: None
    for name, values in file.enum_types_by_name.items():
        module[name] = EnumTypeWrapper(values)
        module.update((it.name, it.number) for it in values.values)
    for name, message in file.message_types_by_name.items():
        module[name] = _message_class(module["__name__"], message, name)
    return file


def _message_class(module: str, message: Descriptor, qualified: str) -> type[Message]:
    inner = {
        name: _message_class(module, it, f"{qualified}.{name}")
        for name, it in message.nested_types_by_name.items()
    }
    attributes = {"DESCRIPTOR": message, "__module__": module, "__qualname__": qualified, **inner}
    return GeneratedProtocolMessageType(message.name, (Message,), attributes)
