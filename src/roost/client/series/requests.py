"""What is asked of series with one request each, besides points that are sent; for asyncio."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote, urlencode

from roost.client.series.answers import Live, live_of
from roost.client.series.asking import Question
from roost.client.series.errors import SeriesRefused
from roost.client.series.members import pause
from roost.client.series.questions import Asked, moment
from roost.client.series.ways import Way

# Between two looks at a deletion that takes long.
JOB_LOOK_S = 0.2


class Requests:
    """Questions, lists, tags, rules and deletions; see `aio.Connection`."""

    def __init__(self, way: Way) -> None:
        """Ask by `way`."""
        self.way = way

    def query(self, *names: str) -> Question:
        """Ask for series, by their names; `by_tag` adds tags."""
        return Question(self.way, Asked(names=names))

    async def listed(
        self, *, tag: str = "", prefix: str = "", counts: bool = False
    ) -> list[dict[str, Any]]:
        """All series: `name`, `labels`, `tags`, times `first` and `last`; with `counts` `points`.

        Raises:
            ClientError: as `Way.ask`.

        """
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            given = {"tag": tag, "prefix": prefix, "after": after, "counts": "true" * counts}
            query = urlencode({name: text for name, text in given.items() if text})
            said = await self.way.ask_json("GET", f"/series?{query}")
            found += said["series"]
            if not (after := said.get("after", "")):
                return found

    async def last(self, *names: str, tag: str = "") -> dict[str, tuple[int, float | None]]:
        """The last points of series: by name, time in nanoseconds and value.

        Raises:
            ClientError: as `Way.ask`.

        """
        given = [*(("name", it) for it in names), *([("tag", tag)] if tag else [])]
        said = await self.way.ask_json("GET", f"/series/last?precision=ns&{urlencode(given)}")
        held = (it for it in said["series"] if it["time"] is not None)
        return {it["name"]: (it["time"], it["value"]) for it in held}

    async def tail(self, *names: str, tag: str = "") -> AsyncGenerator[Live, None]:
        """Points of series as they come, from now on, until the caller leaves.

        Raises:
            SeriesRefused: there is no such series, or there are too many.
            Unreachable: nobody answers, or no more: ask again for what is new.

        """
        given = [*(("name", it) for it in names), *([("tag", tag)] if tag else [])]
        target = f"/series/tail?format=lines&precision=ns&{urlencode(given)}"
        async with aclosing(live_of(self.way.lines(target))) as found:
            async for it in found:
                yield it

    async def tag(
        self, name: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> dict[str, str]:
        """Put tags on a series and take them away; what it has then.

        Raises:
            ClientError: as `Way.ask`.

        """
        asked = {"name": name, "add": [*add], "remove": [*remove]}
        return dict((await self.way.ask_json("POST", "/series/tags", asked))["tags"])

    async def dedup(self, name: str, which: str) -> None:
        """Say which of two points of one time counts: the higher, `max`, or the later, `last`.

        It is the later, unless that is said.  A series that is not there is made, so it can be said
        before there are points.

        Raises:
            ClientError: as `Way.ask`.

        """
        await self.way.ask_json("PUT", "/series/dedup", {"series": name, "dedup": which})

    async def delete(
        self, name: str, start: Any, stop: Any, *, tag: str = "", dry_run: bool = False
    ) -> int:
        """Delete a range of a series, or of all with a tag; how many points that is.

        With `dry_run` only that.  Of more than 500 series it takes as long as it takes:
        `begin_delete` does not wait.

        Raises:
            SeriesRefused: somebody has cancelled it, `cancelled`; or as `Way.ask`.
            ClientError: as `Way.ask`.

        """
        if dry_run:
            said = await self._delete(name, start, stop, tag=tag, dry_run="true")
            return int(said["would_delete"])
        said = await self.begin_delete(name, start, stop, tag=tag)
        while said.get("state", "done") == "running":
            await pause(JOB_LOOK_S)
            said = await self.job(said["job"])
        if said.get("state", "done") != "done":
            text = f"job {said['job']} is {said['state']}: {said['deleted']} points are gone"
            raise SeriesRefused(409, "cancelled", text)
        return int(said["deleted"])

    async def begin_delete(
        self, name: str, start: Any, stop: Any, *, tag: str = ""
    ) -> dict[str, Any]:
        """Delete a range; what is `deleted`, or the job that does it, of many series.

        Raises:
            ClientError: as `Way.ask`.

        """
        return await self._delete(name, start, stop, tag=tag)

    async def _delete(
        self, name: str, start: Any, stop: Any, *, tag: str, **more: str
    ) -> dict[str, Any]:
        span = {"start": moment(start), "end": moment(stop)}
        given = {"name": name, "tag": tag, **span, **more}
        query = urlencode({key: text for key, text in given.items() if text})
        return await self.way.ask_json("DELETE", f"/series/points?{query}")

    async def jobs(self) -> list[dict[str, Any]]:
        """Deletions of many series, the oldest first: `job`, `state`, `series_done`, `deleted`.

        Raises:
            ClientError: as `Way.ask`.

        """
        return list((await self.way.ask_json("GET", "/series/jobs"))["jobs"])

    async def job(self, number: int) -> dict[str, Any]:
        """One of them.

        Raises:
            SeriesRefused: there is none of that number, or no more.
            ClientError: as `Way.ask`.

        """
        found = next((it for it in await self.jobs() if it["job"] == number), None)
        if found is None:
            raise SeriesRefused(404, "no_job", f"there is no job {number}")
        return found

    async def cancel_job(self, number: int) -> dict[str, Any]:
        """Delete no more by a job; what is gone stays gone.  What it is then.

        Raises:
            ClientError: as `Way.ask`.

        """
        return await self.way.ask_json("DELETE", f"/series/jobs/{number}")

    async def delete_series(self, name: str) -> None:
        """Delete a series with all that it has.

        Raises:
            ClientError: as `Way.ask`.

        """
        await self.way.ask("DELETE", f"/series/{quote(name, safe='')}")

    async def retain(
        self, keep: str | None, *, series: str = "", tag: str = "", sums: str = ""
    ) -> None:
        """Keep points of a series, or of all with a tag, for so long, `30d`; None is for ever.

        `sums` is for how long what is summed up of them is kept, `1800d` or `forever`; without it,
        as long as points.

        Raises:
            ClientError: as `Way.ask`.

        """
        target = {"series": series} if series else {"tag": tag}
        asked = {"keep": keep, **target, **({"sums": sums} if sums else {})}
        await self.way.ask_json("PUT", "/series/retention", asked)

    async def note(self, text: str | None, *, series: str = "", tag: str = "") -> None:
        """Note something of a series, or of all with a tag; None removes what was noted.

        Raises:
            ClientError: as `Way.ask`.

        """
        target = {"series": series} if series else {"tag": tag}
        await self.way.ask_json("PUT", "/series/notes", {"note": text, **target})

    async def notes(self) -> list[dict[str, str]]:
        """All notes: `note`, and the `series` or the `tag` that it is of.

        Raises:
            ClientError: as `Way.ask`.

        """
        return list((await self.way.ask_json("GET", "/series/notes"))["notes"])

    async def rules(self) -> list[dict[str, Any]]:
        """What is kept for some time only: `series` or `tag`, and `keep_s`.

        Where sums are kept for longer there is `sums_s`, too; None is for ever.

        Raises:
            ClientError: as `Way.ask`.

        """
        return list((await self.way.ask_json("GET", "/series/retention"))["rules"])

    async def statistics(self) -> dict[str, Any]:
        """How far staging and sealing are.

        Raises:
            ClientError: as `Way.ask`.

        """
        return await self.way.ask_json("GET", "/series/stats")
