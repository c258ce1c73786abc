"""Counters over HTTP: what is asked, what is answered, and what is told to those who watch."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.call import Caller
from roost.counters import forms
from roost.counters.errors import BadChange, BadCounterRequest
from roost.counters.interface import Interface
from roost.counters.ports import Options
from roost.counters.requests import CHANGES_MAX, Limits
from roost.counters.rights import Needed
from roost.counters.watching import HEARTBEAT_S, WATCHERS_MAX, Hub
from roost.errors import ModelRefused, RoostError
from roost.exchange import Answer, Request, Streaming
from roost.flow import OWN, Flow
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting
from tests.steps import Steps, slices_of


class Somebody:
    """Who asks."""

    token = certificate_name = address = ""
    flow: Flow = OWN


class Rights:
    """Everybody may do everything; what was needed is kept."""

    def __init__(self) -> None:
        self.needed: list[Needed] = []
        self.refuses = False

    def admit(
        self,
        caller: Caller,
        needed: Needed,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
    ) -> None:
        assert caller.token == ""
        self.needed.append(needed)
        if self.refuses:
            refused(ModelRefused(7, "etcdserver: permission denied"))
        else:
            allowed()


async def ask(
    interface: Interface, method: str, target: str, body: Any = None, **headers: str
) -> Answer | Streaming:
    path, _, query = target.partition("?")
    return await interface.answer(
        Request(
            method=method,
            raw_path=path.encode(),
            query=query.encode(),
            caller=Somebody(),
            headers={name.replace("_", "-").encode(): it.encode() for name, it in headers.items()},
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        )
    )


async def said(
    interface: Interface, method: str, target: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    """Status, and what the body says."""
    answer = await ask(interface, method, target, body, **headers)
    assert isinstance(answer, Answer)
    assert (b"content-type", b"application/json") in answer.headers or answer.status in (404, 405)
    return answer.status, json.loads(answer.body) if b"{" in answer.body else answer.body


async def increment(interface: Interface, changes: Any, **headers: str) -> tuple[int, Any]:
    return await said(interface, "POST", "/counters/increment", changes, **headers)


def interface_of(cluster: CountingCluster, rights: Rights) -> Interface:
    """What answers requests to the first member."""
    desk = cluster.desk(0)
    return Interface(desk, rights, Hub(desk), cluster.operators(0))


Story = Callable[[CountingCluster, Interface, Rights], Awaitable[None]]


def run_alone(root: Path, story: Story) -> None:
    """A member alone, and its interface."""

    async def main(cluster: CountingCluster) -> None:
        rights = Rights()
        await story(cluster, interface_of(cluster, rights), rights)

    run_counting(root, main, size=1)


def test_counters_are_changed_and_read(tmp_path: Path) -> None:
    async def story(_: CountingCluster, here: Interface, rights: Rights) -> None:
        changes = [["users/1/visits", 43], {"name": "users/1/posts", "change": 3}, ["x"]]
        assert await increment(here, [*changes, {"name": "x"}]) == (
            200,
            {"users/1/visits": 43, "users/1/posts": 3, "x": 2},
        )
        assert rights.needed[-1].keys == [
            b"counters/users/1/visits", b"counters/users/1/posts", b"counters/x", b"counters/x",
        ]  # fmt: skip
        assert rights.needed[-1].is_write
        # As in the founding document: the second name is bare.
        target = "/counters/read?id=users/1/visits&users/1/posts&id=no%C3%A4&a+b"
        answer = await ask(here, "GET", target)
        assert isinstance(answer, Answer)
        assert json.loads(answer.body) == {
            "users/1/visits": 43, "users/1/posts": 3, "noä": 0, "a b": 0,
        }  # fmt: skip
        assert dict(answer.headers)[b"x-roost-missing"] == b"no%C3%A4,a%20b"
        assert [it.is_write for it in rights.needed[-1:]] == [False]
        assert await said(here, "GET", "/counters/read?id=x&id=y&missing=null") == (
            200,
            {"x": 2, "y": None},
        )
        assert await said(here, "GET", "/counters/read?id=x&raw=true") == (200, {"x": {"m0": 2}})
        assert await said(here, "DELETE", "/counters/users/1/posts") == (
            200,
            {"name": "users/1/posts", "value": 3},
        )
        assert (await said(here, "DELETE", "/counters/users/1/posts"))[0] == 404

    run_alone(tmp_path, story)


def test_an_operator_says_how_much_a_request_may_be_and_how_many_are_known_again(
    tmp_path: Path,
) -> None:
    async def story(cluster: CountingCluster, _: Interface, rights: Rights) -> None:
        limits = Limits(changes_max=2, count_max=2, age_s=60.0)
        cluster.options["m0"] = Options(limits=limits)
        await cluster.stop(0)
        await cluster.start(0)
        here = interface_of(cluster, rights)
        assert await increment(here, [["a", 1], ["b", 1]]) == (200, {"a": 1, "b": 1})
        for asked in (
            increment(here, [["a", 1]] * 3),
            said(here, "GET", "/counters/read?a&b&c"),
        ):
            status, answer = await asked
            assert (status, "2" in answer["message"]) == (400, True)
        for key in ("one", "two", "three"):
            await increment(here, [["c", 1]], idempotency_key=key)
        assert await increment(here, [["c", 1]], idempotency_key="three") == (200, {"c": 3})
        status, answer = await increment(here, [["c", 1]], idempotency_key="")
        assert (status, "key is empty" in answer["message"]) == (400, True)
        assert await increment(here, [["c", 1]], idempotency_key="one") == (200, {"c": 4})
        await pass_time(61.0)
        for _it in range(2):
            await increment(here, [["d", 1]], idempotency_key=f"late {_it}")
        assert await increment(here, [["c", 1]], idempotency_key="one") == (200, {"c": 5})

    run_alone(tmp_path, story)


def test_what_cannot_be_asked_is_refused_by_name(tmp_path: Path) -> None:
    async def story(_: CountingCluster, here: Interface, rights: Rights) -> None:
        async def code(method: str, target: str, body: Any = None, **headers: str) -> Any:
            status, answer = await said(here, method, target, body, **headers)
            return status, answer["code"]

        wrong: object
        for wrong in (
            b"", b"{", b"{}", [], [[]], [["a", 1, 2]], [["a", 1.5]], [["a", True]], [[1, 1]],
            [{"name": "a", "by": 1}], [{"change": 1}], "a", [None],
        ):  # fmt: skip
            assert await code("POST", "/counters/increment", wrong) == (400, "BadCounterRequest")
        many = [["a", 1]] * (CHANGES_MAX + 1)
        assert await code("POST", "/counters/increment", many) == (400, "BadChange")
        assert await code("POST", "/counters/increment", [["a", 1 << 63]]) == (400, "BadChange")
        status, answer = await increment(here, [["a", 1], ["b\n", 1]])
        assert (status, answer["code"], answer["position"]) == (400, "BadCounterName", 1)
        assert await increment(here, [["full", (1 << 63) - 1]]) == (200, {"full": (1 << 63) - 1})
        overflow = [["a", 1], ["full", 1]]
        assert await code("POST", "/counters/increment", overflow) == (409, "CounterOverflow")
        assert await said(here, "GET", "/counters/read?id=a") == (200, {"a": 0})
        for query in ("", "id=a&x=y", "id=%ff", "raw=maybe&id=a"):
            wrong_read = await code("GET", f"/counters/read?{query}")
            assert wrong_read == (400, "BadCounterRequest"), query
        for query in ("limit=0", "limit=x", "prefix", "by=name", "limit=" + "9" * 30):
            wrong_list = await code("GET", f"/counters?{query}")
            assert wrong_list == (400, "BadCounterRequest"), query
        assert (await said(here, "GET", "/counters/increment"))[0] == 405
        assert (await said(here, "GET", "/counters/nothing"))[0] == 404
        rights.refuses = True
        assert await code("POST", "/counters/increment", [["a", 1]]) == (403, "ModelRefused")

    run_alone(tmp_path, story)


def test_a_retry_is_answered_and_counts_nothing(tmp_path: Path) -> None:
    async def story(_: CountingCluster, here: Interface, __: Rights) -> None:
        for _it in range(3):
            assert await increment(here, [["a", 5]], idempotency_key="k") == (200, {"a": 5})
        status, answer = await increment(here, [["a", 6]], idempotency_key="k")
        assert (status, answer["code"]) == (422, "KeyReused")
        deleted = (200, {"name": "a", "value": 5})
        for _it in range(2):
            assert await said(here, "DELETE", "/counters/a", idempotency_key="d") == deleted

    run_alone(tmp_path, story)


def test_counters_are_listed_in_pages_and_as_a_stream(tmp_path: Path) -> None:
    async def story(_: CountingCluster, here: Interface, rights: Rights) -> None:
        names = [f"n{it:04}" for it in range(1500)]
        await increment(here, [[it, 7] for it in names])
        await increment(here, [['with "quotes", and a comma', 1], ["o", 1]])
        found: dict[str, int] = {}
        after: str | None = ""
        pages = 0
        while after is not None:
            status, answer = await said(here, "GET", f"/counters?prefix=n&after={after}&limit=400")
            assert status == 200
            found |= answer["counters"]
            after, pages = answer["after"], pages + 1
        assert (list(found), pages) == (names, 4)
        assert rights.needed[-1].prefix == b"counters/n"
        streamed = await ask(here, "GET", "/counters?prefix=n", accept="application/x-ndjson")
        assert isinstance(streamed, Streaming)
        lines = b"".join([it async for it in streamed.pieces]).splitlines()
        assert [json.loads(it)["name"] for it in lines] == names
        table = await ask(here, "GET", "/counters?prefix=w", accept="text/csv")
        assert isinstance(table, Streaming)
        rows = b"".join([it async for it in table.pieces])
        assert rows == b'"with ""quotes"", and a comma",1\r\n'

    run_alone(tmp_path, story)


async def heard(pieces: AsyncIterator[bytes], count: int) -> dict[str, int | None]:
    """The next totals that a stream tells."""
    found: dict[str, int | None] = {}
    while len(found) < count:
        for line in (await anext(pieces)).splitlines():
            if line.startswith(b"data: "):
                found |= json.loads(line[6:])
    return found


def test_who_watches_hears_totals_that_change(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster, here: Interface, _: Rights) -> None:
        await increment(here, [["users/1", 1], ["other", 1]])
        watch = await ask(here, "GET", "/counters/watch?prefix=users/")
        assert isinstance(watch, Streaming)
        pieces = aiter(watch.pieces)
        assert (await anext(pieces)).startswith(b":")
        for _it in range(5):
            await increment(here, [["users/1", 1], ["users/2", 5], ["other", 1]])
        assert await heard(pieces, 2) == {"users/1": 6, "users/2": 25}
        await said(here, "DELETE", "/counters/users/2")
        assert await heard(pieces, 1) == {"users/2": None}
        began_s = cluster.at(0).around.clock_s()
        assert await anext(pieces) == b":\n\n"
        assert cluster.at(0).around.clock_s() - began_s == pytest.approx(HEARTBEAT_S, rel=0.2)
        watch.close()
        assert [it async for it in pieces] == []
        # Whoever comes back hears all.
        again = await ask(here, "GET", "/counters/watch?prefix=", last_event_id="3")
        assert isinstance(again, Streaming)
        assert await heard(aiter(again.pieces), 2) == {"users/1": 6, "other": 6}
        here._hub.close()
        assert [it async for it in again.pieces] == []

    run_alone(tmp_path, story)


def test_changes_of_thousands_are_read_in_steps() -> None:
    """Issue 14: ten thousand were looked at in one."""
    said = [["a", 1], {"name": "b"}] * (CHANGES_MAX // 2)
    counts, changes = slices_of(forms.read_changes(json.dumps(said).encode(), CHANGES_MAX))
    assert changes == [("a", 1), ("b", 1)] * (CHANGES_MAX // 2)
    assert max(counts) < 25 * forms.CHANGES_A_STEP
    query = b"&".join([b"a"] * 5 * CHANGES_MAX)
    with Steps() as steps, pytest.raises(BadCounterRequest, match="too many names"):
        next(forms.read_reading(query, CHANGES_MAX))
    assert steps.count < 20
    counts, asked = slices_of(forms.read_reading(b"&".join([b"a%20b"] * CHANGES_MAX), CHANGES_MAX))
    assert asked.names == ["a b"] * CHANGES_MAX
    assert max(counts) < 25 * forms.CHANGES_A_STEP


def test_what_has_far_too_many_changes_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 14: a megabyte of empty lists was decoded in 20 ms, to be refused for how many."""
    named = json.dumps([["a", 1]] * (CHANGES_MAX + 1)).encode()
    texts = b"[" + b'"",' * 300_000 + b'""]'
    monkeypatch.delattr(msgspec.json, "decode")
    for body in (b"[" + b"[]," * 350_000 + b"[]]", named, texts):
        with pytest.raises(BadChange, match=f"more than {CHANGES_MAX} changes"):
            slices_of(forms.read_changes(body, CHANGES_MAX))


