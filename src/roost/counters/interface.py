"""Counters over HTTP: what is asked at /counters, answered (`forms` has the shapes).

Rights are those of etcd's users to keys `counters/<name>`, by what is applied on this member: it
answers whether it can reach anybody or not.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from roost.counters import endpoints, forms, rights
from roost.counters.desk import Desk
from roost.counters.forms import error_answer, json_answer
from roost.counters.operators import Operators
from roost.counters.rights import Needed, Rights
from roost.counters.watching import Hub, Watcher
from roost.errors import RoostError
from roost.exchange import Answer, Request, Streaming, not_allowed, not_found
from roost.slices import in_turns

PREFIX = b"/counters"
# Where members of other clusters tell what they have counted: one message of `messages`.
EXCHANGE_PATH = endpoints.EXCHANGE.path
_BYTES = (b"content-type", b"application/octet-stream")
_CSV = (b"content-type", b"text/csv; charset=utf-8")
_LINES = (b"content-type", b"application/x-ndjson")
_EVENTS = (b"content-type", b"text/event-stream")
_UNCACHED = (b"cache-control", b"no-store")
_Row = Callable[[str, int], bytes]
_Answering = Callable[[Request], Awaitable[Answer | Streaming]]


class Interface:
    """Answers all requests whose path is /counters, or begins with /counters/."""

    def __init__(self, desk: Desk, rights: Rights, hub: Hub, operators: Operators) -> None:
        """Ask the desk, after the rights."""
        self._desk = desk
        self._operators = operators
        self._counting = desk.counting
        self._changes_max = desk.counting.limits.changes_max
        self._rights = rights
        self._hub = hub
        # Behind this table there is only `endpoints.DELETE`, whose path varies.
        self._answers: dict[bytes, tuple[str, _Answering]] = {
            it.path.encode(): (it.method, answering)
            for it, answering in (
                (endpoints.LIST, self._list),
                (endpoints.READ, self._read),
                (endpoints.INCREMENT, self._increment),
                (endpoints.WATCH, self._watch),
                (endpoints.STATS, self._stats),
                (endpoints.TOPOLOGY, self._topology),
                (endpoints.LINKS, self._links),
                (endpoints.READY, self._ready),
                (endpoints.PURGE, self._purge),
                (endpoints.RETIRE, self._retire),
                (endpoints.LINK, self._link),
                (endpoints.UNLINK, self._unlink),
                (endpoints.EXCHANGE, self._exchange),
            )
        }
        assert len(self._answers) == len(endpoints.ENDPOINTS) - 1, "each row is answered"

    async def answer(self, request: Request) -> Answer | Streaming:
        """Answer one."""
        try:
            return await self._answered(request)
        except RoostError as error:
            return error_answer(error)

    async def _answered(self, request: Request) -> Answer | Streaming:
        method, path = request.method, request.raw_path
        if method == endpoints.DELETE.method and len(path) > len(PREFIX) + 1:
            return await self._delete(request, forms.text_of(path[len(PREFIX) + 1 :]))
        found = self._answers.get(PREFIX if path == PREFIX + b"/" else path)
        if found is None:
            return not_found()
        wanted, answer = found
        if method != wanted:
            return not_allowed(wanted)
        return await answer(request)

    async def _admitted(self, request: Request, needed: Needed) -> None:
        await rights.wait_admitted(self._rights, request.caller, needed)

    async def _read(self, request: Request) -> Answer:
        asked = await in_turns(forms.read_reading(request.query, self._changes_max))
        await rights.wait_admitted_to(self._rights, request.caller, asked.names)
        values = await self._desk.read(asked.names)
        missing = [it for it, value in zip(asked.names, values, strict=True) if value is None]
        headers = forms.missing_fields(missing)
        if asked.is_raw:
            parts = await self._desk.read_raw(asked.names)
            return json_answer(dict(zip(asked.names, parts, strict=True)), headers=headers)
        if not asked.is_null:
            values = [it or 0 for it in values]
        return json_answer(dict(zip(asked.names, values, strict=True)), headers=headers)

    async def _increment(self, request: Request) -> Answer:
        changes = await in_turns(forms.read_changes(request.body, self._changes_max))
        names = [name for name, _ in changes]
        await rights.wait_admitted_to(self._rights, request.caller, names, is_write=True)
        key = forms.key_of(request.headers)
        once = forms.request_of(key, request.body, self._counting.around.wall_s())
        values = await self._desk.increment(changes, once)
        return json_answer(dict(zip(names, values, strict=True)))

    async def _delete(self, request: Request, name: str) -> Answer:
        await self._admitted(request, rights.of_names([name], is_write=True))
        key = forms.key_of(request.headers)
        once = forms.request_of(key, b"DELETE " + request.raw_path, self._counting.around.wall_s())
        [value] = await self._desk.delete([name], once)
        return json_answer({"name": name, "value": value}, 404 if value is None else 200)

    async def _list(self, request: Request) -> Answer | Streaming:
        asked = forms.read_listing(request.query)
        await self._admitted(request, rights.of_prefix(asked.prefix))
        accept = request.headers.get(b"accept", b"")
        if b"text/csv" in accept:
            return Streaming((_CSV,), self._all(asked.prefix, asked.after, _csv_row), _nothing)
        if b"application/x-ndjson" in accept:
            return Streaming((_LINES,), self._all(asked.prefix, asked.after, _line), _nothing)
        listed = await self._desk.search(asked.prefix, asked.after, asked.limit)
        return json_answer({"counters": dict(listed.rows), "after": listed.after})

    async def _all(self, prefix: str, first: str, row: _Row) -> AsyncIterator[bytes]:
        after: str | None = first
        while after is not None:
            listed = await self._desk.search(prefix, after)
            yield b"".join(row(name, value) for name, value in listed.rows)
            after = listed.after

    async def _watch(self, request: Request) -> Streaming:
        prefix = forms.read_prefix(request.query)
        await self._admitted(request, rights.of_prefix(prefix))
        self._counting.check_ready()
        has_missed = b"last-event-id" in request.headers
        watcher = self._hub.watch(prefix, has_missed=has_missed)
        return Streaming((_EVENTS, _UNCACHED), self._events(watcher), watcher.close)

    async def _events(self, watcher: Watcher) -> AsyncIterator[bytes]:
        """What a watcher hears, as server-sent events (WHATWG)."""
        yield b": counters\n\n"
        async for values in watcher.events():
            store = self._counting.store
            step = b"%d" % (0 if store is None else store.durable_step)
            told = [
                b"id: %b\ndata: %b\n\n" % (step, msgspec.json.encode({name: value}))
                for name, value in values.items()
            ]
            yield b"".join(told) or b":\n\n"

    async def _stats(self, request: Request) -> Answer:
        await self._admitted(request, rights.of_prefix(""))
        return json_answer(self._operators.describe("stats"))

    async def _topology(self, request: Request) -> Answer:
        await self._admitted(request, rights.of_prefix(""))
        return json_answer(self._operators.describe("topology"))

    async def _links(self, request: Request) -> Answer:
        await self._admitted(request, rights.of_prefix(""))
        return json_answer(self._operators.describe("links"))

    async def _ready(self, request: Request) -> Answer:
        """Somebody says that this member may serve, as soon as it can."""
        return await self._administer(request, "ready")

    async def _purge(self, request: Request) -> Answer:
        """An operator wants removed what nobody needs."""
        asked = forms.read_purge(request.query)
        what = "prove" if asked.is_dry else "purge"
        return await self._administer(request, what, is_forced=asked.is_forced)

    async def _retire(self, request: Request) -> Answer:
        """An operator says that a member is away for good."""
        return await self._administer(request, "retire", name=forms.read_name(request.query))

    async def _link(self, request: Request) -> Answer:
        """An operator wants another cluster told what is counted here."""
        asked = forms.read_link(request.query)
        return await self._administer(
            request, "link", name=asked.url, source=asked.source, is_relay=asked.is_relay
        )

    async def _unlink(self, request: Request) -> Answer:
        """An operator wants a link removed."""
        asked = forms.read_link(request.query)
        return await self._administer(request, "unlink", name=asked.url, source=asked.source)

    async def _exchange(self, request: Request) -> Answer:
        """A member of another cluster tells what it has counted."""
        await self._admitted(request, rights.OF_LINKS)
        said = await self._desk.visit(request.body)
        return Answer(200 if said else 204, said, (_BYTES,))

    async def _administer(
        self,
        request: Request,
        what: str,
        *,
        name: str = "",
        source: str = "",
        is_forced: bool = False,
        is_relay: bool = False,
    ) -> Answer:
        await self._admitted(request, rights.OF_ROOT)
        said = await self._operators.administer(
            what,
            who=rights.who(request.caller),
            name=name,
            source=source,
            is_forced=is_forced,
            is_relay=is_relay,
        )
        return json_answer(said)


def _csv_row(name: str, value: int) -> bytes:
    """RFC 4180."""
    doubled = name.replace('"', '""')
    return f'"{doubled}",{value}\r\n'.encode()


def _line(name: str, value: int) -> bytes:
    return msgspec.json.encode({"name": name, "value": value}) + b"\n"


def _nothing() -> None:
    """Whoever takes no more pieces asks for none."""
