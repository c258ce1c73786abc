"""The pages of v2, by their paths."""

from html import escape
from urllib.parse import quote

from roost.etcd.v2 import members, statistics
from roost.etcd.v2.forms import BadEscape, unescaped
from roost.etcd.v2.keys import METHODS, Keys
from roost.etcd.v2.members import MemberPages
from roost.etcd.v2.paths import cleaned
from roost.etcd.v2.statistics import StatsPages
from roost.exchange import Answer, Request, Streaming, not_allowed, not_found

KEYS = b"/v2/keys"


class Interface:
    """Answers all requests whose path begins with /v2/."""

    def __init__(self, keys: Keys, members: MemberPages, statistics: StatsPages) -> None:
        """Stand on those that answer."""
        self._keys = keys
        self._members = members
        self._statistics = statistics

    async def answer(self, request: Request) -> Answer | Streaming:
        """Answer one."""
        try:
            path = unescaped(request.raw_path)
        except BadEscape as error:
            return Answer(400, f"{error}\n".encode())
        short = cleaned(path)
        if path.removesuffix(b"/") != short:
            return _moved(short + b"/" * path.endswith(b"/"), request)
        if short == KEYS or short.startswith(KEYS + b"/"):
            if request.method not in METHODS:
                return not_allowed(*METHODS)
            return await self._keys.answer(request, short[len(KEYS) :] or b"/")
        if short == members.PREFIX or short.startswith(members.PREFIX + b"/"):
            return await self._members.answer(request, short[len(members.PREFIX) + 1 :])
        if path.startswith(statistics.PREFIX + b"/"):
            return self._statistics.answer(request, path[len(statistics.PREFIX) + 1 :])
        match path:
            case b"/v2/machines":
                return self._members.machines(request)
            case b"/v2/leader":
                return self._members.leader(request)
            case _:
                return not_found()


def _moved(path: bytes, request: Request) -> Answer:
    """The same, said shorter (Go: ServeMux)."""
    place = quote(path) + ("?" + request.query.decode("latin-1") if request.query else "")
    location = (b"location", place.encode("latin-1"))
    if request.method not in ("GET", "HEAD"):
        return Answer(301, b"", (location,))
    page = f'<a href="{escape(place)}">Moved Permanently</a>.\n\n'
    return Answer(301, page.encode(), (location, (b"content-type", b"text/html; charset=utf-8")))
