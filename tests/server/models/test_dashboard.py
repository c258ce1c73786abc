"""The dashboard on a port: the page, what the member says of itself, and who may hear it."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from roost import aio
from roost.dashboard import Sending
from roost.figures import Family, Sample
from roost.histogram import Histogram
from roost.member import Member
from roost.server.figures import FIGURES
from roost.server.models.dashboard import GRAPHED, graphed, sendings
from roost.testing.ports import free_ports
from tests.server.models.test_model import ask


async def said(port: int, path: str) -> Any:
    """What a page says."""
    status, body = await ask(port, "GET", path)
    assert status == 200, body
    return json.loads(body)


async def call(port: int, path: str, body: object) -> Any:
    """A call as JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode()
    head = f"POST /v3/{path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    answer = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    await writer.wait_closed()
    return json.loads(answer)


async def first_event(port: int) -> dict[str, Any]:
    """What a viewer sees first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /dashboard/events HTTP/1.1\r\nhost: here\r\n\r\n")
    await reader.readuntil(b"data: ")
    state: dict[str, Any] = json.loads(await reader.readuntil(b"\n"))
    writer.close()
    await writer.wait_closed()
    return state


def test_a_member_serves_its_page_and_says_how_it_is() -> None:
    async def story() -> None:
        [port] = free_ports(1)
        async with await aio.open(None) as db:
            await db.serve([f"http://127.0.0.1:{port}"])
            for _ in range(3):
                await call(port, "kv/put", {"key": "YQ==", "value": "YQ=="})
            assert (await ask(port, "GET", "/dashboard/"))[0] == 200
            assert (await ask(port, "GET", "/mod/dashboard/"))[0] == 301
            state = await said(port, "/dashboard/cluster")
            [row] = state["members"]
            facts = row["facts"]
            assert (facts["role"], facts["leader"]) == ("leader", state["here"])
            assert facts["figures"]["etcd_mvcc_put_total"] == 3
            assert facts["figures"]["etcd_disk_wal_fsync_duration_seconds_count"] > 0
            assert facts["applied_index"] == facts["commit_index"] > 0
            assert facts["db_bytes"] > 0
            assert facts["disk_free_bytes"] > 0
            assert (row["lag_entries"], row["is_here"], state["alarms"]) == (0, True, [])
            settings = {it["name"]: it for it in await said(port, "/dashboard/settings")}
            assert settings["max-txn-ops"]["is_default"]
            # A commit is no news, and costs nobody anything while nobody asks for it.
            assert not db._embedded.member.news.is_heard
            state = await first_event(port)
            assert " leads in term " in state["happenings"][-1]["text"]

    asyncio.run(story())


def test_alarms_are_shown_with_their_member() -> None:
    async def story() -> None:
        [port] = free_ports(1)
        async with await aio.open(None) as db:
            await db.serve([f"http://127.0.0.1:{port}"])
            raised = {"action": "ACTIVATE", "memberID": "171", "alarm": "NOSPACE"}
            await call(port, "maintenance/alarm", raised)
            state = await said(port, "/dashboard/cluster")
            assert state["alarms"] == [{"member": "ab", "alarm": "NOSPACE"}]

    asyncio.run(story())


def test_who_may_not_ask_for_a_status_may_not_look() -> None:
    async def story() -> None:
        [port] = free_ports(1)
        async with await aio.open(None) as db:
            await db.serve([f"http://127.0.0.1:{port}"])
            for path, body in (
                ("auth/user/add", {"name": "root", "password": "x"}),
                ("auth/user/grant", {"user": "root", "role": "root"}),
                ("auth/enable", {}),
            ):
                await call(port, path, body)
            for path in ("/dashboard/cluster", "/dashboard/events", "/dashboard/settings"):
                status, _ = await ask(port, "GET", path)
                assert status == 401
            assert (await ask(port, "GET", "/dashboard/main.js"))[0] == 200

    asyncio.run(story())


def test_figures_of_graphs_are_sums_of_their_labels() -> None:
    times = Histogram()
    times.note(0.5)
    times.note(0.25)
    labelled = [Sample(2, (("to", "a"),)), Sample(3, (("to", "b"),))]
    found = graphed(
        [
            Family("etcd_mvcc_put_total", "counter", "", labelled),
            Family("roost_loop_turn_seconds", "histogram", "", [Sample(times)]),
            Family("another", "gauge", "", [Sample(1)]),
        ]
    )
    assert found == {
        "etcd_mvcc_put_total": 5,
        "roost_loop_turn_seconds_sum": 0.75,
        "roost_loop_turn_seconds_count": 2,
    }


def test_what_graphs_are_drawn_of_is_there() -> None:
    assert {it.name for it in FIGURES} >= GRAPHED


def test_copies_on_their_way_are_told_with_whom_they_are_for() -> None:
    under_way = SimpleNamespace(
        member_id=0x2A, is_joining=True, sent_bytes=1, total_bytes=2, seconds=0.5
    )
    member = SimpleNamespace(snapshots=SimpleNamespace(sendings=[under_way]))
    told = Sending(member="2a", is_joining=True, sent_bytes=1, total_bytes=2, seconds=0.5)
    assert sendings(cast("Member", member)) == (told,)
