"""Requests over HTTP as they are answered: forms, faults and their statuses, streams."""

import csv
import gzip
import io
import json
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from roost.call import Code
from roost.errors import ModelRefused, NoLeader, OutcomeUnknown, Overloaded
from roost.exchange import Answer, BodyCut, Request, Streaming
from roost.series import parts, writing
from roost.series.asked import refusal
from roost.series.engine import Engine
from roost.series.errors import SeriesDamaged
from roost.series.intake import Points
from roost.series.interface import Interface
from tests.database.databases import Databases, with_databases
from tests.fuzz.mutation import mutate

pytestmark = pytest.mark.slow
BEGIN = 1_700_000_000


class _Caller:
    token = certificate_name = address = ""
    flow = ("", 0)


class Asked:
    """An interface, and what it answers."""

    def __init__(self, engine: Engine) -> None:
        self.admitted: list[bool] = []
        self.refuses: Exception | None = None
        self.engine = engine
        self.interface = Interface(engine, self._admit)

    async def _admit(self, _caller: object, writes: bool) -> None:  # noqa: FBT001 - as it is called
        self.admitted.append(writes)
        if self.refuses is not None:
            raise self.refuses

    def request(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Request:
        path, _, query = target.partition("?")
        named = {it.replace("_", "-").encode(): text.encode() for it, text in headers.items()}
        return Request(method=method, raw_path=path.encode(), query=query.encode(),
                       caller=_Caller(), headers=named, body=body)  # type: ignore[arg-type]  # enough of one  # fmt: skip

    async def raw(
        self, method: str, target: str, body: bytes = b"", **headers: str
    ) -> tuple[int, bytes]:
        answer = await self.interface.answer(self.request(method, target, body, headers))
        if isinstance(answer, Answer):
            return answer.status, answer.body
        found = b"".join([it async for it in answer.pieces])
        answer.close()
        return 200, found

    async def __call__(self, method: str, target: str, body: Any = b"", **headers: str) -> Any:
        """The status, or what was answered when all is well."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, said = await self.raw(method, target, data, **headers)
        if status == 204:
            return None
        return json.loads(said) if status == 200 else (status, json.loads(said or b"{}"))

    async def stream(
        self, target: str, pieces: AsyncIterator[bytes], **headers: str
    ) -> list[dict[str, Any]]:
        answer = await self.interface.flow(self.request("POST", target, b"", headers), pieces)
        if isinstance(answer, Answer):
            return [json.loads(answer.body)]
        assert isinstance(answer, Streaming)
        return [json.loads(it) async for it in answer.pieces]


def with_interface(root: Path, story: Callable[[Asked], Awaitable[None]]) -> None:
    async def alone(cluster: Databases) -> None:
        asked = Asked(Engine(cluster.databases[0]))
        await story(asked)
        await asked.interface.close()

    with_databases(root, alone, size=1)


def test_lines_are_points_and_windows_are_asked_in_json_and_csv(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        body = b"\n".join(b"m,host=a f=%d %d" % (it, BEGIN + 60 * it) for it in range(120))
        assert await ask("POST", "/write?db=x&precision=s", body) is None
        said = await ask("GET", f"/series/query?name=m.f&start={BEGIN}&end={BEGIN + 7200}"
                         "&precision=s&window=1h&agg=count,max&agg=p50")  # fmt: skip
        assert said == {"series": [{"name": "m.f{host=a}", "labels": {"host": "a"},
            "columns": ["time", "count", "max", "p50"],
            "rows": [[1699999200, 47, 46.0, 23.0], [1700002800, 60, 106.0, 76.5],
                     [1700006400, 13, 119.0, 113.0]]}]}  # fmt: skip
        _, text = await ask.raw("GET", "/series/query?name=m.f&format=csv")
        rows = list(csv.reader(io.StringIO(text.decode())))
        assert rows[:2] == [["series", "time", "value"],
                            ["m.f{host=a}", "2023-11-14T22:13:20Z", "0.0"]]  # fmt: skip
        assert len(rows) == 121
        _, text = await ask.raw(
            "GET", "/series/query?name=m.f&window=1d&agg=mean", accept="text/csv"
        )
        assert text.startswith(b"series,time,mean\r\n")
        assert (await ask("GET", "/series/query?name=none"))["series"] == []
        assert (await ask("GET", "/series/query?name=none&window=1d"))["series"] == []
        assert (await ask.raw("GET", "/series/query?name=none&format=csv"))[1] == b"series,time\r\n"
        found = await ask("GET", "/series/query?name=m.f&points=10&agg=count")
        assert sum(row[1] for row in found["series"][0]["rows"]) == 120
        assert len(found["series"][0]["rows"]) <= 11

    with_interface(tmp_path, story)


def test_long_answers_come_in_pieces_and_each_series_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "STEP_CELLS", 14)

    async def story(ask: Asked) -> None:
        body = b"\n".join(b"m f=%d,g=nan" % it if it < 0 else b"m f=%d,g=1 %d" % (it, it)
                          for it in range(40))  # fmt: skip
        await ask("POST", "/write", body)
        said = await ask("GET", "/series/query?name=m.f&name=m.g&precision=ns")
        assert [len(it["rows"]) for it in said["series"]] == [40, 40]
        assert said["series"][0]["rows"][-1] == [39, 39.0]
        _, text = await ask.raw("GET", "/series/query?name=m.f&name=m.g&precision=ns&format=csv")
        assert len(text.splitlines()) == 81

    with_interface(tmp_path, story)


def test_a_list_has_last_values_where_they_are_asked_for(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        await ask("POST", "/write?precision=s", b"a f=1 1\na f=2 2\nb f=3 3")
        page = await ask("GET", "/series")
        assert not any("value" in it for it in page["series"])
        page = await ask("GET", "/series?values=true")
        assert [it["value"] for it in page["series"]] == [2.0, 3.0]

    with_interface(tmp_path, story)


def test_lists_last_values_tags_rules_and_deletions(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        await ask("POST", "/write?precision=s", b"a f=1 1\na f=2 2\nb f=3 3\nc,k=v f=4 4")
        page = await ask("GET", "/series?limit=2&counts=true")
        assert [(it["name"], it["points"], it["first"]) for it in page["series"]] == [
            ("a.f", 2, "1970-01-01T00:00:01Z"), ("b.f", 1, "1970-01-01T00:00:03Z")
        ]  # fmt: skip
        page = await ask("GET", "/series?" + "after=" + quote(page["after"]))
        assert [it["name"] for it in page["series"]] == ["c.f{k=v}"]
        assert "after" not in page
        page = await ask("GET", "/series?prefix=b")
        assert [it["name"] for it in page["series"]] == ["b.f"]
        said = await ask("POST", "/series/tags", {"name": "a.f", "add": ["temp:C", "room=1"]})
        assert said["tags"] == {"temp": "C", "room": "1"}
        page = await ask("GET", "/series?tag=temp:C")
        assert [it["name"] for it in page["series"]] == ["a.f"]
        last = await ask("GET", "/series/last?tag=temp:C&name=a.f&precision=s")
        assert [(it["time"], it["value"]) for it in last["series"]] == [(2, 2.0)]
        gone = await ask("GET", "/series/query?tag=temp:C&tag=room=1&precision=s")
        assert gone["series"][0]["rows"] == [[1, 1.0], [2, 2.0]]
        await ask("POST", "/series/tags", {"name": "a.f", "remove": ["temp:C"]})
        assert (await ask("GET", "/series/last?tag=temp:C"))["series"] == []

        # Of two points of one time the later counts, or the higher where that is said; before, too.
        for which, held in (("max", 9.0), ("last", 1.0)):
            name = f"dedup.{which}"
            said = await ask("PUT", "/series/dedup", {"series": name, "dedup": which})
            assert (said["name"], said.get("dedup")) == (name, "max" if which == "max" else None)
            for value in (5, 9, 1):
                await ask("POST", "/write?precision=s", f"dedup {which}={value} 7".encode())
            rows = (await ask("GET", f"/series/query?name={name}"))["series"][0]["rows"]
            assert [value for _time, value in rows] == [held]
            days = await ask("GET", f"/series/query?name={name}&window=1d&agg=sum,count")
            assert days["series"][0]["rows"][0][1:] == [held, 1]
            await ask("DELETE", f"/series/{name}")

        await ask("PUT", "/series/retention", {"series": "c.f{k=v}", "keep": "30d"})
        await ask("PUT", "/series/retention", {"tag": "room=1", "keep": "1h"})
        rules = (await ask("GET", "/series/retention"))["rules"]
        assert rules == [{"series": "c.f{k=v}", "keep_s": 2592000.0},
                         {"tag": "room=1", "keep_s": 3600.0}]  # fmt: skip
        await ask("PUT", "/series/retention", {"tag": "room=1", "keep": None})
        assert len((await ask("GET", "/series/retention"))["rules"]) == 1
        for sums, said_s in (("4w", 2419200.0), ("forever", None), ("1h", "same")):
            rule = {"tag": "room=1", "keep": "1h", "sums": sums}
            await ask("PUT", "/series/retention", rule)
            found = (await ask("GET", "/series/retention"))["rules"][1]
            assert found.get("sums_s", "same") == said_s
        await ask("PUT", "/series/retention", {"tag": "room=1", "keep": None})

        target = "/series/points?name=a.f&start=0&end=2&precision=s"
        assert await ask("DELETE", target + "&dry_run=true") == {"would_delete": 1, "series": 1}
        assert len((await ask("GET", "/series/query?name=a.f"))["series"][0]["rows"]) == 2
        assert await ask("DELETE", target) == {"deleted": 1, "series": 1}
        assert len((await ask("GET", "/series/query?name=a.f"))["series"][0]["rows"]) == 1
        assert await ask("DELETE", "/series/c.f%7Bk%3Dv%7D") == {"deleted": "c.f{k=v}"}
        assert (await ask("DELETE", "/series/c.f%7Bk%3Dv%7D"))[0] == 404
        assert (await ask("GET", "/series/stats"))["series_made"] == 5

    with_interface(tmp_path, story)


def test_a_part_of_a_body_is_taken_and_the_rest_is_told(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        status, said = await ask("POST", "/api/v2/write", b'a f=1 1\nnonsense\na s="x",f=2 2')
        assert status == 400
        assert (said["code"], said["line"], said["written"], said["refused"]) == (
            "invalid",
            2,
            2,
            1,
        )
        assert "dropped=1" in said["error"]
        answer = await ask.interface.answer(ask.request("POST", "/write", b'a s="x",f=2 2', {}))
        assert isinstance(answer, Answer)
        assert answer.headers == ((b"x-roost-text-fields-left-out", b"1"),)
        packed = gzip.compress(b"z f=1 1\n" * 10_000)
        assert await ask("POST", "/write", packed, content_encoding="gzip") is None
        # As `cat` puts them together; what was behind the first one was passed over.
        several = packed + gzip.compress(b"zz f=7 1\n")
        assert await ask("POST", "/write", several, content_encoding="gzip") is None
        found = await ask("GET", "/series/last?name=zz.f")
        assert found["series"][0]["value"] == 7.0
        assert await ask("POST", "/write", b"") is None

    with_interface(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "/series/query", b"", 400),
        ("GET", "/series/query?name=a&wndow=1h", b"", 400),
        ("GET", "/series/query?name=a&window=1x", b"", 400),
        ("GET", "/series/query?name=a&agg=most&window=1h", b"", 400),
        ("GET", "/series/query?name=a&agg=max", b"", 400),
        ("GET", "/series/query?name=a&start=5&end=5", b"", 400),
        ("GET", "/series/query?name=a&tz=Mars/Base&window=1d", b"", 400),
        ("GET", "/series/query?name=a&format=xml", b"", 400),
        ("GET", "/series/query?name=a&fill=up&window=1h", b"", 400),
        ("GET", "/series/query?name=a&points=0", b"", 400),
        ("GET", "/series/query?name=%ff", b"", 400),
        ("GET", "/series/query?name=a&precision=day", b"", 400),
        ("GET", "/series/query?tag=nothing", b"", 400),
        ("GET", "/series/last", b"", 400),
        ("GET", "/series?limit=x", b"", 400),
        ("GET", "/series?limit=000000000001" + "9" * 9, b"", 400),
        ("GET", "/series?counts=maybe", b"", 400),
        ("GET", "/series?format=csv", b"", 400),
        ("DELETE", "/series/points?name=a", b"", 400),
        ("DELETE", "/series/points?start=0&end=1", b"", 400),
        ("DELETE", "/series/none", b"", 404),
        ("POST", "/series/tags", b"{", 400),
        ("POST", "/series/tags", b'{"name":"\xff"}', 400),
        ("POST", "/series/tags", b'{"name":"none"}', 404),
        ("POST", "/series/tags", b'{"name":"a","other":1}', 400),
        ("POST", "/series/tags", b'{"name":"a","add":["a=b"' + b',"a=b"' * 64 + b"]}", 400),
        ("PUT", "/series/notes", b'{"series":"a","note":"' + b"x" * (1 << 20) + b'"}', 400),
        ("GET", "/series/query?name=a&tag=a=b" + "&tag=a=b" * 64, b"", 400),
        ("GET", "/series/query?name=a&points=9&agg=p5" + ",p5" * 32, b"", 400),
        ("PUT", "/series/dedup", b'{"series":"a","dedup":"least"}', 400),
        ("PUT", "/series/dedup", b'{"series":"","dedup":"max"}', 400),
        ("PUT", "/series/retention", b'{"keep":"1h"}', 400),
        ("PUT", "/series/retention", b'{"keep":"1h","tag":"a=b","sums":"1m"}', 400),
        ("PUT", "/series/retention", b'{"keep":"1h","tag":"a=b","sums":"long"}', 400),
        ("PUT", "/series/retention", b'{"keep":null,"tag":"a=b","sums":"1d"}', 400),
        ("PUT", "/series/retention", b'{"keep":"1mo","tag":"a=b"}', 400),
        ("PUT", "/series/nothing", b"", 404),
        ("PUT", "/series/query", b"", 405),
        ("GET", "/write", b"", 405),
        ("POST", "/write?precision=year", b"", 400),
        ("POST", "/write?dbb=x", b"", 400),
    ],
)
def test_what_cannot_be_answered_is_told_why(
    tmp_path: Path, method: str, target: str, body: bytes, status: int
) -> None:
    async def story(ask: Asked) -> None:
        found, said = await ask.raw(method, target, body)
        assert found == status
        if status == 400:
            assert json.loads(said)["message"]

    with_interface(tmp_path, story)


QUERIES = {
    "/series/query": [
        b"name=m.f&start=now-1d&end=now&window=1h&tz=Asia/Kathmandu&agg=mean,p95&fill=linear&group=host",
        b"tag=host=a&start=2024-03-01T00:00:00Z&end=1709337600&precision=s&window=3mo&agg=count&agg=rate",
        b"name=m.f{host=a}&start=1970-01-01&end=1970-01-02&points=100&format=csv&tz=UTC",
    ],
    "/series": [b"tag=host:a&prefix=m&after=m.f&limit=5&counts=true&format=json"],
    "/series/last": [b'name=m.f{host="a"}&tag=host=a&tz=Europe/Prague&precision=ms'],
    "/series/points": [b"name=m.f&tag=host=b&start=1&end=now&dry_run=true&precision=ns&tz=UTC"],
}


def test_no_query_is_too_strange(tmp_path: Path) -> None:
    """It is answered, or refused by name; nothing is an error that nobody expected."""

    async def story(ask: Asked) -> None:
        await ask("POST", "/write", b"m,host=a f=1 1\nm,host=b f=2 2")
        dice, statuses = random.Random(17), Counter[int]()
        for number in range(600):
            path, corpus = [*QUERIES.items()][number % len(QUERIES)]
            pairs = dice.choice(corpus).split(b"&")
            for _ in range(dice.choice((0, 0, 1, 2))):
                pairs.pop(dice.randrange(len(pairs)))
            query = bytearray(b"&".join(pairs))
            for _ in range(dice.randrange(3)):
                mutate(dice, query, corpus)
            method = "DELETE" if path == "/series/points" else "GET"
            request = ask.request(method, path, b"", {})
            answer = await ask.interface.answer(
                msgspec.structs.replace(request, query=bytes(query))
            )
            if isinstance(answer, Streaming):
                assert [it async for it in answer.pieces]
                statuses[200] += 1
            else:
                statuses[answer.status] += 1
        assert statuses.keys() == {200, 400}
        assert min(statuses.values()) > 100

    with_interface(tmp_path, story)


def test_a_body_that_cannot_be_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BODY_BYTES_MAX", 100_000)

    async def story(ask: Asked) -> None:
        whole = gzip.compress(b"m f=1 1\n" * 10)
        for body, coding in (
            (b"no", "gzip"), (whole[:-9], "gzip"), (whole, "br"),
            (whole + b"no", "gzip"), (gzip.compress(b"") * 65, "gzip"),
            (gzip.compress(b"m f=1 1\n" * 100_000), "gzip"),
        ):  # fmt: skip
            status, _ = await ask("POST", "/write", body, content_encoding=coding)
            assert status == 400

    with_interface(tmp_path, story)


def test_what_may_be_large_when_it_is_unpacked_is_unpacked_on_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 KiB may be 32 MiB, which took 57 ms in one step."""
    asides: list[object] = []
    aside = Engine.aside

    async def noting(engine: Engine, work: Callable[[], object]) -> object:
        asides.append(found := await aside(engine, work))
        return found

    monkeypatch.setattr(Engine, "aside", noting)
    large = b"#" * (4 << 20)

    async def story(ask: Asked) -> None:
        for body in (b"m f=1 1\n", large):
            await ask.raw("POST", "/write", gzip.compress(body), content_encoding="gzip")

    with_interface(tmp_path, story)
    assert asides == [large]


def test_a_stream_is_answered_flush_by_flush(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"a 1 1\na 2 2\n#flu"
            yield b"sh 7\na 3 3\n"

        assert await ask.stream("/series/append", pieces()) == [
            {"flushed": 7, "index": 1}, {"done": True, "points": 3, "index": 2}
        ]  # fmt: skip

        async def wrong() -> AsyncIterator[bytes]:
            yield b"a 4 4\n"
            yield b"a 5 5\noops\na 6 6\n"

        (said,) = await ask.stream("/series/append?ack=received", wrong())
        assert (said["error"], said["line"], said["points"]) == ("bad_points", 3, 2)
        for target, kind in (
            ("/series/append?ack=never", "text/plain"), ("/series/append?x=1", "text/plain"),
            ("/series/append", "application/json"),
        ):  # fmt: skip
            (said,) = await ask.stream(target, pieces(), content_type=kind)
            assert said["error"] == "bad_request"

    with_interface(tmp_path, story)


def test_a_stream_whose_points_cannot_be_taken_is_told_and_the_log_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each stream that a stop, or want of a leader, cut short left a traceback in the log."""

    async def story(ask: Asked) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"a 1 2\n\n"

        async def refuse(given: Points) -> int:
            del given
            raise NoLeader("nobody leads")

        ask.interface._writing._intake.add = refuse  # type: ignore[method-assign]  # as in a stop
        (said,) = await ask.stream("/series/append?ack=received", pieces())
        assert said["error"] == "no_leader"

    with_interface(tmp_path, story)
    assert [it for it in caplog.records if it.levelno >= logging.WARNING] == []


def test_nobody_is_answered_when_a_client_goes_within_its_request(tmp_path: Path) -> None:
    async def story(ask: Asked) -> None:
        async def cut() -> AsyncIterator[bytes]:
            yield b"a 1 1\n"
            raise BodyCut("the client has gone")

        with pytest.raises(BodyCut):
            await ask.stream("/series/append", cut())

    with_interface(tmp_path, story)


def test_who_may_is_asked_once_a_request_to_read_or_to_write(tmp_path: Path) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for _ in ():
            yield b""

    async def story(ask: Asked) -> None:
        await ask("POST", "/write", b"a f=1 1")
        await ask("GET", "/series")
        await ask("DELETE", "/series/a.f")
        await ask.stream("/series/append", nothing())
        assert ask.admitted == [True, False, True, True]
        for error, status in (
            (ModelRefused(Code.PERMISSION_DENIED, "no"), 403),
            (ModelRefused(Code.UNAUTHENTICATED, "who?"), 401),
            (ModelRefused(Code.RESOURCE_EXHAUSTED, "full"), 507),
            (NoLeader("nobody"), 503),
        ):
            ask.refuses = error
            assert (await ask("POST", "/write", b"a f=1 1"))[0] == status
            assert (await ask("GET", "/series"))[0] == status
        assert (await ask.stream("/series/append", nothing()))[0]["error"] == "no_leader"
        assert (await ask.raw("GET", "/ping"))[0] == 204
        assert (await ask.raw("GET", "/other"))[0] == 404

    with_interface(tmp_path, story)


def test_what_is_nobodys_fault_may_be_asked_again() -> None:
    for error, status, code in (
        (Overloaded("much"), 429, "overloaded"),
        (OutcomeUnknown("maybe"), 503, "outcome_unknown"),
        (SeriesDamaged("bad"), 500, "damaged"),
    ):
        answer = refusal(error)
        assert (answer.status, json.loads(answer.body)["error"]) == (status, code)
        assert (b"retry-after", b"1") in answer.headers or status == 500
