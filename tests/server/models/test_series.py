"""Time series of a served member: loaded when they are used, and told of when they cannot be."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.database.errors import UnknownOperation
from roost.exchange import Answer, Request
from roost.series.engine import Engine
from roost.series.errors import SeriesUnavailable
from roost.series.interface import Interface
from roost.series.names import Info
from roost.server.models import series
from roost.server.models.series import SeriesDesk
from roost.sim.members.loop import pass_time
from tests.database.databases import Databases, with_databases


class _Caller:
    token = certificate_name = address = ""
    flow = ("", 0)


def request(path: bytes, method: str = "GET", body: bytes = b"") -> Request:
    return Request(method=method, raw_path=path, query=b"", caller=_Caller(), body=body)  # type: ignore[arg-type]  # enough of one


async def anybody(_caller: object, _writes: object) -> None:
    """All may."""


async def desks(cluster: Databases) -> list[SeriesDesk]:
    found = []
    for database in cluster.databases.values():
        desk = SeriesDesk(database, database._embedded.member, anybody)
        database._embedded.runner.on_unknown = desk.on_unknown
        await desk.start()
        found.append(desk)
    return found


@pytest.mark.slow
def test_they_are_loaded_where_they_are_asked_for_and_where_the_leader_is_asked_to_run_them(
    tmp_path: Path,
) -> None:
    async def story(cluster: Databases) -> None:
        held = await desks(cluster)
        await pass_time(3.0)
        assert not any(it.is_loaded for it in held)
        follower = next(place for place, it in cluster.databases.items() if not it.host.is_leader)
        answer = await held[follower].answer(request(b"/write", "POST", b"m f=1 1"))
        assert isinstance(answer, Answer)
        assert answer.status == 204
        lead = next(place for place, it in cluster.databases.items() if it.host.is_leader)
        assert held[lead].is_loaded
        # The third has neither been asked nor told; rows of them are in its trees, and as soon as
        # they are it loads them.
        await pass_time(0.3)
        assert all(it.is_loaded for it in held)
        for it in held:
            await it.stop()

    with_databases(tmp_path, story)


def test_without_the_extra_requests_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def modules() -> tuple[type[Engine], type[Interface]]:
        raise SeriesUnavailable('time series need numpy: pip install "roost[series]"')

    monkeypatch.setattr(series, "_modules", modules)

    async def nothing() -> AsyncIterator[bytes]:
        for _ in ():
            yield b""

    async def story(cluster: Databases) -> None:
        (desk,) = await desks(cluster)
        for answer in (
            await desk.answer(request(b"/series/query")),
            await desk.flow(request(b"/series/append", "POST"), nothing()),
        ):
            assert isinstance(answer, Answer)
            assert answer.status == 501
            assert "roost[series]" in json.loads(answer.body)["message"]
        with pytest.raises(SeriesUnavailable):
            await desk.inside()
        await desk.stop()

    with_databases(tmp_path, story, size=1)


def test_a_leader_that_cannot_load_them_says_by_name_what_it_does_not_know(
    tmp_path: Path,
) -> None:
    async def story(cluster: Databases) -> None:
        follower = next(it for it in cluster.databases.values() if not it.host.is_leader)
        with pytest.raises(UnknownOperation):
            await Engine(follower).declare([Info("a")])

    with_databases(tmp_path, story)
