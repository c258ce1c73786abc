"""The pages of v2, by their paths."""

import re
from html import escape
from typing import Final
from urllib.parse import quote

from roost.etcd.v2 import members, registry, statistics, user_pages
from roost.etcd.v2.forms import BadEscape, unescaped
from roost.etcd.v2.gate import Gate
from roost.etcd.v2.keys import METHODS, Keys
from roost.etcd.v2.members import MemberPages
from roost.etcd.v2.modules import Modules
from roost.etcd.v2.paths import cleaned
from roost.etcd.v2.registry import Registry
from roost.etcd.v2.statistics import StatsPages
from roost.etcd.v2.user_pages import UserPages
from roost.exchange import TEXT, Answer, Reply, Request, not_allowed, not_found
from roost.tasks import Tasks

# All paths that are answered here begin with one of them.
PREFIXES = (b"/v2/", b"/mod/v2/", b"/v1/", registry.PATH)
KEYS: Final = b"/v2/keys"
_GONE: Final = b"/v1 is gone: ask /v2/keys, or /v3 for what is new\n"
_BELOW_KEYS: Final = KEYS + b"/"
# What is as short as it can be, as nearly all paths are.
_SHORT: Final = re.compile(rb"(?:/[^/.][^/]*)+")


class Interface:
    """Answers all requests whose path begins with one of PREFIXES."""

    def __init__(
        self,
        gate: Gate,
        *,
        keys: Keys,
        members: MemberPages,
        statistics: StatsPages,
        modules: Modules,
        users: UserPages,
        registry: Registry,
    ) -> None:
        """Stand on those that answer."""
        self._registry = registry
        self._gate = gate
        self._users = users
        self._keys = keys
        self._members = members
        self._statistics = statistics
        self._modules = modules
        self._tasks = Tasks()

    def begin(self, request: Request, reply: Reply) -> None:
        """Answer one, now or later."""
        if self._gate.is_open:
            self._begin(request, reply)
        else:
            self._gate.enter(request, lambda known: self._begin(known, reply))

    def _begin(self, request: Request, reply: Reply) -> None:
        """Answer one of somebody who is known, or need not be."""
        try:
            path = unescaped(request.raw_path)
        except BadEscape as error:
            reply(Answer(400, f"{error}\n".encode(), (TEXT,)))
            return
        if not path.startswith(b"/v2/"):
            if path.startswith(b"/v1/"):
                reply(Answer(410, _GONE, (TEXT,)))
            elif path.startswith(registry.PATH):
                self._tasks.start(self._ask_registry(request, path, reply))
            else:
                self._modules.begin(request, path, reply)
            return
        short = path if _SHORT.fullmatch(path) else cleaned(path)
        if path.removesuffix(b"/") != short:
            reply(_moved(short + b"/" * path.endswith(b"/"), request))
        elif short == KEYS or short.startswith(_BELOW_KEYS):
            if request.method in METHODS:
                self._keys.begin(request, short[len(KEYS) :] or b"/", reply)
            else:
                reply(not_allowed(*METHODS))
        elif short == members.PREFIX or short.startswith(members.PREFIX + b"/"):
            self._tasks.start(self._ask_members(request, short[len(members.PREFIX) + 1 :], reply))
        elif path.startswith(user_pages.PREFIX + b"/"):
            name = path[len(user_pages.PREFIX) + 1 :]
            self._tasks.start(self._ask_users(request, name, reply))
        else:
            reply(self._page(request, path))

    def _page(self, request: Request, path: bytes) -> Answer:
        if path.startswith(statistics.PREFIX + b"/"):
            return self._statistics.answer(request, path[len(statistics.PREFIX) + 1 :])
        match path:
            case b"/v2/machines":
                return self._members.machines(request)
            case b"/v2/leader":
                return self._members.leader(request)
            case _:
                return not_found()

    async def _ask_members(self, request: Request, name: bytes, reply: Reply) -> None:
        reply(await self._members.answer(request, name))

    async def _ask_registry(self, request: Request, path: bytes, reply: Reply) -> None:
        reply(await self._registry.answer(request, path))

    async def _ask_users(self, request: Request, name: bytes, reply: Reply) -> None:
        reply(await self._users.answer(request, name))

    async def close(self) -> None:
        """Answer nobody any more."""
        await self._modules.close()
        await self._tasks.close()


def _moved(path: bytes, request: Request) -> Answer:
    """The same, said shorter (Go: ServeMux)."""
    place = quote(path) + ("?" + request.query.decode("latin-1") if request.query else "")
    location = (b"location", place.encode("latin-1"))
    if request.method not in ("GET", "HEAD"):
        return Answer(301, b"", (location,))
    page = f'<a href="{escape(place)}">Moved Permanently</a>.\n\n'
    return Answer(301, page.encode(), (location, (b"content-type", b"text/html; charset=utf-8")))
