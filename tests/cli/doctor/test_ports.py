"""Places to listen on: free, taken by the member that runs here, or by somebody else."""

import os
import socket
from pathlib import Path

import pytest

from roost.cli.doctor.ports import (
    Holder,
    PlaceFacts,
    Runner,
    find_holder,
    judge_place,
    listeners,
    look_at_place,
    program_of,
)
from roost.cli.doctor.row import State
from roost.cli.preflight import PEERS, Listened
from roost.settings.urls import parse_url
from roost.testing.ports import free_ports

TABLE = """
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:094B 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 222 1
   2: 00000000:094C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1
"""
MEMBER = Holder(42, "roost serve")


def at(port: int, flag: str = "listen-client-urls") -> Listened:
    return Listened(flag, parse_url(flag, f"http://127.0.0.1:{port}"))


def test_who_listens_is_found_by_the_kernels_table() -> None:
    assert listeners(TABLE.splitlines(), 2379) == ["111"]
    assert listeners(TABLE.splitlines(), 2380) == ["333"]
    assert listeners(TABLE.splitlines(), 2381) == []


def test_a_command_line_is_told_as_far_as_it_can_hold_no_password() -> None:
    words = ["python", "-m", "roost.cli", "serve", "--name", "m1", ""]
    assert program_of(words) == "python -m roost.cli serve"
    assert program_of(["etcd", "--name=x", "secret", ""]) == "etcd"
    assert program_of(["client", "a", "b", "c", "root:secret", ""]) == "client a b c"


TAKEN = "cannot listen on 127.0.0.1:2379: Address already in use"


@pytest.mark.parametrize(
    ("facts", "runner", "state", "words"),
    [
        (PlaceFacts(), None, State.OK, "free"),
        (PlaceFacts(), Runner(42), State.WARNED, "free, though"),
        (PlaceFacts(trouble=TAKEN, is_taken=True), None, State.FAILED, "not ours to see"),
        (PlaceFacts(trouble=TAKEN, is_taken=True), Runner(42), State.OK, "member runs"),
        (PlaceFacts(trouble=TAKEN, is_taken=True, holder=MEMBER), Runner(42), State.OK, "42"),
        (PlaceFacts(trouble=TAKEN, is_taken=True, holder=MEMBER), Runner(7), State.FAILED, "42"),
        (PlaceFacts(trouble=TAKEN, is_taken=True, holder=MEMBER), None, State.FAILED, "serve"),
        (PlaceFacts(trouble="no such address"), Runner(42), State.FAILED, "no such address"),
    ],
)
def test_a_port_is_free_or_the_running_members(
    facts: PlaceFacts, runner: Runner | None, state: State, words: str
) -> None:
    row = judge_place(at(2379), facts, runner)
    assert row.state is state
    assert words in row.found
    assert "--listen-client-urls" in row.to_do or state is State.OK


def test_a_port_that_is_taken_is_this_process() -> None:
    taken, free = free_ports(2)
    with socket.create_server(("127.0.0.1", taken)):
        facts = look_at_place(at(taken), shares_port=False)
        assert facts.is_taken
        assert facts.holder is not None
        assert facts.holder.process == os.getpid()
    assert look_at_place(at(taken, PEERS), shares_port=False) == PlaceFacts()
    assert look_at_place(at(free), shares_port=False) == PlaceFacts()
    assert find_holder(free) is None


def test_an_address_of_another_machine_is_named() -> None:
    place = Listened("listen-client-urls", parse_url("x", "http://192.0.2.1:2379"))
    facts = look_at_place(place, shares_port=False)
    assert facts.trouble.startswith("cannot listen on 192.0.2.1:2379")
    assert not facts.is_taken


def test_a_path_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    place = Listened("listen-client-urls", parse_url("x", f"unix://{path}"))
    assert look_at_place(place, shares_port=False) == PlaceFacts()
    assert not path.exists()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))
        assert look_at_place(place, shares_port=False) == PlaceFacts(), "whose process is gone"
        sock.listen()
        assert look_at_place(place, shares_port=False).is_taken
    assert path.is_socket()
    path.unlink()
    path.touch()
    assert "is no socket" in look_at_place(place, shares_port=False).trouble
    nowhere = Listened("listen-client-urls", parse_url("x", f"unix://{tmp_path}/no/s"))
    assert "no directory" in look_at_place(nowhere, shares_port=False).trouble
