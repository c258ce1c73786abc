"""A place among keys of v3, on any cluster (`--discovery-token`; etcd 3.6: v3discovery).

    /_etcd/registry/{token}/_config/size        -> how many first members there are
    /_etcd/registry/{token}/members/{member id} -> name=URL,... of one
    /_etcd/registry/{token}/clients/{member id} -> its client URLs; of no interest to etcd's members

An operator writes the size; it is asked for over the JSON gateway.
"""

from collections.abc import Callable
from typing import TypeVar

from roost.call import Code
from roost.cli.discovery.asking import (
    CannotDiscover,
    Json,
    Members,
    SaidNo,
    Unanswered,
    decoded,
    encoded,
)
from roost.cli.discovery.first import Registered, Written, size_of

ROOT = "/_etcd/registry"
_STRANGE = "--discovery-endpoints: whoever answers is no member of an etcd"
Result = TypeVar("Result")


class Keys:
    """The keys of one cluster, at whoever keeps them."""

    flag = "discovery-token"

    def __init__(self, members: Members, token: str, user: str, password: str) -> None:
        """Nobody is asked; whoever has a `user` logs in first.

        Raises:
            CannotDiscover: the token is none.

        """
        if not token or "/" in token or token.startswith("."):
            raise CannotDiscover(f"--discovery-token={token}: a name without slashes")
        self._members = members
        self._prefix = f"{ROOT}/{token}"
        self._user, self._password = user, password
        self._is_in = not user

    def look(self) -> Registered:
        """Who has come."""
        _, size = self._range(f"{self._prefix}/_config/size")
        if not size:
            raise CannotDiscover(
                f"--discovery-token: there is no size: roost put {self._prefix}/_config/size 3"
            )
        count = size_of(self.flag, size[0].value)
        index, members = self._range(f"{self._prefix}/members/", is_prefix=True)
        return Registered(count, index, members)

    def create(self, name: str, value: str) -> str:
        """Write down what must not be there yet; return what stands there now."""
        key = f"{self._prefix}/members/{name}"
        asked = {
            "compare": [{"key": encoded(key), "target": "CREATE", "createRevision": "0"}],
            "success": [{"requestPut": {"key": encoded(key), "value": encoded(value)}}],
        }
        if self._call("/v3/kv/txn", asked).get("succeeded"):
            return value
        _, held = self._range(key)
        if not held:
            raise Unanswered("what stood there is gone")
        return held[0].value

    def tell_clients(self, name: str, value: str) -> None:
        """Write down where a member serves clients."""
        key = f"{self._prefix}/clients/{name}"
        self._call("/v3/kv/put", {"key": encoded(key), "value": encoded(value)})

    def client_urls(self) -> list[str]:
        """Where members serve clients, as they have written down."""
        _, said = self._range(f"{self._prefix}/clients/", is_prefix=True)
        return [url for it in said for url in it.value.split(",") if url]

    def wait(self, index: int, within_s: float) -> None:
        """Return when something has happened there since a revision."""
        begin = f"{self._prefix}/members/"
        create = {**_interval(begin), "startRevision": str(index + 1)}
        self._members.watch({"createRequest": create}, within_s)

    def _range(self, key: str, *, is_prefix: bool = False) -> tuple[int, list[Written]]:
        """The revision of a state, and keys with when they were created."""
        said = self._call("/v3/kv/range", _interval(key) if is_prefix else {"key": encoded(key)})
        try:
            return _read(said)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise CannotDiscover(_STRANGE) from error

    def _call(self, path: str, asked: Json) -> Json:
        return self._told(lambda: self._logged_in().call(path, asked))

    def _logged_in(self) -> Members:
        if not self._is_in:
            self._members.log_in(self._user, self._password)
            self._is_in = True
        return self._members

    def _told(self, ask: Callable[[], Result]) -> Result:
        try:
            return ask()
        except SaidNo as error:
            if error.code == Code.UNAUTHENTICATED and self._user:
                self._is_in = False  # tokens end
                raise Unanswered(str(error)) from error
            raise CannotDiscover(f"--discovery-token: {error}") from error


def _interval(prefix: str) -> Json:
    """All keys that begin so; the prefix ends with a slash."""
    return {"key": encoded(prefix), "rangeEnd": encoded(prefix[:-1] + "0")}


def _read(said: Json) -> tuple[int, list[Written]]:
    header, rows = said["header"], said.get("kvs", [])
    if not isinstance(header, dict) or not isinstance(rows, list):
        raise TypeError("no range")
    found = [
        Written(
            decoded(it["key"]).rpartition("/")[2],
            decoded(it.get("value", "")),
            int(it["create_revision"]),
        )
        for it in rows
    ]
    return int(header["revision"]), found
