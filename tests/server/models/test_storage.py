"""Trees and backups of a member on a port: what the dashboard's pages stand on."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from roost import aio
from roost.children import Ended
from roost.errors import Overloaded
from roost.member import BackupFailed, Kept, Listed, read_backup
from roost.server.models import backups
from roost.server.models.backups import SENDING_MAX, BackupDesk, Shelved
from roost.server.models.storage import CountingFailed, counts_of
from roost.server.options import Backups
from roost.testing.ports import free_ports
from tests.server.models.test_dashboard import said


async def ask(port: int, method: str, target: str, body: bytes = b"{}") -> tuple[int, bytes]:
    """Status and body; a body that ends before its length is an error."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} /dashboard/{target} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    fields, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    lengths = [it for it in fields.lower().split(b"\r\n") if it.startswith(b"content-length: ")]
    assert lengths == [b"content-length: %d" % len(content)]
    return int(fields.split()[1]), content


async def over(port: int) -> dict[str, Any]:
    """What came of what was begun."""
    while True:
        job: dict[str, Any] = await said(port, "/dashboard/backups/job")
        if job["is_over"]:
            return job


def served(story: Callable[[int, aio.Database], Awaitable[None]], path: Path, **given: Any) -> None:
    """A member on a port."""

    async def main() -> None:
        [port] = free_ports(1)
        async with await aio.open(path, **given) as db:
            await db.serve([f"http://127.0.0.1:{port}"])
            await story(port, db)

    asyncio.run(main())


def test_trees_are_listed_read_and_counted(tmp_path: Path) -> None:
    async def story(port: int, db: aio.Database) -> None:
        async with db.transaction() as txn:
            txn.tree("people", key=str, value=int).update({"ada": 1815, "alan": 1912})
        listed = await said(port, "/dashboard/trees?after=o")
        assert listed == {
            "trees": [{"name": "people", "keys": "str", "values": "msgpack int", "purpose": ""}],
            "after": "",
        }
        first = await said(port, "/dashboard/trees/rows?tree=people&limit=1")
        assert [(it["key"], it["value"]) for it in first["rows"]] == [("ada", "1815")]
        target = f"/dashboard/trees/rows?tree=people&from={first['rest']}"
        assert [it["key"] for it in (await said(port, target))["rows"]] == ["alan"]
        long = ("ad" + "a" * 200_000).encode().hex()
        wanted = json.dumps({"tree": "people", "from": long, "limit": 3}).encode()
        status, body = await ask(port, "POST", "trees/rows", wanted)
        assert (status, [it["key"] for it in json.loads(body)["rows"]]) == (200, ["alan"])
        status, body = await ask(port, "GET", "trees/rows?tree=nobody")
        assert (status, "there is no tree" in json.loads(body)["error"]) == (400, True)
        counted = await said(port, "/dashboard/trees/counts")
        assert counted["index"] > 0
        assert "$members" in {it["name"] for it in counted["trees"]}
        state = await said(port, "/dashboard/storage")
        assert (state["corrupt"], state["scrub"], state["derived"]) == ([], None, [])
        await db._embedded.member.custody.scrub()
        state = await said(port, "/dashboard/storage")
        assert (state["scrub"]["fault"], state["scrub"]["record_count"] > 0) == ("", True)

    served(story, tmp_path / "data")


def test_what_the_process_that_counts_cannot_do_is_said() -> None:
    with pytest.raises(CountingFailed, match="ended with 9"):
        counts_of(Ended(9, b""))
    with pytest.raises(CountingFailed, match="no directory of a member"):
        counts_of(Ended(0, b'{"fault": "no directory of a member"}'))


def test_a_backup_is_saved_listed_verified_and_fetched(tmp_path: Path) -> None:
    async def story(port: int, _db: aio.Database) -> None:
        status, body = await ask(port, "POST", "backups")
        assert (status, json.loads(body)["kind"]) == (200, "save")
        assert (await ask(port, "POST", "backups"))[0] == 429, "one at a time"
        job = await over(port)
        assert (job["fault"], job["said"].endswith("bytes were saved")) == ("", True)
        found = await said(port, "/dashboard/backups")
        [kept] = found["backups"]
        assert (found["place"], kept["name"]) == (str(tmp_path / "kept"), job["name"])
        backup = read_backup(tmp_path / "kept" / kept["name"])
        assert kept["size_bytes"] == backup.size_bytes
        # It takes no place of those by the clock.
        assert "-by-hand-" in kept["name"]
        named = json.dumps({"name": kept["name"]}).encode()
        assert (await ask(port, "POST", "backups/verify", named))[0] == 200
        assert f"sha256 {backup.digest}" in (await over(port))["said"]
        status, content = await ask(port, "GET", f"backups/file?name={kept['name']}")
        assert (status, content) == (200, backup.path.read_bytes())
        status, content = await ask(port, "GET", "backups/now")
        assert status == 200
        assert content[-32:] == hashlib.sha256(content[:-32]).digest()

    served(story, tmp_path / "data", backup_dir=str(tmp_path / "kept"))


