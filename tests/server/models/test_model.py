"""One registration is all that a data model needs to be served: votes beside etcd, on one port."""

import asyncio
import json
from pathlib import Path

import pytest

from roost.database import DEFAULT_LIMITS
from roost.database.aio import open_database
from roost.database.embedded import Embedded, Rooms
from roost.errors import DeviceFault
from roost.exchange import Answer, Request, not_allowed
from roost.figures import read_all
from roost.proto import rpc_pb2
from roost.server.embedding import Services
from roost.server.models import MODELS, Attached, DataModel, Ground, Page
from roost.server.options import serving_of
from roost.server.port import Listener
from roost.server.serving import MemberServer
from roost.settings import Settings
from roost.store import Txn
from roost.testing.ports import free_ports
from tests.database import votes
from tests.database.votes import FIGURES, Votes


class Steps:
    """What was called of a data model, in order."""

    def __init__(self) -> None:
        self.taken: list[str] = []


def votes_model(steps: Steps, *, fails: bool = False) -> DataModel:
    """Votes, as a file of `server/models` would have them."""

    def attach(ground: Ground) -> Attached:
        found = Votes(ground.member)

        async def answer(request: Request) -> Answer:
            if request.method != "POST":
                return not_allowed("POST")
            count = await found.give(request.raw_path.rpartition(b"/")[2])
            return Answer(200, json.dumps(count).encode())

        async def start() -> None:
            steps.taken.append("start")
            if fails:
                raise DeviceFault("there is no ballot box")

        async def close() -> None:
            steps.taken.append("close")

        return Attached(
            start=start,
            stop=lambda: steps.taken.append("stop"),
            close=close,
            pages=(Page(path="/votes/{name}", answer=answer, body_bytes_max=100),),
            collect=lambda: read_all(FIGURES, found),
            alarms=lambda: ["ELECTION"],
        )

    return DataModel(name="votes", attach=attach, bootstrap=votes.bootstrap, figures=FIGURES)


class WithVotes(Services):
    """What `roost.open` builds, and votes."""

    server: MemberServer

    def __init__(self, model: DataModel) -> None:
        self._models = (*MODELS, model)

    def bootstrap(self, txn: Txn) -> None:
        for it in self._models:
            it.bootstrap(txn)

    def build(self, embedded: Embedded, settings: Settings) -> Rooms:
        self.server = MemberServer(embedded, serving_of(settings), self._models)
        return self.server


async def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    """Ask over HTTP/1.1; the status and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: 0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head_bytes, _, body = answer.partition(b"\r\n\r\n")
    return int(head_bytes.split(b" ")[1]), body


def test_a_data_model_that_is_registered_is_served_beside_etcd() -> None:
    steps = Steps()
    builder = WithVotes(votes_model(steps))

    async def story() -> None:
        [port] = free_ports(1)
        async with await open_database(None, builder=builder):
            assert steps.taken == ["start"]
            await builder.server.listen([Listener(("127.0.0.1", port))])
            assert await ask(port, "POST", "/votes/ada") == (200, b"1")
            assert await ask(port, "POST", "/votes/ada") == (200, b"2")
            assert (await ask(port, "GET", "/votes/ada"))[0] == 405
            assert b"votes_halved_total 0" in (await ask(port, "GET", "/metrics"))[1]
            assert b"etcd_mvcc_put_total" in (await ask(port, "GET", "/metrics"))[1]
            status, body = await ask(port, "GET", "/health")
            assert (status, json.loads(body)["reason"]) == (503, "ALARM ELECTION")
        assert steps.taken == ["start", "stop", "close"]

    asyncio.run(story())


def test_one_that_cannot_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    steps = Steps()

    async def story() -> None:
        with pytest.raises(DeviceFault, match="ballot box"):
            await open_database(tmp_path, builder=WithVotes(votes_model(steps, fails=True)))
        assert steps.taken == ["start", "stop", "close"]
        # The directory is free again.
        async with await open_database(tmp_path, builder=WithVotes(votes_model(Steps()))):
            pass

    asyncio.run(story())


def test_one_that_stands_on_the_face_for_programs_gets_it_before_the_member_starts() -> None:
    found: list[Ground] = []

    def attach(ground: Ground) -> Attached:
        found.append(ground)
        return Attached()

    async def story() -> None:
        model = DataModel(name="notes", attach=attach)
        async with await open_database(None, builder=WithVotes(model)):
            [ground] = found
            notes = ground.database().tree("notes")
            await notes.put(b"a", b"1")
            assert await notes.get(b"a") == b"1"
            assert ground.embedded.limits is DEFAULT_LIMITS

    asyncio.run(story())


def test_no_two_data_models_have_a_name_a_path_or_a_metric_in_common() -> None:
    names = [it.name for it in MODELS]
    paths = [path for it in MODELS for path in it.json_paths]
    metrics = [row.name for it in MODELS for row in it.figures]
    for found in (names, paths, metrics):
        assert len(found) == len(set(found))
    assert "etcd" in names
    trees = [name for it in MODELS for name in it.cluster_trees]
    assert sorted(trees) == ["$counters", "$etcd.alarms"]
    assert rpc_pb2.DESCRIPTOR in [schema for it in MODELS for schema in it.schemas]
