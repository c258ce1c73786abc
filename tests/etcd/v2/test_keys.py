"""Requests to keys, as clients see them: heads, heartbeats, bounds, and what fails elsewhere."""

import asyncio
from itertools import pairwise

import msgspec
import pytest

from roost import etcd
from roost.database.model import View
from roost.etcd.v2 import nodes
from roost.etcd.v2.json_text import PIECE_BYTES
from roost.etcd.v2.keys import HEARTBEAT_HEADER
from roost.etcd.v2.paths import PATH_BYTES_MAX
from roost.etcd.v2.reads import INLINE_COST
from roost.etcd.v2.values import Node
from roost.exchange import Answer, Streaming
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.v2.face import Face, json_of, whole


def test_an_answer_says_where_store_and_log_are() -> None:
    async def story() -> None:
        with Face() as face:
            answer = await face.ask("PUT", "/a", value="1")
            assert answer.headers == (
                (b"x-etcd-cluster-id", b"2"),
                (b"content-type", b"application/json"),
                (b"x-etcd-index", b"1"),
                (b"x-raft-index", b"%d" % face.replica.store.applied_index),
                (b"x-raft-term", b"2"),
            )
            answer = await face.ask("GET", "/b")
            assert answer.headers == (
                (b"x-etcd-cluster-id", b"2"),
                (b"x-etcd-index", b"1"),
                (b"content-type", b"application/json"),
            )

    run_virtually(story())


def test_who_waits_hears_a_newline_now_and_then() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        with Face(v2_heartbeat_s=10.0) as face:
            streaming = await face.watch("/a")
            began_s, pieces = loop.time(), aiter(streaming.pieces)
            assert [await anext(pieces) for _ in range(3)] == [b"\n"] * 3
            assert loop.time() - began_s == pytest.approx(30.0, abs=0.1)
            await face.ask("PUT", "/a", value="1")
            assert (await anext(pieces)).startswith(b'{"action":"set"')
            assert [it async for it in pieces] == []
            streaming.close()
            assert face.v2.hub.count == 0

    run_virtually(story())


@pytest.mark.parametrize("is_off", [True, False], ids=["by header", "by setting"])
def test_newlines_can_be_left_out(*, is_off: bool) -> None:
    async def story() -> None:
        headers = {HEARTBEAT_HEADER: b" OFF "} if is_off else {}
        with Face(v2_heartbeat_s=10.0 if is_off else 0.0) as face:
            streaming = await face.request("GET", "/v2/keys/a?wait=true", headers=headers)
            assert isinstance(streaming, Streaming)
            loop = asyncio.get_running_loop()
            loop.call_later(100.0, lambda: face.v2.hub.close(face.v2.hub.open_watchers[0]))
            assert [it async for it in streaming.pieces] == []
            assert loop.time() > 99.0

    run_virtually(story())


def test_a_stream_that_ends_early_says_why() -> None:
    async def story() -> None:
        with Face() as face:
            streaming = await face.watch("/a", stream="true")
            face.v2.on_rights_changed()
            pieces = [it async for it in streaming.pieces]
            assert b'"errorCode":110' in pieces[-1]

    run_virtually(story())


def test_the_head_of_a_watch_has_the_index_at_which_it_began() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("PUT", "/a", value="1")
            streaming = await face.watch("/a", waitIndex=1)
            assert (b"x-etcd-index", b"1") in streaming.headers
            await face.ask("PUT", "/a", value="2")
            assert b'"value":"1"' in await anext(aiter(streaming.pieces))

    run_virtually(story())


class Broken(Face):
    """A member that nobody answers."""

    def __init__(self) -> None:
        super().__init__()

        def never(*_asked: object) -> None:
            """Say nothing."""

        self.replica.transact_nowait = never  # type: ignore[method-assign,assignment]  # silent
        self.replica.read_nowait = never  # type: ignore[method-assign,assignment]  # silent


@pytest.mark.parametrize("asked", [("PUT", {}), ("GET", {"quorum": "true"})])
def test_a_request_that_nobody_answers_ends(asked: tuple[str, dict[str, str]]) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        with Broken() as face:
            answer = await face.ask(asked[0], "/a", **asked[1])
            assert answer.status == 500
            assert json_of(answer) == {
                "errorCode": 300,
                "message": "Raft Internal Error",
                "cause": "etcdserver: request timed out",
                "index": 0,
            }
            assert loop.time() == pytest.approx(etcd.Limits().v2_request_s, abs=0.1)
            # Without `quorum` it answers by itself.
            assert (await face.ask("GET", "/")).status == 200

    run_virtually(story())


def test_a_member_without_a_vote_reads_what_it_has_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        with Face() as face:
            monkeypatch.setattr(type(face.replica), "is_learner", property(lambda _: True))
            assert (await face.ask("GET", "/")).status == 200
            for method, form in (("PUT", {}), ("GET", {"quorum": "true"})):
                answer = await face.ask(method, "/a", **form)
                assert json_of(answer)["cause"] == "etcdserver: rpc not supported for learner"

    run_virtually(story())


