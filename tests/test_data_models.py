"""Data models stand on public names only: what etcd's services can do, a program can (issue 15).

A data model is a room on the floor of `etcd` and `objects`; one that comes is held by standing
there.  It may import its own modules, what FACES have in `__all__`, and the rooms of GROUND, which
stand below members and know nothing of them.  An import counts wherever it stands: in a function,
and for the type checker only, too.  docs/how-to/data-model.md has both tables for people.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from tests.floors import FLOORS

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src"
# The example of the page: a data model as well, though it stands among the tests.
EXAMPLE = "tests.database.votes"
FACES = {
    "roost.database",
    "roost.database.aio",
    "roost.database.blocking",
    "roost.database.cluster",
    "roost.database.events",
    "roost.database.member_errors",
    "roost.database.model",
}
GROUND = {
    "roost.arrow",
    "roost.call",
    "roost.compiled",
    "roost.directories",
    "roost.endpoint",
    "roost.errors",
    "roost.exchange",
    "roost.extras",
    "roost.faces",
    "roost.fair_queue",
    "roost.figures",
    "roost.flow",
    "roost.histogram",
    "roost.lots",
    "roost.memory",
    "roost.os_errors",
    "roost.outcome",
    "roost.parted",
    "roost.proto",
    "roost.proto.ranges",
    "roost.runbook",
    "roost.settings",
    "roost.slices",
    "roost.tasks",
    "roost.ticker",
}
# What finds a module by its name at run time would pass by all that is held here.
FINDERS = {"__import__", "import_module", "find_spec", "lazily"}
# Names of what a data model is given; what of it begins with `_` is not for it.
GIVEN = re.compile(r"(^|[._])(db|database|view|tree|txn|replica|member|store|host)$")


def data_models() -> set[str]:
    """All of them, by the table of floors."""
    [floor] = [row for row in FLOORS["roost"].split("\n") if "etcd" in row.split()]
    return {f"roost.{name.strip()}" for name in floor.split("|")}


@cache
def public(module: str) -> frozenset[str]:
    """The names of a face, or of a room of the ground, that are for others."""
    found = import_module(module)
    if module == "roost.proto":
        return frozenset(it.stem for it in Path(found.__path__[0]).glob("*_pb2.py")) | {"POOL"}
    names = getattr(found, "__all__", None) or [it for it in vars(found) if it[0] != "_"]
    return frozenset(names)


def _is_of(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def _imported_from(node: ast.ImportFrom, own: str, modules: dict[str, str]) -> Iterator[str]:
    """What is wrong with `from X import ...`; modules that it names go to `modules`."""
    source = "." * node.level + (node.module or "")
    if node.level:
        yield f"from {source}: say it in full"
    elif _is_of(source, own) or not _is_of(source, "roost"):
        return
    for alias in node.names:
        name = f"{source}.{alias.name}"
        if _is_of(name, own):
            continue
        if name in FACES | GROUND:
            modules[alias.asname or alias.name] = name
        elif source not in FACES | GROUND or alias.name not in public(source):
            yield name


def foreign(text: str, own: str) -> list[str]:
    """What a module of the data model `own` has of others that is not for it."""
    found: list[str] = []
    modules: dict[str, str] = {}
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [it.name for it in node.names if _is_of(it.name, "roost")]
        elif isinstance(node, ast.ImportFrom):
            found += _imported_from(node, own, modules)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in FINDERS:
            found.append(node.id)
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            module = modules.get(owner)
            is_private = re.match(r"_(?!_)", node.attr) and GIVEN.search(owner)
            is_hidden = module is not None and node.attr not in public(module)
            if is_private or is_hidden or node.attr in FINDERS:
                found.append(f"{owner}.{node.attr}")
    return found


def _modules_of(data_model: str) -> Iterator[Path]:
    path = (ROOT if data_model == EXAMPLE else SOURCES).joinpath(*data_model.split("."))
    if path.is_dir():
        yield from sorted(path.rglob("*.py"))
    else:
        yield path.with_suffix(".py")


@pytest.mark.parametrize("data_model", sorted(data_models() | {EXAMPLE}))
def test_a_data_model_stands_on_public_names_only(data_model: str) -> None:
    paths = list(_modules_of(data_model))
    assert paths
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in foreign(path.read_text(), data_model)
    ]
    assert found == []


def test_data_models_are_found_by_their_floor() -> None:
    assert data_models() >= {"roost.etcd", "roost.objects"}


@pytest.mark.parametrize(
    "text",
    [
        "import roost.member",
        "import roost.store as trees",
        "from roost import member",
        "from roost import objects",
        "from roost.member import Member",
        "from roost.store import Txn",
        "from roost.raft import Core",
        "from roost.journal import Journal",
        "from roost.peer import Network",
        "from roost.server.app import make_app",
        "from roost.database import runner",
        "from roost.database.runner import Runner",
        "from roost.database import Runner",
        "from roost.database.model import Embedded",
        "from roost.database.model import *",
        "from roost.database.events import Reporter",
        "from roost.database import events\nevents.Reporter",
        "from roost.database import model as m\nm.Observers",
        "from roost.settings.settings import Texts",
        "from roost.settings import Texts",
        "from roost.proto import pool",
        "from .model import mvcc",
        "from ..store import Txn",
        "def late():\n    from roost.store import Txn",
        "if TYPE_CHECKING:\n    from roost.member import Member",
        "import importlib\nimportlib.import_module('roost.store')",
        "from importlib import import_module\nimport_module('roost.store')",
        "__import__('roost.store')",
        "self.replica._parts",
        "txn._base",
    ],
)
def test_what_is_not_for_a_data_model_is_found(text: str) -> None:
    assert foreign(text, "roost.etcd")


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio, msgspec",
        "from roost.database.model import Replica, Txn",
        "from roost.database import Operations, events\nevents.AlarmRaised",
        "from roost.database import model\nmodel.Txn",
        "from roost.errors import Refused",
        "from roost.proto import rpc_pb2 as pb\npb.PutRequest",
        "from roost.proto.ranges import prefix_end",
        "from roost.settings import DEFAULTS",
        "from roost.etcd import errors\nerrors.whatever",
        "from roost.etcd.model.mvcc import Mvcc",
        "if TYPE_CHECKING:\n    from roost.database.model import View",
        "self._private.thing",
    ],
)
def test_what_is_for_a_data_model_is_let_through(text: str) -> None:
    assert foreign(text, "roost.etcd") == []


def test_faces_say_what_is_public_of_them() -> None:
    for face in FACES:
        module = import_module(face)
        assert [it for it in module.__all__ if not hasattr(module, it)] == []
        assert len(set(module.__all__)) == len(module.__all__)


def test_the_ground_knows_nothing_of_members() -> None:
    """What a data model may use for being neutral must not lead it to the rooms between."""
    floors = [
        [name.strip() for name in row.split("|")]
        for row in FLOORS["roost"].split("\n")
        if row.strip()
    ]
    [settings] = [number for number, row in enumerate(floors) if "settings" in row]
    below = {name for row in floors[settings:] for name in row}
    assert {it.split(".")[1] for it in GROUND} <= below


# What a data model has is named by the data model alone: what is asked of its trees by those below
# it, it says where it is registered (`DataModel.cluster_trees`).
BELOW = ("raft", "journal", "store", "peer", "member", "database")
TREES_BELOW = {"$metadata", "$parts", "$members", "$removed_members", "$once"}


def _trees_named(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if re.fullmatch(r"\$[\w.]+", text):
                yield text


def test_nobody_below_a_data_model_names_its_trees() -> None:
    paths = [path for it in BELOW for path in sorted((SOURCES / "roost" / it).rglob("*.py"))]
    assert {name for path in paths for name in _trees_named(path)} == TREES_BELOW


def test_the_page_has_the_same_tables() -> None:
    page = (ROOT / "docs" / "how-to" / "data-model.md").read_text()
    rows = re.findall(r"^\| (`roost\.[\w.`, ]+`) \|", page, re.MULTILINE)
    assert {it for row in rows for it in re.findall(r"`([\w.]+)`", row)} == FACES | GROUND
