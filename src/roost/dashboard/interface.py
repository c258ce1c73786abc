"""The dashboard over HTTP: which request is answered by whom; what there is stands in `endpoints`.

Files are for everybody: they hold nothing of a cluster.  What members say of themselves is for
whoever may ask a member for its status; log, settings and what is stored are root's.

Where nobody has to sign in, whoever reaches us is root, and so is each page that a browser there
shows.  It may read all, or have us copy a store again and again: browsers say where a
request comes from (Fetch Metadata, and Origin), and what is asked from elsewhere is refused, unless
`cors` has that origin by its name: `*`, etcd's default, is for what etcd has.  Of a request that a
browser says nothing about, as by plain HTTP from an `img`, we cannot know.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence

import msgspec

from roost.call import Caller, Code
from roost.dashboard import endpoints
from roost.dashboard.configured import Setting
from roost.dashboard.endpoints import said
from roost.dashboard.log import BadLevel, Log
from roost.dashboard.pages import DATA_GUARDS, Pages
from roost.dashboard.ports import Answering, Rights
from roost.dashboard.viewing import Hub, Viewer
from roost.endpoint import Endpoint
from roost.errors import UNDECODABLE, CallerFault, ModelRefused, Overloaded, RoostError
from roost.exchange import JSON, TEXT, Answer, Request, Streaming, not_allowed
from roost.outcome import settle_future

PREFIX = endpoints.PREFIX.encode()
# Of a request that has one.
BODY_BYTES_MAX = 1 << 10
OLD_PATHS = tuple(it.encode() for it in endpoints.OLD_PATHS)
# Where a request comes from that nobody elsewhere has caused (Fetch Metadata, 2.3).
_OURS = frozenset({b"same-origin", b"none"})
_EVENTS = (b"content-type", b"text/event-stream")
_STATUS = {
    Code.PERMISSION_DENIED: 403,
    # Nobody was named, or a token is not known: sign in.
    Code.INVALID_ARGUMENT: 401,
    Code.UNAUTHENTICATED: 401,
}


class Interface:
    """Answers all requests whose path is /dashboard, or begins with /dashboard/."""

    def __init__(
        self,
        hub: Hub,
        rights: Rights,
        log: Log,
        settings: Sequence[Setting] = (),
        stored: Mapping[Endpoint, Answering] | None = None,
        *,
        cors: Collection[str] = (),
    ) -> None:
        """Ask `hub`, `log` and whoever answers what is `stored`, for those whom `rights` admit.

        Pages of the origins `cors` may ask for that, too.
        """
        self._cors = frozenset(it.encode("latin-1") for it in cors)
        self._settings = settings
        self._hub = hub
        self._log = log
        self._rights = rights
        self._pages = Pages()
        # Behind this table there are only files, whose paths vary, and old addresses.
        self._answers: dict[bytes, dict[str, Answering]] = {}
        self._add(endpoints.CLUSTER, self._cluster)
        self._add(endpoints.EVENTS, self._stream)
        for row, answering in {
            endpoints.SETTINGS: self._told_settings,
            endpoints.LOG: self._told_log,
            endpoints.SET_LEVEL: self._set_level,
            **(stored or {}),
        }.items():
            self._add(row, self._for_root(answering))

    def _add(self, row: Endpoint, answering: Answering) -> None:
        self._answers.setdefault(row.path.encode(), {})[row.method] = answering

    def _for_root(self, answering: Answering) -> Answering:
        async def answer(request: Request) -> Answer | Streaming:
            await self._admitted(request.caller, is_root=True)
            # So that no page of another origin can send it unasked (Fetch, 4.8: preflight).
            kind = request.headers.get(b"content-type", b"")
            if request.method != "GET" and not kind.startswith(JSON[1]):
                return Answer(415, b"send application/json\n", (TEXT,))
            return await answering(request)

        return answer

    async def answer(self, request: Request) -> Answer | Streaming:
        """Answer one."""
        if request.raw_path in OLD_PATHS:
            return Answer(301, b"", ((b"location", PREFIX),))
        answers = self._answers.get(request.raw_path)
        if answers is None:
            if request.method != "GET":
                return not_allowed("GET")
            return self._pages.answer(request.raw_path.removeprefix(PREFIX).decode("latin-1"))
        answering = answers.get(request.method)
        if answering is None:
            return not_allowed(*answers)
        if self._is_foreign(request):
            text = "a page of another origin may not ask for this: open the dashboard itself"
            return _refused(403, Code.PERMISSION_DENIED, text)
        try:
            return await answering(request)
        except RoostError as error:
            return _refusal(error)

    def _is_foreign(self, request: Request) -> bool:
        """Whether a browser says that a page of another origin has had it asked."""
        headers = request.headers
        origin = headers.get(b"origin", b"")
        if origin in self._cors:
            return False
        if site := headers.get(b"sec-fetch-site", b""):
            return site not in _OURS
        # Our own page says no origin where it reads, and what else it sends no other page can.  A
        # proxy may have another name for us than that which browsers know.
        is_said = bool(origin) and request.method == "GET"
        return is_said and origin.partition(b"://")[2] != headers.get(b"host", b"")

    async def _cluster(self, request: Request) -> Answer:
        await self._admitted(request.caller)
        return said(await self._hub.look())

    async def _stream(self, request: Request) -> Streaming:
        await self._admitted(request.caller)
        viewer = self._hub.view(_number(request.headers.get(b"last-event-id", b"")))
        events = self._events(viewer, request.caller)
        return Streaming((_EVENTS, *DATA_GUARDS), events, viewer.close)

    async def _told_settings(self, _request: Request) -> Answer:
        return said(self._settings)

    async def _told_log(self, request: Request) -> Answer:
        return self._log_state(request)

    async def _set_level(self, request: Request) -> Answer:
        """Have the log say more or less, and show it."""
        try:
            wanted = msgspec.json.decode(request.body, type=endpoints.LevelWanted)
        except UNDECODABLE as error:
            raise BadLevel(f'{{"module", "level"}} is wanted: {error}') from error
        self._log.set_level(wanted.module, wanted.level)
        return self._log_state(request)

    def _log_state(self, request: Request) -> Answer:
        return said(self._log.state(_number(request.query.removeprefix(b"after="))))

    async def _admitted(self, caller: Caller, *, is_root: bool = False) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rights.admit(
            caller,
            lambda: settle_future(future, None),
            lambda error: settle_future(future, error),
            is_root=is_root,
        )
        await future

    async def _events(self, viewer: Viewer, caller: Caller) -> AsyncIterator[bytes]:
        """What a viewer sees; whose right to it was taken away sees no more."""
        async for state in viewer.states():
            try:
                await self._admitted(caller)
            except RoostError as error:
                yield b"event: refused\ndata: %b\n\n" % msgspec.json.encode(str(error))
                return
            shown = msgspec.json.encode(state)
            if state.happenings:
                yield b"id: %d\n" % state.happenings[-1].number
            yield b"event: state\ndata: %b\n\n" % shown


def _number(text: bytes) -> int:
    """Of the last that somebody has seen; none = 0."""
    return int(text) if text.isdigit() and len(text) < 16 else 0


def _refusal(error: RoostError) -> Answer:
    status, code = 503, Code.UNAVAILABLE
    if isinstance(error, ModelRefused):
        code = Code(error.code)
        status = _STATUS.get(code, 503)
    elif isinstance(error, Overloaded):
        status = 429
    elif isinstance(error, CallerFault):
        status, code = 400, Code.INVALID_ARGUMENT
    return _refused(status, code, str(error))


def _refused(status: int, code: Code, text: str) -> Answer:
    told = {"error": text, "message": text, "code": code}
    return Answer(status, msgspec.json.encode(told), (JSON, *DATA_GUARDS))
