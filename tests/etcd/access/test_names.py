"""Lists of users and of roles: whole, in order, of one state, and in bounded steps (D14)."""

from collections.abc import Iterator

import pytest

from roost.etcd.access import names
from roost.etcd.access.names import NamesReading
from roost.etcd.model.ranges import Room
from roost.etcd.model.rows import ROWS_MAX
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.access.states import State
from tests.etcd.v3.readers import Server, make_all_long
from tests.steps import slices_of

COUNT = 3000
# Lines that run in a step: less than a millisecond.
STEP_STEPS_MAX = 8000


@pytest.fixture
def state() -> Iterator[State]:
    made = State()
    yield made
    made.replica.close()


def fill(state: State, count: int) -> list[str]:
    store = state.replica.store
    txn = store.begin()
    found = [f"user {number:05}" for number in range(count)]
    for name in found:
        txn.put(
            state.auth.users, name.encode(), auth_pb2.User(password=b"#secret").SerializeToString()
        )
    store.apply(store.applied_index + 1, txn.encode())
    return found


def read(reading: NamesReading) -> bytes:
    for _ in reading.measure():
        pass
    said = b"".join(reading.pieces())
    assert len(said) == reading.size
    return said


@pytest.mark.parametrize("count", [0, 1, 3, 4, 10])
@pytest.mark.parametrize("room_bytes", [0, 30, 10_000])
def test_a_list_has_every_name_once_in_order_whether_it_is_kept_or_read_again(
    state: State, monkeypatch: pytest.MonkeyPatch, count: int, room_bytes: int
) -> None:
    monkeypatch.setattr(names, "ROWS_MAX", 3)
    users, room = fill(state, count), Room(room_bytes)
    reading = NamesReading(state.replica.view, state.auth.users, room)
    said = read(reading)
    assert pb.AuthUserListResponse.FromString(said).users == users
    assert pb.AuthRoleListResponse.FromString(said).roles == users, "both have that number"
    assert reading.is_kept is (reading.size <= room_bytes)
    assert b"#secret" not in said
    reading.close()
    assert room.bytes == 0


def test_no_step_of_a_list_is_long(state: State) -> None:
    """Issue 14: all users were read in one step."""
    fill(state, COUNT)
    state.replica.store.flush()
    reading = NamesReading(state.replica.view, state.auth.users, Room(1 << 20))
    counts, _ = slices_of(reading.measure())
    assert len(counts) > COUNT // ROWS_MAX
    assert max(counts) < STEP_STEPS_MAX


def test_a_list_is_of_one_state_whatever_is_changed_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_all_long(monkeypatch)
    monkeypatch.setattr(names, "ROWS_MAX", 3)
    server = Server()
    users = [f"u{number:02}" for number in range(30)]

    def add(name: str) -> None:
        options = auth_pb2.UserAddOptions(no_password=True)
        request = pb.AuthUserAddRequest(name=name, options=options)
        assert server.call("Auth/UserAdd", request).error is None

    async def story() -> None:
        for name in users:
            add(name)
        answer = server.call("Auth/UserList", pb.AuthUserListRequest())
        assert not answer.is_over, "it takes more than a turn"
        add("u00 later")
        server.call("Auth/UserDelete", pb.AuthUserDeleteRequest(name=users[-1]))
        await until_idle()
        assert answer.message, answer.error
        said = pb.AuthUserListResponse.FromString(answer.message)
        assert said.users == users
        assert said.header.cluster_id == server.replica.cluster_id

    run_virtually(story())
    assert server.is_idle()
    server.close()
