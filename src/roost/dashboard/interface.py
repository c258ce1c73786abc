"""The dashboard over HTTP: which request is answered by whom.

    GET /dashboard/           the page, and its files below
    GET /dashboard/cluster    the cluster as this member sees it, once: `viewing.State`
    GET /dashboard/events     the same a second, as server-sent events (WHATWG)
    GET /dashboard/log        the last lines of this member's log, behind ?after=N: `log.LogState`
    GET /dashboard/settings   what it was started with: a list of `configured.Setting`
    POST /dashboard/log       {"module": "roost.peer", "level": "debug"}; "" = as the room above

Files are for everybody: they hold nothing of a cluster.  What members say of themselves is for
whoever may ask a member for its status; log and settings are root's.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from roost.call import Caller, Code
from roost.dashboard.configured import Setting
from roost.dashboard.log import BadLevel, Log
from roost.dashboard.pages import GUARDS, Pages
from roost.dashboard.ports import Rights
from roost.dashboard.viewing import Hub, Viewer
from roost.errors import UNDECODABLE, CallerFault, ModelRefused, Overloaded, RoostError
from roost.exchange import JSON, TEXT, Answer, Request, Streaming, not_allowed
from roost.outcome import settle_future

PREFIX = b"/dashboard/"
# Of a request that has one.
BODY_BYTES_MAX = 1 << 10
# etcd 0.3's address of its own.
OLD_PATHS = (b"/mod/dashboard", b"/mod/dashboard/", b"/dashboard")
_EVENTS = (b"content-type", b"text/event-stream")
_UNCACHED = (b"cache-control", b"no-store")
_STATUS = {
    Code.PERMISSION_DENIED: 403,
    # Nobody was named, or a token is not known: sign in.
    Code.INVALID_ARGUMENT: 401,
    Code.UNAUTHENTICATED: 401,
}


class _Wanted(msgspec.Struct, frozen=True):
    """How much a room of the log is to say."""

    module: str
    level: str


class Interface:
    """Answers all requests whose path is /dashboard, or begins with /dashboard/."""

    def __init__(
        self, hub: Hub, rights: Rights, log: Log, settings: Sequence[Setting] = ()
    ) -> None:
        """Ask `hub` and `log`, for those whom `rights` admit."""
        self._settings = settings
        self._hub = hub
        self._log = log
        self._rights = rights
        self._pages = Pages()

    async def answer(self, request: Request) -> Answer | Streaming:
        """Answer one."""
        if request.raw_path in OLD_PATHS:
            return Answer(301, b"", ((b"location", PREFIX),))
        name = request.raw_path.removeprefix(PREFIX).decode("latin-1")
        try:
            if name == "log":
                return await self._answer_log(request)
            if request.method != "GET":
                return not_allowed("GET")
            match name:
                case "cluster":
                    await self._admitted(request.caller)
                    state = await self._hub.look()
                    return Answer(200, msgspec.json.encode(state), (JSON, _UNCACHED, *GUARDS[1:3]))
                case "settings":
                    await self._admitted(request.caller, is_root=True)
                    said = msgspec.json.encode(self._settings)
                    return Answer(200, said, (JSON, _UNCACHED, *GUARDS[1:3]))
                case "events":
                    await self._admitted(request.caller)
                    viewer = self._hub.view(_number(request.headers.get(b"last-event-id", b"")))
                    events = self._events(viewer, request.caller)
                    return Streaming((_EVENTS, _UNCACHED), events, viewer.close)
        except RoostError as error:
            return _refusal(error)
        return self._pages.answer(name)

    async def _answer_log(self, request: Request) -> Answer:
        """Show the log, or have it say more or less."""
        if request.method not in ("GET", "POST"):
            return not_allowed("GET", "POST")
        await self._admitted(request.caller, is_root=True)
        if request.method == "POST":
            # So that no page of another origin can send it unasked (Fetch, 4.8: preflight).
            if not request.headers.get(b"content-type", b"").startswith(JSON[1]):
                return Answer(415, b"send application/json\n", (TEXT,))
            try:
                wanted = msgspec.json.decode(request.body, type=_Wanted)
            except UNDECODABLE as error:
                raise BadLevel(f'{{"module", "level"}} is wanted: {error}') from error
            self._log.set_level(wanted.module, wanted.level)
        state = self._log.state(_number(request.query.removeprefix(b"after=")))
        return Answer(200, msgspec.json.encode(state), (JSON, _UNCACHED, *GUARDS[1:3]))

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
            said = msgspec.json.encode(state)
            if state.happenings:
                yield b"id: %d\n" % state.happenings[-1].number
            yield b"event: state\ndata: %b\n\n" % said


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
    said = {"error": str(error), "message": str(error), "code": code}
    return Answer(status, msgspec.json.encode(said), (JSON, _UNCACHED))