def test_keys_and_requests_have_bounds() -> None:
    async def story() -> None:
        with Face(request_bytes_max=1000) as face:
            answer = await face.ask("PUT", "/" + "a" * PATH_BYTES_MAX, value="1")
            assert (answer.status, json_of(answer)["errorCode"]) == (400, 209)
            answer = await face.ask("PUT", "/a" * 129, value="1")
            assert (answer.status, json_of(answer)["errorCode"]) == (400, 209)
            answer = await face.ask("PUT", "/a", value="v" * 1000)
            assert json_of(answer)["cause"] == "etcdserver: request is too large"
            assert await face.tree() == {}

    run_virtually(story())


def test_what_is_no_key_is_not_found_and_a_broken_path_is_refused() -> None:
    async def story() -> None:
        with Face() as face:
            for target in ("/v2/keysx", "/v2/", "/v2/nothing"):
                answer = await face.request("GET", target)
                assert isinstance(answer, Answer)
                assert (answer.status, answer.body) == (404, b"404 page not found\n")
            answer = await face.request("GET", "/v2/keys/%zz")
            assert isinstance(answer, Answer)
            assert answer.status == 400
            answer = await face.request("GET", '/v2//keys/a?x="<')
            assert isinstance(answer, Answer)
            assert answer.body == b'<a href="/v2/keys/a?x=&quot;&lt;">Moved Permanently</a>.\n\n'

    run_virtually(story())


def test_reads_are_counted() -> None:
    async def story() -> None:
        with Face() as face:
            await face.ask("GET", "/")
            await face.ask("GET", "/nobody")
            await until_idle()
            assert (face.v2.counts.succeeded, face.v2.counts.failed) == (1, 1)

    run_virtually(story())


async def ask_in_pieces(face: Face, **form: str) -> Streaming:
    body = "&".join(f"{name}={value}" for name, value in form.items())
    answer = await face.request("PUT", "/v2/keys/a", body)
    assert isinstance(answer, Streaming)
    return answer


def test_what_is_long_is_answered_in_pieces_and_travels_as_it_is() -> None:
    """A value of 1.4 MB that JSON writes with six bytes each held the leader until it was none."""

    async def story() -> None:
        with Face() as face:
            ones, twos = "\x01" * 300_000, "\x02" * 300_000
            first = await ask_in_pieces(face, value=ones)
            assert first.status == 201
            assert json_of(await whole(first))["node"]["value"] == ones
            view, trees = face.replica.view, nodes.trees_of(face.replica.store)
            assert len(view.iterate(trees.events).__next__()[1]) < 300_100
            second = await ask_in_pieces(face, value=twos)
            assert second.status == 200
            pieces = [it async for it in second.pieces]
            assert max(map(len, pieces)) <= 8 * PIECE_BYTES
            told = msgspec.json.decode(b"".join(pieces))
            assert (told["node"]["value"], told["prevNode"]["value"]) == (twos, ones)
            wrong = await ask_in_pieces(face, prevValue=ones)
            assert wrong.status == 412
            assert json_of(await whole(wrong))["cause"] == f"[{ones} != {twos}]"
            watch = await face.watch("/a", waitIndex=2)
            pieces = [it async for it in watch.pieces]
            assert max(map(len, pieces)) <= 8 * PIECE_BYTES
            assert msgspec.json.decode(b"".join(pieces)) == told
            read = json_of(await face.ask("GET", "/a"))
            assert read["node"] == told["node"]
            silent = await face.request("PUT", "/v2/keys/a?noValueOnSuccess=true", f"value={ones}")
            assert isinstance(silent, Answer)
            assert silent.body == b'{"action":"set"}\n'

    run_virtually(story())


def test_long_answers_leave_the_loop_to_others_between_their_pieces() -> None:
    async def story() -> None:
        with Face() as face:
            answers = [await ask_in_pieces(face, value="\x01" * 300_000) for _ in range(3)]
            turn, steps = 0, dict[int, int]()

            def next_turn() -> None:
                nonlocal turn
                turn += 1
                if not done.done():
                    asyncio.get_running_loop().call_soon(next_turn)

            async def take(answer: Streaming) -> None:
                async for _ in answer.pieces:
                    steps[turn] = steps.get(turn, 0) + 1

            done = asyncio.gather(*(take(it) for it in answers))
            next_turn()
            await done
            assert sum(steps.values()) > 150
            # The first piece of each is made at once.
            assert max(steps.values()) <= 1 + len(answers)

    run_virtually(story())


def test_ways_that_end_shortly_before_their_key_are_looked_along_a_few_in_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To say where one ends, each directory on it is looked for: 50 of 120 took 10 ms."""
    looked: list[bytes] = []
    get = nodes.get

    def counted(trees: nodes.Trees, view: View, path: bytes) -> Node | None:
        looked.append(path)
        return get(trees, view, path)

    async def story() -> None:
        with Face() as face:
            way = "/a" * 100
            await face.ask("PUT", f"{way}/b", value="1")
            monkeypatch.setattr(nodes, "get", counted)
            asked = [asyncio.ensure_future(face.ask("GET", f"{way}/c")) for _ in range(50)]
            turns = [0]
            while not all(it.done() for it in asked):
                await asyncio.sleep(0)
                turns.append(len(looked))
            steps = [after - before for before, after in pairwise(turns)]
            assert max(steps) <= INLINE_COST + 2 * 102
            assert [json_of(await it)["errorCode"] for it in asked] == [100] * 50

    run_virtually(story())
