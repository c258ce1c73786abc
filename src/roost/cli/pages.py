"""Pages of members over HTTP/1.1, for commands that ask for some: etcd's v2, levels of logs.

Endpoints are asked in their order, the next one when nobody answers at one; a request that one has
taken is not asked again, because it may have been done.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from roost.cli.answers import Answer, answer_to, connection_to
from roost.cli.exits import EXIT_REFUSED, EXIT_UNREACHABLE
from roost.cli.shared import Failed, credentials, failed
from roost.client import Credentials
from roost.client.endpoints import Endpoint, parse_endpoints
from roost.errors import RoostError
from roost.os_errors import words_of
from roost.tls import TlsFiles, client_context

_BODY_BYTES_MAX = 256 << 20
_LINE_BYTES_MAX = 64 << 20


def pages_of(endpoints: str, timeout_s: float) -> "Pages":
    """The members that the options of a command name.

    Raises:
        Failed: an endpoint or a file cannot be used.

    """
    try:
        who, parsed = credentials(), parse_endpoints(endpoints)
        return Pages(parsed, who, _context(who, parsed), timeout_s)
    except (RoostError, OSError) as error:
        raise failed(error) from error


@dataclass(frozen=True, slots=True)
class Pages:
    """The members of one cluster, as a command asks them."""

    endpoints: Sequence[Endpoint]
    who: Credentials
    tls: ssl.SSLContext | None
    timeout_s: float

    def ask(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """Ask whoever answers.

        Raises:
            Failed: nobody does, or somebody not in time.

        """
        connection = self._connected()
        try:
            return answer_to(connection, method, target, body, headers, _whole)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(connection, error) from error

    def lines(self, target: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        """What is said without end, a line at a time.

        Raises:
            Failed: nobody answers, or says no.

        """
        connection = self._connected()
        try:
            connection.request("GET", target, None, dict(headers))
            if connection.sock is not None:
                connection.sock.settimeout(None)  # whoever waits for news waits for them
            response = connection.getresponse()
            answer = Answer(response.status, {}, b"")
            if not answer.is_good:
                raise refused(replace(answer, body=_whole(response)))
            while line := response.readline(_LINE_BYTES_MAX):
                if line.strip():
                    yield line
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(connection, error) from error
        finally:
            connection.close()

    def at_each(self) -> Iterator[tuple[str, "Pages"]]:
        """Each endpoint by itself, with its name."""
        for endpoint in self.endpoints:
            yield endpoint.name, replace(self, endpoints=[endpoint])

    def bearer(self) -> dict[str, str]:
        """The header that says who we are to what v3's users guard; a password buys a token.

        Raises:
            Failed: the password is wrong, or nobody could say so.

        """
        if not self.who.user:
            return {}
        body = json.dumps({"name": self.who.user, "password": self.who.password}).encode()
        answer = self.ask("POST", "/v3/auth/authenticate", body, {})
        if not answer.is_good:
            raise refused(answer)
        return {"authorization": f"Bearer {json.loads(answer.body)['token']}"}

    def _connected(self) -> http.client.HTTPConnection:
        wrong: Failed | None = None
        for endpoint in self.endpoints:
            connection = self._connection(endpoint)
            try:
                connection.connect()
            except OSError as error:
                wrong = wrong or _unreachable(connection, error)
            else:
                return connection
        assert wrong is not None, "there is an endpoint"
        raise wrong

    def _connection(self, endpoint: Endpoint) -> http.client.HTTPConnection:
        place = endpoint.address
        if place.startswith("unix:"):
            raise Failed(
                f"{endpoint.name}: pages are not asked for at a socket's path", EXIT_REFUSED
            )
        return connection_to(place, self.tls, self.timeout_s)


def _whole(response: http.client.HTTPResponse) -> bytes:
    return response.read(_BODY_BYTES_MAX)


def _context(who: Credentials, endpoints: Sequence[Endpoint]) -> ssl.SSLContext | None:
    if not (who.ca_file or who.cert_file or any(it.is_secure for it in endpoints)):
        return None
    files = TlsFiles(cert_file=who.cert_file, key_file=who.key_file, ca_file=who.ca_file)
    return client_context(files)


def _unreachable(
    connection: http.client.HTTPConnection, error: OSError | http.client.HTTPException
) -> Failed:
    words = words_of(error) if isinstance(error, OSError) else str(error) or type(error).__name__
    return Failed(f"{connection.host}:{connection.port}: {words}", EXIT_UNREACHABLE)


def refused(answer: Answer) -> Failed:
    """How a command ends to which a page says no."""
    try:
        told = json.loads(answer.body)
        text = told["message"] if isinstance(told, dict) else ""
    except (ValueError, KeyError):
        text = ""
    shown = text or answer.body[:200].decode(errors="replace").strip()
    return Failed(shown or f"HTTP {answer.status}", EXIT_REFUSED)
