"""Every call of a core that may change something ends with its invariants; they mean something."""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import roost
from roost.raft import (
    Configuration,
    Core,
    ProposalDropped,
    Role,
    Snapshot,
    core,
    log,
    state,
)
from roost.raft.leading import Leading
from roost.raft.log import Log
from roost.raft.progress import Progress
from roost.sim.cores.cores import CoreCluster
from tests.raft.liar import image

# What only looks; `test_looking_changes_nothing` takes none of them at their word.
LOOKING: dict[str, Callable[[Core], object]] = {
    "progress": lambda it: it.progress(),
    "was_heard": lambda it: it.was_heard(2),
    "best_successor": lambda it: it.best_successor(),
    "retained_index": lambda it: it.retained_index(),
    "read_lease": lambda it: it.read_lease(0.0),
    "may_restore": lambda it: it.may_restore(
        Snapshot(index=99, term=1, sender=2, configuration=Configuration(voters=(1, 2, 3)))
    ),
}


def methods(module: object, name: str) -> dict[str, ast.FunctionDef]:
    """The methods of a class that are no properties, as they are written."""
    assert inspect.ismodule(module)
    tree = ast.parse(inspect.getsource(module))
    (written,) = [it for it in tree.body if isinstance(it, ast.ClassDef) and it.name == name]
    return {
        it.name: it
        for it in written.body
        if isinstance(it, ast.FunctionDef) and not it.decorator_list
    }


def ends_in_invariants(function: ast.FunctionDef) -> bool:
    """Whether the last thing that happens, but for the return of a name, is the check."""
    *before, last = function.body
    if isinstance(last, ast.Return) and isinstance(last.value, ast.Name | ast.Tuple):
        last = before[-1]
    if isinstance(last, ast.If) and ast.unparse(last.test) == "self.is_checked":
        (last,) = last.body
    return ast.unparse(last) in ("self._end()", "self.state.invariants()", "state.invariants()")


def asserts(function: ast.FunctionDef) -> bool:
    return any(isinstance(it, ast.Assert) for it in ast.walk(function))


def assigned(node: ast.AST) -> Iterator[str]:
    """What is assigned to, anywhere below."""
    for it in ast.walk(node):
        targets = it.targets if isinstance(it, ast.Assign) else []
        if isinstance(it, ast.AugAssign | ast.AnnAssign):
            targets = [it.target]
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple) else [target]
            yield from (ast.unparse(part) for part in parts)


@pytest.mark.pure("it reads the source of a module")
def test_every_call_that_may_change_a_core_ends_in_its_invariants() -> None:
    """All of raft's state is changed by conversations, and those are reached by these calls."""
    public = {name: it for name, it in methods(core, "Core").items() if name[0] != "_"}
    checked = {name for name, it in public.items() if ends_in_invariants(it)}
    assert public.keys() - checked == LOOKING.keys()


@pytest.mark.pure("it reads the source of a module")
def test_whoever_moves_an_index_or_changes_a_role_asserts() -> None:
    for name, function in methods(state, "State").items():
        assert asserts(function) or not name.startswith("become_"), name
    for name, function in methods(log, "Log").items():
        moved = [it for it in assigned(function) if it.startswith("self.") and "_index" in it]
        assert name == "__init__" or asserts(function) or not moved, name


def test_nobody_else_changes_a_core() -> None:
    sources = Path(roost.__file__).parent
    for path in sorted(sources.rglob("*.py")):
        text = path.read_text()
        if path.parent.name != "raft" and ("core.state." in text or "core.log." in text):
            for target in assigned(ast.parse(text)):
                assert "core.state." not in target and "core.log." not in target, path


def takes_state(function: ast.FunctionDef) -> bool:
    given = [it.annotation for it in function.args.args if it.annotation is not None]
    return "State" in map(ast.unparse, given)


def moving_methods() -> set[str]:
    """Methods of the log that change something, themselves or by others of it."""
    written = methods(log, "Log")
    found: set[str] = set()
    while True:
        more = {
            name
            for name, it in written.items()
            if any(target.startswith("self.") for target in assigned(it))
            or any(f"self.{other}(" in ast.unparse(it) for other in found)
        }
        if more == found:
            return found
        found = more


