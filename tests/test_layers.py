"""No circle among files, and no arrow back up: the order of the rooms, as one table.

import-linter holds the order of packages; this holds the order of files.  An import counts
wherever it stands: in a function, and for the type checker only, too.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.floors import FLOORS

SOURCES = Path(__file__).parent.parent / "src"

# Bytes in, bytes out: no clock, no chance, no device, no log; the same calls give the same bytes.
SANS_IO = (
    "roost.arrow",
    "roost.raft",
    "roost.peer.frame",
    "roost.peer.framing",
    "roost.peer.greeting",
    "roost.peer.lives",
    "roost.journal.record",
    "roost.store.write_set",
    "roost.store.key_order",
    "roost.store.layer",
    "roost.store.stack",
    "roost.counters.algebra",
    "roost.counters.changing",
    "roost.counters.exchange",
    "roost.counters.joining",
    "roost.counters.messages",
    "roost.counters.names",
    "roost.counters.outgoing",
    "roost.counters.receiving",
    "roost.counters.registry",
    "roost.counters.rows",
    "roost.counters.sending",
    "roost.counters.store",
    "roost.counters.upkeep",
    "roost.counters.work",
    "roost.etcd.model",
    "roost.etcd.v2.changes",
    "roost.etcd.v2.forms",
    "roost.etcd.v2.history",
    "roost.etcd.v2.nodes",
    "roost.etcd.v2.paths",
    "roost.server.h2",
    "roost.server.json_request",
    "roost.server.json_text",
    "roost.server.json_values",
)
WORLDLY = {
    "asyncio", "datetime", "lmdb", "logging", "multiprocessing", "os", "pathlib", "random",
    "secrets", "select", "signal", "socket", "ssl", "structlog", "subprocess", "threading",
    "time", "uuid",
}  # fmt: skip

Arrows = dict[str, set[str]]


def _files() -> dict[str, Path]:
    """Each module's file, by the module's name."""
    found = {}
    for path in sorted((SOURCES / "roost").rglob("*.py")):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def _imported(path: Path, files: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (it.name for it in node.names if it.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module in files:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in files else node.module


@cache
def arrows() -> Arrows:
    """Read once, by the worker that asks: each collects these tests."""
    files = _files()
    return {name: set(_imported(path, files)) - {name} for name, path in files.items()}


def floors_of(package: str) -> dict[str, int]:
    """Each file's or room's floor in `package`, 0 at the top."""
    rows = FLOORS[package].split("\n")
    lines = [it for it in rows if it.strip()]
    return {name.strip(): floor for floor, row in enumerate(lines) for name in row.split("|")}


def _parting(importer: str, imported: str) -> tuple[str, str, str] | None:
    """Where the ways to two modules part: the package, and the two names in it."""
    ours, theirs = importer.split("."), imported.split(".")
    depth = 0
    while depth < min(len(ours), len(theirs)) and ours[depth] == theirs[depth]:
        depth += 1
    if depth in (len(ours), len(theirs)):
        return None  # a package's face imports its rooms; circles are looked for elsewhere
    return ".".join(ours[:depth]), ours[depth], theirs[depth]


def _upward() -> Iterator[str]:
    """Each import of something that stands on the same floor or above."""
    for importer, targets in arrows().items():
        for imported in targets:
            parting = _parting(importer, imported)
            if parting is not None and parting[0] in FLOORS:
                package, ours, theirs = parting
                floors = floors_of(package)
                if not floors.get(ours, -1) < floors.get(theirs, len(floors)):
                    yield f"{importer} -> {imported}"


def circles(arrows: Arrows) -> list[set[str]]:
    """Sets of modules each of which leads to all others of its set (Tarjan's components)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        path.append(name)
        for other in sorted(arrows[name]):
            if other not in number:
                visit(other)
            if other in path:
                lowest[name] = min(lowest[name], lowest[other])
        if lowest[name] == number[name]:
            place = path.index(name)
            if len(path) - place > 1:
                found.append(set(path[place:]))
            del path[place:]

    for name in arrows:
        if name not in number:
            visit(name)
    return found


def test_circles_are_found() -> None:
    arrows = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(map(sorted, circles(arrows))) == [["a", "b", "c"], ["d", "e"]]


def test_every_import_names_the_whole_way() -> None:
    """What is imported by dots is no name in this table, and would be an arrow nobody sees."""
    found = [
        f"{name} line {node.lineno}"
        for name, path in _files().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert found == []


def test_no_file_imports_in_a_circle() -> None:
    assert circles(arrows()) == []


def test_no_file_imports_what_stands_above_it() -> None:
    assert list(_upward()) == []


@pytest.mark.parametrize("package", FLOORS)
def test_every_file_and_room_has_a_floor(package: str) -> None:
    inside = {
        name.removeprefix(f"{package}.").split(".")[0]
        for name in arrows()
        if name.startswith(f"{package}.")
    }
    assert inside - set(floors_of(package)) == set()


def test_every_package_has_its_floors() -> None:
    packages = {name for name, path in _files().items() if path.name == "__init__.py"}
    holding = {it for it in packages if any(name.startswith(f"{it}.") for name in arrows())}
    assert holding == set(FLOORS)


def test_what_only_turns_bytes_into_bytes_touches_nothing_of_the_world() -> None:
    found = []
    for name, path in _files().items():
        if name.startswith(SANS_IO):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found += [(name, it.name) for it in node.names if it.name in WORLDLY]
                elif isinstance(node, ast.ImportFrom) and node.module in WORLDLY:
                    found.append((name, node.module))
                elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("hash", "id"):
                    found.append((name, f"{ast.unparse(node)}: another one in another process"))
    assert found == []
