"""Who watches is asked again over turns, and told of nothing before it is known whether it may."""

from collections.abc import Iterator

import pytest

from roost.call import Stream
from roost.etcd.access.tokens import Identity
from roost.etcd.access.users import ROLES_TREE, USERS_TREE
from roost.etcd.model.costs import SLICE_ROWS, Costs
from roost.etcd.v3.watch_rights import JUDGES_MAX, WatchRights
from roost.etcd.v3.watchers import Watcher
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.guarded import StreamAnswer, World

P = auth_pb2.Permission
# Of each of the roles of a user for whom it takes many turns to know what it may.
RANGES, ROLES = 500, 5
COUNT = 20


class Watched(World):
    """Somebody with many ranges watches some of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = StreamAnswer(self.tokens["reader"])
        self.write_roles()
        route = self.routes[b"/etcdserverpb.Watch/Watch"]
        assert isinstance(route, Stream)
        self.handler = route.open(self.stream)
        self.hub = self.services.watches

    def write_roles(self, *without: int) -> None:
        """Give the reader all its roles, but some ranges; as a change does that is applied."""
        store = self.replica.store
        txn = store.begin()
        names = [f"role{it}" for it in range(ROLES)]
        user = auth_pb2.User(name=b"reader", password=b"#reader", roles=names)
        txn.put(store.tree(USERS_TREE).id, b"reader", user.SerializeToString())
        for role, name in enumerate(names):
            numbers = [it for it in range(role, RANGES * ROLES, ROLES) if it not in without]
            held = [P(permType=P.READ, key=b"k%05d" % it) for it in numbers]
            row = auth_pb2.Role(name=name.encode(), keyPermission=held).SerializeToString()
            txn.put(store.tree(ROLES_TREE).id, name.encode(), row)
        store.apply(store.applied_index + 1, txn.encode())

    async def watch(self) -> None:
        for number in range(COUNT):
            create = pb.WatchCreateRequest(key=b"k%05d" % number, watch_id=number + 1)
            self.handler.on_message(pb.WatchRequest(create_request=create).SerializeToString())
        await until_idle()
        said = self.said()
        assert [it.watch_id for it in said if it.created and not it.canceled] == [*range(1, 21)]

    def put(self, number: int) -> None:
        self.run_as_root("etcd.put", pb.PutRequest(key=b"k%05d" % number))

    def said(self) -> list[pb.WatchResponse]:
        said = [pb.WatchResponse.FromString(it) for it in self.stream.sent]
        self.stream.sent.clear()
        return said


@pytest.fixture
def world() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.replica.close()


def test_whoever_still_may_is_told_of_all_that_came_while_that_was_not_known(
    world: Watched,
) -> None:
    async def main() -> None:
        await world.watch()
        world.write_roles(3)
        for number in (1, 3, 5):
            world.put(number)
        assert not [it for it in world.said() if it.events], "it takes turns to know"
        await until_idle()
        said = world.said()
        assert sorted(it.events[0].kv.key for it in said if it.events) == [b"k00001", b"k00005"]
        assert [it.watch_id for it in said if it.canceled] == [4]
        assert (world.hub.count, world.hub.behind_count) == (COUNT - 1, 0)
        # And what comes when it is known is told at once.
        world.put(7)
        assert [it.events[0].kv.key for it in world.said()] == [b"k00007"]

    run_virtually(main())


def test_who_has_lost_its_right_is_cancelled_though_it_hears_nothing(world: Watched) -> None:
    async def main() -> None:
        await world.watch()
        world.write_roles(*range(10))
        await until_idle()
        assert sorted(it.watch_id for it in world.said() if it.canceled) == [*range(1, 11)]
        assert world.hub.count == COUNT - 10

    run_virtually(main())


def test_rights_that_change_again_and_again_leave_nobody_unasked(world: Watched) -> None:
    """Each change has all asked anew; those come first who have waited the longest."""

    async def main() -> None:
        await world.watch()
        world.put(0)
        world.put(COUNT - 1)
        for it in range(5):
            world.write_roles(2000 + it)
        world.write_roles(0)
        world.put(0)
        world.put(COUNT - 1)
        await until_idle()
        said = world.said()
        told = [it.events[0].kv.key for it in said if it.events]
        assert told == [b"k00000", b"k%05d" % (COUNT - 1), b"k%05d" % (COUNT - 1)]
        assert [it.watch_id for it in said if it.canceled] == [1]

    run_virtually(main())


def test_a_watch_that_ends_before_it_is_asked_is_gone(world: Watched) -> None:
    async def main() -> None:
        await world.watch()
        world.write_roles(2000)
        world.put(2)
        assert world.hub.behind_count == 1
        cancel = pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=3))
        world.handler.on_message(cancel.SerializeToString())
        assert (world.hub.behind_count, world.hub.count) == (0, COUNT - 1)
        world.handler.on_cancel()
        await until_idle()
        assert world.hub.count == 0

    run_virtually(main())


def test_what_goes_wrong_as_one_is_asked_ends_its_stream(
    world: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        await world.watch()

        def fails(_rights: WatchRights, _watcher: object) -> Iterator[int]:
            yield 1
            raise ZeroDivisionError

        monkeypatch.setattr(WatchRights, "_may", fails)
        world.write_roles()
        await until_idle()
        assert world.stream.finished is not None
        assert world.hub.count == 0

    run_virtually(main())
    assert "a watch failed" in caplog.text


def test_a_slice_of_asking_is_bounded_and_so_is_what_is_kept(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[int] = []
    real = WatchRights._steps

    def noted(rights: WatchRights, watcher: Watcher) -> Costs[None]:
        for cost in real(rights, watcher):
            costs.append(cost)
            yield cost

    monkeypatch.setattr(WatchRights, "_steps", noted)

    async def main() -> None:
        await world.watch()
        for number, watcher in enumerate(list(world.hub._all)):
            watcher.identity = Identity(("reader", "root", "nothing")[number % 3])
        world.write_roles(2000, 2001)
        assert sum(costs) <= SLICE_ROWS + max(costs)
        await until_idle()
        assert sum(costs) > 2 * SLICE_ROWS
        assert len(world.hub._rights._judges) == 0 < JUDGES_MAX

    run_virtually(main())
