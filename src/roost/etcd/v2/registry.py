"""GET /new?size=N: a place where the first members of a cluster find each other (discovery of v2).

The answer is the URL for `--discovery`, of etcd as well: a directory of this tree.

    /_etcd/registry/{token}/_config/size  -> how many members there are to be
    /_etcd/registry/{token}/{member id}   -> name=URL,... of one, which it writes itself

A token is made of 128 random bits, and its directory goes away after LIVES_S: a cluster that has
begun needs it no more.  While authentication is on, whoever asks must have the right to write
there.
"""

import secrets
from urllib.parse import parse_qs

from roost.errors import RoostError
from roost.etcd.ports import Replica
from roost.etcd.v2.asking import TreeAccess
from roost.etcd.v2.faults import fault_of
from roost.etcd.v2.values import Change, Kind
from roost.exchange import JSON, TEXT, Answer, Request, not_allowed, not_found

PATH = b"/new"
ROOT = "/_etcd/registry"
LIVES_S = 7 * 86_400
SIZE_DEFAULT, SIZE_MAX = 3, 99
_TOKEN_BYTES = 16


class Registry:
    """Makes such places."""

    def __init__(self, replica: Replica, access: TreeAccess) -> None:
        """Keep them in the tree."""
        self._replica = replica
        self._access = access

    async def answer(self, request: Request, path: bytes) -> Answer:
        """Answer a request whose path begins with PATH."""
        if path != PATH:
            return not_found()
        if request.method != "GET":
            return not_allowed("GET")
        said = parse_qs(request.query.decode("latin-1")).get("size", [str(SIZE_DEFAULT)])[0]
        if (
            not (said.isascii() and said.isdigit() and len(said) <= len(str(SIZE_MAX)))
            or said == "0"
        ):
            return Answer(400, b"size is no number from 1 to %d\n" % SIZE_MAX, (TEXT,))
        place = f"{ROOT}/{secrets.token_hex(_TOKEN_BYTES)}"
        try:
            made = Change(Kind.CREATE, place.encode(), is_dir=True, ttl_s=LIVES_S)
            await self._access.change(request.caller, made)
            size = Change(Kind.CREATE, f"{place}/_config/size".encode(), value=said.encode())
            await self._access.change(request.caller, size)
        except RoostError as error:
            fault = fault_of(error)
            return Answer(fault.status, fault.body, (JSON,))
        return Answer(200, f"{self._base(request)}/v2/keys{place}".encode(), (TEXT,))

    def _base(self, request: Request) -> str:
        """Where we were asked, as far as that was said; whether by TLS, our own URLs say."""
        replica = self._replica
        own = next((it for it in replica.members() if it.id == replica.member_id), None)
        url = own.client_urls[0] if own is not None and own.client_urls else "http://localhost:2379"
        scheme, _, place = url.partition("://")
        host = request.headers.get(b"host", b"").decode("latin-1")
        return f"{scheme}://{host or place}"
