"""One request over HTTP/1.1 of a member that is none yet: to a service, or to its cluster.

Full?  Of an answer ANSWER_BYTES_MAX are read, and that is an answer of a hundred members.
"""

import base64
import http.client
import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from roost.call import Code
from roost.cli.answers import Answer, answer_to, connection_to
from roost.os_errors import words_of
from roost.places import describe
from roost.settings import BadSetting

logger = logging.getLogger(__name__)
PORTS = {"http": 80, "https": 443}
ANSWER_BYTES_MAX = 1 << 20
BACKOFF_DOUBLINGS_MAX = 8
Result = TypeVar("Result")
Json = dict[str, object]


class CannotDiscover(BadSetting):
    """The others of a cluster cannot be found; the text says why, and which setting looked."""


class Unanswered(Exception):
    """The service did not answer, or not now."""


class Late(Unanswered):
    """Nothing has happened for so long."""


class SaidNo(Exception):
    """A member has refused a call."""

    def __init__(self, code: int, text: str) -> None:
        """Keep both; `code` is gRPC's."""
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Server:
    """Who is asked, and whether by TLS."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    def ask(
        self,
        method: str,
        target: str,
        body: str | bytes | None,
        headers: Mapping[str, str],
        within_s: float,
        *,
        lines: int = 0,
    ) -> Answer:
        """Ask once, and read the answer: all of it, or its first lines.

        Raises:
            Late: nothing came within that time.
            Unanswered: there is no answer.

        """

        def read(response: http.client.HTTPResponse) -> bytes:
            if lines:
                return b"".join(response.readline(ANSWER_BYTES_MAX) for _ in range(lines))
            return response.read(ANSWER_BYTES_MAX)

        connection = connection_to(describe((self.host, self.port)), self.tls, within_s)
        try:
            return answer_to(connection, method, target, body, headers, read)
        except TimeoutError:
            raise Late("no answer in time") from None
        except OSError as error:
            raise Unanswered(words_of(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            raise Unanswered(str(error) or type(error).__name__) from error


def server_of(flag: str, url: str, tls: Callable[[], ssl.SSLContext]) -> tuple[Server, str]:
    """Whom a URL names, and the path in it without a slash at its end; `tls` makes a context.

    Raises:
        CannotDiscover: it is no such URL.

    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise CannotDiscover(f"--{flag}={url}: {error}") from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise CannotDiscover(f"--{flag}={url}: it must begin with http://host or https://host")
    context = tls() if parts.scheme == "https" else None
    place = Server(parts.hostname, port or PORTS[parts.scheme], context)
    return place, "/" + parts.path.strip("/")


class Members:
    """Members of a cluster that runs, asked over the JSON gateway of etcd's v3."""

    def __init__(self, servers: Sequence[Server], *, within_s: float) -> None:
        """Ask one after another, each for so long."""
        self._servers = servers
        self._within_s = within_s
        self._headers = {"content-type": "application/json"}

    def log_in(self, user: str, password: str) -> None:
        """Be somebody, from now on.

        Raises:
            Unanswered, SaidNo: as `call`.

        """
        said = self.call("/v3/auth/authenticate", {"name": user, "password": password})
        self._headers["authorization"] = f"Bearer {said.get('token', '')}"

    def call(self, path: str, asked: Json) -> Json:
        """What the first that answers says; all may be asked.

        Raises:
            Unanswered: nobody answers, or nobody can now.
            SaidNo: it was refused.

        """
        why = Unanswered("there is nobody to ask")
        for it in self._servers:
            try:
                answer = it.ask("POST", path, json.dumps(asked), self._headers, self._within_s)
                return read_json(answer)
            except Unanswered as error:
                why = Unanswered(f"{it.host}:{it.port}: {error}")
        raise why

    def watch(self, asked: Json, within_s: float) -> None:
        """Return when something has happened that is asked for, as one member tells.

        Raises:
            Late, Unanswered: nothing has, or nobody tells.

        """
        why = Unanswered("there is nobody to ask")
        for it in self._servers:
            try:
                # The first line says that the watch is there.
                it.ask("POST", "/v3/watch", json.dumps(asked), self._headers, within_s, lines=2)
            except Late:
                raise
            except Unanswered as error:
                why = error
            else:
                return
        raise why


# What another try may do better.
_NOT_NOW = {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.RESOURCE_EXHAUSTED}


def read_json(answer: Answer) -> Json:
    """What the gateway says.

    Raises:
        Unanswered: it cannot say so now.
        SaidNo: it was refused.

    """
    try:
        said = json.loads(answer.body or b"{}")
    except ValueError:
        said = None
    if not isinstance(said, dict):
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            raise Unanswered(f"HTTP {answer.status}")
        raise SaidNo(Code.UNIMPLEMENTED, f"no gateway of etcd's v3 answers (HTTP {answer.status})")
    if answer.status == http.client.OK:
        return said
    code, text = said.get("code"), str(said.get("message") or said.get("error") or answer.status)
    if not isinstance(code, int):
        code = Code.UNKNOWN
    if code in _NOT_NOW:
        raise Unanswered(text)
    raise SaidNo(code, text)


def encoded(text: str) -> str:
    """Bytes as JSON has them."""
    return base64.b64encode(text.encode()).decode()


def decoded(field: object) -> str:
    """A field of bytes, as text.

    Raises:
        ValueError: it is none.

    """
    if not isinstance(field, str):
        raise ValueError("no text")  # noqa: TRY004 - of what somebody else has sent
    return base64.b64decode(field, validate=True).decode()


class Patience:
    """Asks until there is an answer, less and less often."""

    def __init__(self, pause: Callable[[float], object]) -> None:
        """`pause(seconds)` waits."""
        self._pause = pause
        self._failed_count = 0

    def surely(self, ask: Callable[[], Result]) -> Result:
        """What `ask` comes to, whenever it does."""
        while True:
            try:
                result = ask()
            except Unanswered as error:
                self._failed_count = min(self._failed_count + 1, BACKOFF_DOUBLINGS_MAX)
                pause_s = 2.0**self._failed_count
                logger.warning("discovery: %s; asking again in %.0f s", error, pause_s)
                self._pause(pause_s)
            else:
                self._failed_count = 0
                return result