@pytest.mark.pure("it reads the source of a module")
def test_nobody_else_speaks_in_a_conversation() -> None:
    """Called past `Core`, it would end in no invariants."""
    sources = Path(roost.__file__).parent
    spoken = {
        (f"roost.raft.{path.stem}", it.name)
        for path in (sources / "raft").glob("*.py")
        for it in ast.parse(path.read_text()).body
        if isinstance(it, ast.FunctionDef) and takes_state(it)
    }
    assert ("roost.raft.append", "on_append_entries") in spoken
    moving = moving_methods()
    assert {"append_after", "commit_to"} <= moving
    whole = {module for module, _ in spoken}
    for path in sorted(sources.rglob("*.py")):
        text = path.read_text()
        if path.parent.name == "raft" or "raft" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                names = {(node.module, it.name) for it in node.names}
                assert names.isdisjoint(spoken), path
                assert whole.isdisjoint(f"{node.module}.{it.name}" for it in node.names), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of = ast.unparse(node.func.value)
                assert not of.endswith("core.state"), path
                assert not (of.endswith("core.log") and node.func.attr in moving), path


def test_looking_changes_nothing() -> None:
    network = CoreCluster(3)
    network.elect(1)
    network.propose(1, b"x")
    for node in network.nodes.values():
        for name, look in LOOKING.items():
            before = image(node.core)
            look(node.core)
            assert image(node.core) == before, name


def leader() -> tuple[Core, Leading]:
    network = CoreCluster(3)
    elected = network.elect(1)
    network.propose(1, b"x")
    assert elected.state.leading is not None
    return elected, elected.state.leading


def follower() -> Core:
    network = CoreCluster(3)
    network.elect(1)
    return network.nodes[2].core


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("term", 0, "no entry is of a term"),
        ("vote", 3, "one vote a term"),
        ("role", Role.LEADER, "only a leader leads"),
        ("leader_id", 2, "who leads knows it"),
        ("votes", {1: True}, "only a candidate counts"),
    ],
)
def test_a_state_that_cannot_be_is_told(field: str, value: object, said: str) -> None:
    core_ = follower()
    core_.state.invariants()
    core_.state.vote = 1  # as it is on the disk
    core_.state.outbox.hard_state = type(core_.state.outbox.hard_state)(core_.term, 1)
    setattr(core_.state, field, value)
    with pytest.raises(AssertionError, match=said):
        core_.tick()


def _no_match(leading: Leading) -> None:
    leading.peers[2].match_index = leading.peers[2].next_index


def _too_far(leading: Leading) -> None:
    leading.peers[2].next_index = 99


def _a_stranger(leading: Leading) -> None:
    leading.peers[9] = Progress(1)


def _no_entry(leading: Leading) -> None:
    leading.own_term_first_index = 99


def _spent(leading: Leading) -> None:
    leading.uncommitted_bytes = -1


@pytest.mark.parametrize("broken", [_no_match, _too_far, _a_stranger, _no_entry, _spent])
def test_a_leader_that_cannot_be_is_told(broken: Callable[[Leading], None]) -> None:
    core_, leading = leader()
    core_.state.invariants()
    broken(leading)
    with pytest.raises(AssertionError):
        core_.state.invariants()


@pytest.mark.parametrize(
    "index", ["applied_index", "applying_index", "durable_index", "handed_index", "last_index"]
)
def test_a_log_out_of_order_is_told(index: str) -> None:
    core_, _ = leader()
    log_: Log = core_.log
    log_.invariants()
    setattr(log_, index, getattr(log_, index) + 7)
    with pytest.raises(AssertionError):
        log_.invariants()


def test_a_refused_call_leaves_what_was() -> None:
    core_ = follower()
    before = image(core_)
    with pytest.raises(ProposalDropped):
        core_.propose(b"x")
    assert image(core_) == before
