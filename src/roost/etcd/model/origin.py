"""What a put must know of the value before it.

Apart from `wire`, which reads it, because that module is compiled and a Struct must not be.
"""

import msgspec


class Origin(msgspec.Struct, frozen=True, gc=False):
    """When a key was created, and its version; every put makes one, so it is a cheap one."""

    create_revision: int
    version: int
    lease: int
