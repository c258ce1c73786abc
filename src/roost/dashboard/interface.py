"""The dashboard over HTTP: which request is answered by whom.

    GET /dashboard/           the page, and its files below
    GET /dashboard/cluster    the cluster as this member sees it, once: `viewing.State`
    GET /dashboard/events     the same a second, as server-sent events (WHATWG)

Files are for everybody: they hold nothing of a cluster.  What members say of themselves is for
whoever may ask a member for its status.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from roost.call import Caller, Code
from roost.dashboard.pages import GUARDS, Pages
from roost.dashboard.ports import Rights
from roost.dashboard.viewing import Hub, Viewer
from roost.errors import ModelRefused, Overloaded, RoostError
from roost.exchange import JSON, Answer, Request, Streaming, not_allowed
from roost.outcome import settle_future

PREFIX = b"/dashboard/"
# Requests have no bodies.
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


class Interface:
    """Answers all requests whose path is /dashboard, or begins with /dashboard/."""

    def __init__(self, hub: Hub, rights: Rights, pages: Pages | None = None) -> None:
        """Ask `hub`, for those whom `rights` admit."""
        self._hub = hub
        self._rights = rights
        self._pages = pages or Pages()

    async def answer(self, request: Request) -> Answer | Streaming:
        """Answer one."""
        if request.method != "GET":
            return not_allowed("GET")
        if request.raw_path in OLD_PATHS:
            return Answer(301, b"", ((b"location", PREFIX),))
        name = request.raw_path.removeprefix(PREFIX).decode("latin-1")
        try:
            match name:
                case "cluster":
                    await self._admitted(request.caller)
                    state = await self._hub.look()
                    return Answer(200, msgspec.json.encode(state), (JSON, _UNCACHED, *GUARDS[1:3]))
                case "events":
                    await self._admitted(request.caller)
                    viewer = self._hub.view(_number(request.headers.get(b"last-event-id", b"")))
                    events = self._events(viewer, request.caller)
                    return Streaming((_EVENTS, _UNCACHED), events, viewer.close)
        except RoostError as error:
            return _refusal(error)
        return self._pages.answer(name)

    async def _admitted(self, caller: Caller) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rights.admit(
            caller,
            lambda: settle_future(future, None),
            lambda error: settle_future(future, error),
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
    """Of the last happening that somebody has seen; none = 0."""
    return int(text) if text.isdigit() and len(text) < 16 else 0


def _refusal(error: RoostError) -> Answer:
    status, code = 503, Code.UNAVAILABLE
    if isinstance(error, ModelRefused):
        code = Code(error.code)
        status = _STATUS.get(code, 503)
    elif isinstance(error, Overloaded):
        status = 429
    said = {"error": str(error), "message": str(error), "code": code}
    return Answer(status, msgspec.json.encode(said), (JSON, _UNCACHED))
