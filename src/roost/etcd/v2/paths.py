r"""Paths of v2: bytes that begin with "/", and where the node of one stands in a tree of the store.

    key of a node = its parent's path, 0x00 in it as 0x00 0xff; 0x00 0x01; its own name

So the children of a directory stand side by side, in the order of their names, and all below a
directory are two ranges: its children, and what has it and a "/" at the beginning of its parent.
The root has no row: it is always there.
"""

import posixpath
from typing import Final, NamedTuple

from roost.etcd.model.mvcc import escape

ROOT: Final = b"/"
# Longer ones, and deeper ones, are refused: every directory on the way is a row by itself.
PATH_BYTES_MAX, DEPTH_MAX = 4096, 128
_END: Final = b"\0\x01"


class Range(NamedTuple):
    """Keys from `first` on and before `stop`."""

    first: bytes
    stop: bytes


def cleaned(path: bytes) -> bytes:
    """The shortest form of a path that begins with "/", without one at its end (Go: path.Clean)."""
    return ROOT + posixpath.normpath(ROOT + path).lstrip(b"/")


def is_too_long(path: bytes) -> bool:
    """Whether no node can have it."""
    return len(path) > PATH_BYTES_MAX or path.count(b"/") > DEPTH_MAX


def parent_of(path: bytes) -> bytes:
    """The directory it is in."""
    return path[: path.rindex(b"/")] or ROOT


def child_of(parent: bytes, name: bytes) -> bytes:
    """What has that name there."""
    return parent + name if parent == ROOT else parent + b"/" + name


def parents_of(path: bytes) -> list[bytes]:
    """All directories above it but the root, the outermost first."""
    found, stop = [], path.find(b"/", 1)
    while stop > 0:
        found.append(path[:stop])
        stop = path.find(b"/", stop + 1)
    return found


def is_hidden(watched: bytes, path: bytes) -> bool:
    """Whether something between what is watched and `path`, which is below it, begins with "_"."""
    return b"/_" in path[0 if watched == ROOT else len(watched) :]


def is_below(path: bytes, directory: bytes) -> bool:
    """Whether it is in there, at whatever depth."""
    return path.startswith(ROOT if directory == ROOT else directory + b"/") and path != directory


def key_of(path: bytes) -> bytes:
    """Where a node stands; the root does not."""
    parent = parent_of(path)
    return escape(parent) + path[path.rindex(b"/") + 1 :]


def path_of(key: bytes) -> bytes:
    """The path of the node that stands there."""
    parent, _, name = key.partition(_END)
    return child_of(parent.replace(b"\0\xff", b"\0"), name)


def children_range(path: bytes) -> Range:
    """Where the children of a directory stand."""
    first = escape(path)
    return Range(first, first[:-1] + b"\x02")


def below_range(path: bytes) -> Range:
    """Where the children of its directories stand, and theirs."""
    first = path.replace(b"\0", b"\0\xff") + (b"" if path == ROOT else b"/")
    return Range(first, first[:-1] + b"0")
