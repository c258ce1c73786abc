"""How a member finds the others of its cluster by `--discovery` (etcd: v2discovery).

The URL is a directory of a tree of etcd's v2, on any cluster that has one:

    {URL}/_config/size  -> how many first members there are
    {URL}/{member id}   -> name=URL,... of one

A member writes down where it is, and waits until as many have done so as there are to be; those
count who came first.  Its id is what it will be in the cluster, so one that comes again is known.
Whoever comes late is refused: it is to be added to the cluster, as any member.

Nothing is asked when the member has data: that says which cluster it is of.
"""

import http.client
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from roost.etcd.v2.faults import Reason
from roost.journal import OsDisk
from roost.journal.identity import load_identity
from roost.member.cluster.roster import member_id_of
from roost.os_errors import words_of
from roost.settings import DEFAULTS, BadSetting, Settings

logger = logging.getLogger(__name__)
_PORTS = {"http": 80, "https": 443}
_ASK_S = 10.0
# Whoever waits asks again after so long, whether the service sends newlines or not.
_WAIT_S = 300.0
_BACKOFF_DOUBLINGS_MAX = 8
_ANSWER_BYTES_MAX = 1 << 20
_KNOWN = frozenset({Reason.KEY_NOT_FOUND, Reason.KEY_EXISTS, Reason.EVENT_CLEARED})
_SIZE_MAX = 99
_NO_TREE = "--discovery: whoever answers keeps no tree of etcd's v2"
_Result = TypeVar("_Result")


class CannotDiscover(BadSetting):
    """The others of a cluster cannot be found by `--discovery`; the text says why."""


class _Unanswered(Exception):
    """The service did not answer, or not now."""


