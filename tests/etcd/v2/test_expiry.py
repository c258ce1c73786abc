"""Who takes away what has run out: the leader, when it is due, and nobody else."""

import pytest

from roost.etcd.v2 import expiry, nodes
from roost.etcd.v2.expiry import EXPIRE
from roost.etcd.v2.values import Node
from roost.outcome import Done
from roost.sim.members.loop import run_virtually
from roost.store.walk import PASSED_MAX
from tests.etcd.v2.face import Face


class Counted(Face):
    """Counts how often the cluster was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        transact = self.replica.transact_nowait

        def count(name: str, body: bytes, done: Done, *flow: object) -> None:
            del flow
            self.asked += name == EXPIRE
            transact(name, body, done)

        self.replica.transact_nowait = count  # type: ignore[method-assign,assignment]  # counts

    def look(self) -> None:
        self.v2._expiry.look()


def test_nothing_is_asked_for_while_nothing_is_due() -> None:
    async def story() -> None:
        with Counted() as face:
            for _ in range(5):
                face.look()
            await face.ask("PUT", "/a", ttl=10)
            face.now_s += 9.0
            face.look()
            assert face.asked == 0
            face.now_s += 1.0
            face.look()
            assert await face.tree() == {}
            asked = face.asked
            face.now_s += 1e6
            face.look()
            assert face.asked == asked

    run_virtually(story())


def test_a_shorter_time_that_comes_later_counts() -> None:
    async def story() -> None:
        with Counted() as face:
            await face.ask("PUT", "/long", ttl=1000)
            face.look()
            await face.ask("PUT", "/short", ttl=5)
            face.now_s += 5.0
            face.look()
            assert list(await face.tree()) == ["long"]

    run_virtually(story())


def test_all_that_is_due_goes_at_one_look() -> None:
    async def story() -> None:
        with Counted() as face:
            for number in range(350):
                await face.ask("PUT", f"/{number}", ttl=1)
            face.now_s += 1.0
            face.look()
            assert await face.tree() == {}
            assert face.asked == 4

    run_virtually(story())


def test_a_member_that_does_not_lead_takes_nothing_away() -> None:
    async def story() -> None:
        with Counted() as face:
            await face.ask("PUT", "/a", ttl=1)
            face.now_s += 5.0
            face.replica.leader_id = 2
            face.look()
            assert face.asked == 0
            face.replica.leader_id = 1
            face.look()
            assert await face.tree() == {}

    run_virtually(story())


def test_what_was_taken_away_in_front_costs_one_question_a_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expiry, "_TAKES_MAX", 1)

    async def story() -> None:
        with Counted() as face:
            for number in range(PASSED_MAX + 10):
                await face.ask("PUT", f"/{number}", ttl=10)
            await face.ask("PUT", "/late", ttl=1000)
            for number in range(PASSED_MAX + 10):
                await face.ask("DELETE", f"/{number}")
            face.v2.on_switched()
            face.look()
            assert face.asked == 1
            face.look()
            assert face.asked == 2
            face.now_s += 1000.0
            face.look()
            assert await face.tree() == {}

    run_virtually(story())


def test_after_a_snapshot_it_is_looked_up_anew() -> None:
    async def story() -> None:
        with Counted() as face:
            face.look()  # nothing ever runs out
            trees = nodes.trees_of(face.replica.store)
            txn = face.replica.store.begin()
            node = Node(is_dir=False, created=1, modified=1, expires_ns=5, value=b"")
            nodes.put(trees, txn, b"/a", node)
            face.replica.store.apply(face.replica.store.applied_index + 1, txn.encode())
            face.v2.on_switched()
            face.look()
            assert await face.tree() == {}

    run_virtually(story())