class Copies:
    """Lends one file; how many have it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lent_count = 0

    @asynccontextmanager
    async def lend_snapshot(self) -> AsyncIterator[Path]:
        self.lent_count += 1
        try:
            yield self.path
        finally:
            self.lent_count -= 1


def test_few_are_sent_at_a_time_and_copies_are_kept_as_long(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copy")
    copies.path.write_bytes(bytes(3 << 20))

    async def main() -> None:
        desk = BackupDesk(copies, "m", None, lambda: 0.0)
        files = [await desk.whole() for _ in range(SENDING_MAX)]
        with pytest.raises(Overloaded, match="are being sent"):
            await desk.whole()
        assert copies.lent_count == SENDING_MAX
        content = b"".join([it async for it in files[0].pieces])
        assert (len(content), files[0].name) == (files[0].size_bytes, "m.db")
        for it in files:
            it.close()
            it.close()
        copies.path.unlink()
        with pytest.raises(BackupFailed, match="No such file"):
            await desk.whole()
        await desk.close()
        assert copies.lent_count == 0

    asyncio.run(main())


def test_a_name_with_a_zero_byte_keeps_no_place(tmp_path: Path) -> None:
    """No process takes such an argument, and its place was never given back."""
    options = Backups(place=str(tmp_path), interval_s=60, full_interval_s=0, keep_count=3)
    shelved = Shelved(options, None)  # type: ignore[arg-type]  # not asked

    async def main() -> None:
        desk = BackupDesk(Copies(tmp_path / "copy"), "m", shelved, lambda: 0.0)
        for _ in range(SENDING_MAX + 1):
            with pytest.raises(BackupFailed, match="null"):
                await desk.kept("\0")
        assert not desk.begin_verify("\0").is_over
        while not desk.job().is_over:
            await asyncio.sleep(0)
        assert "null" in desk.job().fault, "it was said that the member stops"
        await desk.close()

    asyncio.run(main())


def test_one_process_lists_however_many_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request started one: whoever asked often enough had all memory."""
    lists: list[asyncio.Future[Ended]] = []

    async def run_process(_module: str, work: str, *_given: str, hear: object = None) -> Ended:
        assert (work, hear) == ("list", None)
        assert all(it.done() for it in lists)
        lists.append(asyncio.get_running_loop().create_future())
        return await lists[-1]

    monkeypatch.setattr(backups, "run_module", run_process)
    options = Backups(place="/kept", interval_s=60, full_interval_s=0, keep_count=3)
    shelved = Shelved(options, None)  # type: ignore[arg-type]  # not asked

    def found(name: str) -> Ended:
        return Ended(0, msgspec.json.encode(Listed([Kept(name, 1, 2.0)])))

    async def asked(count: int) -> None:
        while len(lists) < count:
            await asyncio.sleep(0)

    async def main() -> None:
        desk = BackupDesk(Copies(tmp_path / "copy"), "m", shelved, lambda: 0.0)
        first = asyncio.ensure_future(desk.look())
        await asked(1)
        later = [asyncio.ensure_future(desk.look()) for _ in range(20)]
        gone = asyncio.ensure_future(desk.look())
        while len(desk._tasks) < 2:
            await asyncio.sleep(0)
        gone.cancel()
        lists[0].set_result(found("before"))
        assert [it.name for it in (await first).backups] == ["before"]
        await asked(2)
        lists[1].set_result(found("after"))
        assert {it.backups[0].name for it in await asyncio.gather(*later)} == {"after"}
        failing = asyncio.ensure_future(desk.look())
        await asked(3)
        lists[2].set_exception(OSError("no more processes"))
        with pytest.raises(BackupFailed, match="no more processes"):
            await failing
        failing = asyncio.ensure_future(desk.look())
        await asked(4)
        lists[3].set_result(Ended(1, b""))
        with pytest.raises(BackupFailed, match="ended with 1"):
            await failing
        assert len(lists) == 4
        await desk.close()

    asyncio.run(main())


def test_without_a_place_nothing_is_kept_and_that_is_said(tmp_path: Path) -> None:
    async def story(port: int, _db: aio.Database) -> None:
        found = await said(port, "/dashboard/backups")
        assert (found["place"], found["backups"]) == ("", [])
        for method, target in (("POST", "backups"), ("GET", "backups/file?name=x")):
            status, body = await ask(port, method, target)
            assert (status, "--backup-dir" in json.loads(body)["error"]) == (400, True)
        assert (await ask(port, "GET", "backups/now"))[0] == 200

    served(story, tmp_path / "data")