class _Late(_Unanswered):
    """Nothing has happened for so long."""


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer: the code of an error, or 0, and what stands there."""

    code: int
    index: int
    node: dict[str, object]


@dataclass(frozen=True, slots=True)
class _Registered:
    """Who has come, the first first."""

    size: int
    index: int
    # By member id, as it is written there.
    members: dict[str, str]


class Registry:
    """The directory of one cluster, at whoever keeps it."""

    def __init__(self, url: str) -> None:
        """Nobody is asked.

        Raises:
            CannotDiscover: it is no such URL.

        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise CannotDiscover(f"--discovery={url}: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname or not parts.path.strip("/"):
            raise CannotDiscover(
                f"--discovery={url}: http://host:port/ and the path of a directory"
            )
        self._is_secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port or _PORTS[parts.scheme]
        self._path = "/" + parts.path.strip("/")

    def get(self, name: str, query: dict[str, str], within_s: float) -> _Said:
        """What stands there."""
        return self._ask("GET", name, query, None, within_s)

    def create(self, name: str, value: str) -> _Said:
        """Write what must not be there yet."""
        return self._ask("PUT", name, {"prevExist": "false"}, {"value": value}, _ASK_S)

    def _ask(
        self,
        method: str,
        name: str,
        query: dict[str, str],
        form: dict[str, str] | None,
        within_s: float,
    ) -> _Said:
        kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=within_s)
        target = self._path + (f"/{quote(name)}" if name else "")
        target += f"?{urlencode(query)}" if query else ""
        body = None if form is None else urlencode(form)
        headers = {} if form is None else {"content-type": "application/x-www-form-urlencoded"}
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            raw = answer.read(_ANSWER_BYTES_MAX)
            index = int(answer.headers.get("x-etcd-index") or 0)
        except TimeoutError:
            raise _Late("no answer in time") from None
        except OSError as error:
            raise _Unanswered(words_of(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            raise _Unanswered(str(error)) from error
        finally:
            connection.close()
        return _read(answer.status, index, raw)


def _read(status: int, index: int, raw: bytes) -> _Said:
    """What an answer of v2 says.

    Raises:
        CannotDiscover: whoever answers is no service of that kind.
        _Unanswered: it cannot say so now.

    """
    try:
        said = json.loads(raw or b"{}")
        code = int(said.get("errorCode", 0))
        node = dict(said.get("node") or {})
    except (ValueError, AttributeError, TypeError) as error:
        if status >= http.client.INTERNAL_SERVER_ERROR:
            raise _Unanswered(f"HTTP {status}") from error
        raise CannotDiscover(_NO_TREE) from error
    if code and code not in _KNOWN:
        raise _Unanswered(f"{said.get('message', code)}: {said.get('cause', '')}")
    return _Said(code, index, node)


def discovered(settings: Settings, pause: Callable[[float], object]) -> Settings:
    """The settings with all first members, as `--discovery` finds them; else as they are.

    `pause(seconds)` waits.

    Raises:
        CannotDiscover: they cannot be found, or there is no room for this one.

    """
    url = settings.discovery
    if not url or settings.force_new_cluster:
        return settings
    if settings.initial_cluster:
        raise CannotDiscover("--discovery and --initial-cluster: give one of them")
    if settings.initial_cluster_state != DEFAULTS.initial_cluster_state:
        raise CannotDiscover("--discovery is for the first members of a new cluster")
    directory = settings.directory
    if directory.exists() and load_identity(OsDisk(), directory) is not None:
        logger.info("the directory is a member's: --discovery is not asked")
        return settings
    urls = settings.initial_advertise_peer_urls
    own_id = f"{member_id_of(urls, url):x}"
    own = ",".join(f"{settings.name}={it}" for it in urls)
    members = _Discovery(Registry(url), own_id, own, pause).run()
    # As with etcd the URL tells this cluster from others.
    return replace(settings, initial_cluster=",".join(members), initial_cluster_token=url)


class _Discovery:
    """One member that looks for the others."""

    def __init__(
        self, registry: Registry, own_id: str, own: str, pause: Callable[[float], object]
    ) -> None:
        self._registry = registry
        self._own_id = own_id
        self._own = own
        self._pause = pause
        self._failed_count = 0

    def run(self) -> list[str]:
        """All first members, the one that came first first."""
        found = self._surely(self._look)
        self._surely(self._register)
        while len(found.members) < found.size or self._own_id not in found.members:
            found = self._surely(self._look)
            if len(found.members) < found.size:
                logger.info("%d of %d members have come", len(found.members), found.size)
                self._surely(partial(self._wait, found.index + 1))
        names = [it.partition("=")[0] for it in found.members.values()]
        if len(set(names)) < len(names):
            raise CannotDiscover(f"--discovery: two members have one name: {', '.join(names)}")
        return list(found.members.values())

    def _surely(self, ask: Callable[[], _Result]) -> _Result:
        """Ask until there is an answer, less and less often."""
        while True:
            try:
                result = ask()
            except _Unanswered as error:
                self._failed_count = min(self._failed_count + 1, _BACKOFF_DOUBLINGS_MAX)
                pause_s = 2.0**self._failed_count
                logger.warning("discovery: %s; asking again in %.0f s", error, pause_s)
                self._pause(pause_s)
            else:
                self._failed_count = 0
                return result

    def _look(self) -> _Registered:
        """Who has come."""
        size = self._registry.get("_config/size", {}, _ASK_S)
        if size.code:
            raise CannotDiscover("--discovery: the directory has no _config/size")
        value = str(size.node.get("value", ""))
        if not (value.isascii() and value.isdigit() and 0 < int(value) <= _SIZE_MAX):
            raise CannotDiscover(f"--discovery: _config/size is {value!r}")
        said = self._registry.get("", {"quorum": "true"}, _ASK_S)
        if said.code:
            raise CannotDiscover("--discovery: the directory is gone")
        nodes = [it for it in _nodes(said.node) if not it.name.startswith("_")]
        first = sorted(nodes, key=lambda it: it.index)[: int(value)]
        members = {it.name: it.value for it in first}
        if len(members) == int(value) and self._own_id not in members:
            raise CannotDiscover("--discovery: the cluster is full; have this member added to it")
        return _Registered(int(value), said.index, members)

    def _register(self) -> None:
        """Write down where we are; whoever did so before has come again."""
        said = self._registry.create(self._own_id, self._own)
        if said.code == Reason.KEY_EXISTS:
            held = self._registry.get(self._own_id, {"quorum": "true"}, _ASK_S)
            if held.node.get("value") != self._own:
                raise CannotDiscover("--discovery: another member has these peer URLs")
        elif said.code:
            raise CannotDiscover("--discovery: the directory is gone")

    def _wait(self, index: int) -> None:
        """Return when something has happened there, or it is to be looked at again."""
        query = {"wait": "true", "recursive": "true", "waitIndex": str(index)}
        try:
            self._registry.get("", query, _WAIT_S)
        except _Late:
            return  # it is looked at again


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    value: str
    index: int


def _nodes(directory: dict[str, object]) -> list[_Node]:
    """What stands in a directory.

    Raises:
        CannotDiscover: something else than v2 answers.

    """
    rows = directory.get("nodes", [])
    try:
        if not isinstance(rows, list):
            raise TypeError("no list")
        return [
            _Node(it["key"].rpartition("/")[2], str(it.get("value", "")), int(it["createdIndex"]))
            for it in rows
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CannotDiscover(_NO_TREE) from error
