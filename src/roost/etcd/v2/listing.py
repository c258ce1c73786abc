"""A node and what is below it as JSON, in steps: children in the order of their names.

etcd says nothing of the order without `sorted`; here it is always this one.
"""

from collections.abc import Callable
from typing import Final

from roost.database.model import View, Walk
from roost.etcd.model.costs import SLICE_ROWS, Costs
from roost.etcd.v2 import nodes
from roost.etcd.v2.json_text import PIECE_BYTES
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.paths import path_of
from roost.etcd.v2.values import Node

# Of values, in one step.
STEP_BYTES = 64 << 10
# A piece of a long value costs as much as so many rows.
PIECE_COST: Final = 250


class _Open:
    """A directory whose children are being written."""

    __slots__ = ("has_children", "node", "rows", "walk")

    def __init__(self, node: Node, walk: Walk) -> None:
        self.node = node
        self.walk = walk
        # Those that were read and not written, the next one last.
        self.rows: list[tuple[bytes, bytes]] = []
        self.has_children = False


def listed(
    trees: Trees,
    view: View,
    path: bytes,
    node: Node,
    write: Callable[[bytes], None],
    *,
    recursive: bool,
    now_ns: int,
) -> Costs[None]:
    """Write a node, and its children, and with `recursive` theirs; hidden ones are left out."""
    yield from _write_open(path, node, now_ns, write)
    opened = [_Open(node, nodes.children(trees, view, path))] if node.is_dir else []
    cost = 1
    while opened:
        last = opened[-1]
        while not last.rows and not last.walk.is_done:
            last.rows = last.walk.take(SLICE_ROWS, STEP_BYTES)[::-1]
            yield cost + last.walk.cost
            cost = 0
        if not last.rows:
            opened.pop()
            write((b"]" if last.has_children else b"") + nodes.close_text(last.node))
            continue
        key, row = last.rows.pop()
        child_path = path_of(key)
        if child_path.rpartition(b"/")[2].startswith(b"_"):
            continue
        write(b"," if last.has_children else b',"nodes":[')
        last.has_children = True
        child = nodes.decode(row)
        yield from _write_open(child_path, child, now_ns, write)
        if child.is_dir and recursive:
            opened.append(_Open(child, nodes.children(trees, view, child_path)))
        else:
            write(nodes.close_text(child))
    if not node.is_dir:
        write(nodes.close_text(node))
    yield cost


def _write_open(
    path: bytes, node: Node, now_ns: int, write: Callable[[bytes], None]
) -> Costs[None]:
    """Write a node as far as its children; a long value in steps."""
    for it in nodes.open_pieces(path, node, now_ns):
        write(it)
        if len(it) >= PIECE_BYTES:
            yield PIECE_COST
