"""Changes of who is in the cluster, while some of it is dead (etcd: --strict-reconfig-check)."""

import json
from pathlib import Path

import pytest

from roost.member.cluster.membership import (
    ADD,
    PEER_URL_CHARS_MAX,
    PEER_URLS_MAX,
    PROMOTE,
    REMOVE,
    REPLACE,
    UPDATE,
)
from roost.member.cluster.roster import PUBLISH_OPERATION
from roost.member.errors import (
    BadPeerUrls,
    MalformedChange,
    MalformedRecord,
    MemberNotFound,
    TooFewAlive,
    TooManyPeerUrls,
)
from roost.sim.members.loop import run_virtually
from tests.member.members import Cluster

URL = "http://127.0.0.1:9"


@pytest.mark.slow
def test_no_change_takes_the_majority_of_those_who_live(tmp_path: Path) -> None:
    """Of five, two die, and at once a living one is to go: etcd says no, and so do we.

    For an election timeout the leader counted the dead among the living, and the cluster died.
    """

    async def run() -> None:
        cluster = Cluster(tmp_path, 5, heartbeat_ms=100)
        await cluster.start_all()
        leader = cluster.members[at := await cluster.quiet()]
        learner = json.dumps({"peer_urls": ["http://127.0.0.1:8"], "is_learner": True})
        added = json.loads(await leader.transact(ADD, learner.encode()))[0]["id"]
        dead = [cluster.members.pop((at + step) % 5) for step in (1, 2)]
        living = cluster.members[(at + 3) % 5].member_id
        for member in dead:
            await member.stop()
        gone = [it.member_id for it in dead]
        await cluster.until(lambda: not any(leader.transport.is_open_to(it) for it in gone))
        changes = [
            (REMOVE, {"id": living}),
            (REMOVE, {"id": leader.member_id}),
            (ADD, {"peer_urls": [URL]}),
            (PROMOTE, {"id": added}),
            (REPLACE, {"id": living, "peer_urls": [URL]}),
        ]
        for name, asked in changes:
            with pytest.raises(TooFewAlive):
                await leader.transact(name, json.dumps(asked).encode())
        await cluster.put(at, b"still", b"here")
        # A dead one may go: those who live are still a majority of what is left.
        await leader.transact(REMOVE, json.dumps({"id": gone[0]}).encode())
        assert len(leader.members()) == 5, "four voters and the learner"
        await cluster.stop_all()

    run_virtually(run())


@pytest.mark.slow
def test_a_member_has_so_many_urls_and_no_more(tmp_path: Path) -> None:
    """Sixty thousand, which a request has room for, kept the leader for 0.4 s."""

    async def run() -> None:
        cluster = Cluster(tmp_path, 1)
        member = await cluster.start(0)
        await cluster.quiet()
        wrong: list[tuple[list[str], type[Exception]]] = [
            ([URL] * (PEER_URLS_MAX + 1), TooManyPeerUrls),
            ([f"http://{'a' * PEER_URL_CHARS_MAX}:1"], TooManyPeerUrls),
            (["nothing", *[URL] * PEER_URLS_MAX], BadPeerUrls),
            (["n" * (PEER_URL_CHARS_MAX + 1)], BadPeerUrls),
        ]
        for urls, error in wrong:
            for name, who in ((ADD, 0), (UPDATE, member.member_id), (REPLACE, member.member_id)):
                with pytest.raises(error):
                    await member.transact(name, json.dumps({"id": who, "peer_urls": urls}).encode())
            with pytest.raises(MemberNotFound):
                await member.transact(UPDATE, json.dumps({"id": 5, "peer_urls": urls}).encode())
        enough = json.dumps({"id": member.member_id, "peer_urls": [URL] * PEER_URLS_MAX})
        await member.transact(UPDATE, enough.encode())
        await cluster.stop_all()

    run_virtually(run())


@pytest.mark.slow
def test_a_change_that_cannot_be_read_is_refused_and_nothing_more(tmp_path: Path) -> None:
    async def run() -> None:
        cluster = Cluster(tmp_path, 1)
        member = await cluster.start(0)
        await cluster.quiet()
        for name in (ADD, REMOVE, REPLACE, PROMOTE, UPDATE, PUBLISH_OPERATION):
            negative, deep = b'{"id": -1, "peer_urls": []}', b'{"x":' * 5000
            for body in (b"", b"[]", negative, b'{"id": "x"}', b'{"name": "\xff"}', deep):
                with pytest.raises((MalformedChange, MalformedRecord, BadPeerUrls)):
                    await member.transact(name, body)
        record = {"id": member.member_id, "name": "m", "peer_urls": [URL]}
        for field, number in (("id", 2**64), ("id", 0), ("incarnation", 2**63)):
            body = json.dumps({**record, field: number}).encode()
            with pytest.raises(MalformedRecord, match="no member is"):
                await member.transact(PUBLISH_OPERATION, body)
        life = member.transport.local.life
        published = member.roster.published_life(member.member_id)
        assert published == (life.directory, life.incarnation)
        await cluster.stop_all()

    run_virtually(run())