@pytest.mark.parametrize(
    "name", ["a,b," * 8, ',"' * 9, ',\\"' * 9, "," * 9 + "\\", "," * 9 + '\\\\"']
)
def test_what_stands_in_a_name_is_no_change(name: str) -> None:
    """A full request was refused for the commas in its names, as if it had too many changes."""
    asked: list[Any] = [[name, 1], {"name": name, "change": 1}] * 50
    found = slices_of(forms.read_changes(json.dumps(asked).encode(), 100))[1]
    assert found == [(name, 1)] * 100
    for more in ([[name, 1]], [[name, 1]] * 100):
        with pytest.raises(BadChange, match=r"1\d\d changes|more than 100 changes"):
            slices_of(forms.read_changes(json.dumps([*asked, *more]).encode(), 100))


def drained(steps: Generator[None, None, list[tuple[str, int]]]) -> list[tuple[str, int]]:
    """What came of it, after all steps."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        found: list[tuple[str, int]] = end.value
        return found


@given(
    st.lists(st.text(st.sampled_from(list('a,"\\ü')), max_size=12), min_size=30, max_size=40),
    st.integers(1, 99),
)
def test_values_are_counted_alike_however_a_body_is_cut(names: list[str], look_bytes: int) -> None:
    said = [(f"{it}.", 1) for it in names]
    body = json.dumps(said, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forms, "_LOOK_BYTES", look_bytes)
        assert drained(forms.read_changes(body, len(said))) == said
        with pytest.raises(BadChange):
            drained(forms.read_changes(body, len(said) - 1))


def test_a_body_of_quotes_is_looked_at_in_steps() -> None:
    """A megabyte was looked at in one step of 130 ms."""
    steps = forms.read_changes(b'["' + b'\\",' * 300_000 + b'"]', CHANGES_MAX)
    next(steps)
    next(steps)
    with pytest.raises(BadChange, match="more than"):
        drained(forms.read_changes(b"[" + b'",' * 500_000, CHANGES_MAX))


def test_only_so_many_watch(tmp_path: Path) -> None:
    async def story(_: CountingCluster, here: Interface, __: Rights) -> None:
        for _it in range(WATCHERS_MAX):
            here._hub.watch("", has_missed=False)
        status, answer = await said(here, "GET", "/counters/watch")
        assert (status, answer["code"]) == (503, "Overloaded")

    run_alone(tmp_path, story)


def test_operators_see_who_counts_and_how_far_links_are(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        here = interface_of(cluster, Rights())
        status, answer = await said(here, "GET", "/counters/stats")
        assert (status, answer["state"]) == (200, "absent")
        assert await said(here, "GET", "/counters/links") == (200, {"links": [], "decided": []})
        await increment(here, [["a", 1]])
        await cluster.until_known()
        await cluster.until_all_read({"a": 1})
        cluster.isolate(2)
        await increment(here, [["a", 1], ["b", 1]])
        await cluster.until(lambda: cluster.read(1, ["b"]) == [1])
        _, links = await said(here, "GET", "/counters/links")
        backlogs = {it["name"]: it["backlog"] for it in links["links"]}
        assert backlogs["m2"] == 2
        _, answer = await said(here, "GET", "/counters/stats")
        assert (answer["state"], answer["phase"], answer["counters"]) == ("open", "ready", 2)
        _, answer = await said(here, "GET", "/counters/topology")
        assert {it["name"]: it["ready"] for it in answer["nodes"]} == dict.fromkeys(
            ("m0", "m1", "m2"), True
        )
        assert all(it["client_urls"] for it in answer["nodes"])
        assert (await said(here, "POST", "/counters/ready"))[0] == 200

    run_counting(tmp_path, story)
