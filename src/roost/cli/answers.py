"""One request over HTTP/1.1 and its whole answer, for commands and for what finds other members.

What goes wrong is raised as `http.client` has it: who asks knows what that means to a command.
"""

import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_NO_CONTENT = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_good(self) -> bool:
        """Whether it was done."""
        return self.status < _NO_CONTENT


def connection_to(
    place: str, tls: ssl.SSLContext | None, timeout_s: float
) -> http.client.HTTPConnection:
    """A connection that is not made so far to `host:port`, by TLS when there is a context."""
    if tls is None:
        return http.client.HTTPConnection(place, timeout=timeout_s)
    return http.client.HTTPSConnection(place, timeout=timeout_s, context=tls)


def answer_to(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: str | bytes | None,
    headers: Mapping[str, str],
    read: Callable[[http.client.HTTPResponse], bytes],
) -> Answer:
    """Ask once; `read` takes as much of the body as is wanted.  The connection is closed then.

    Raises:
        OSError, http.client.HTTPException, ValueError: there is no answer.

    """
    try:
        connection.request(method, target, body, dict(headers))
        response = connection.getresponse()
        content = read(response)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, content)
    finally:
        connection.close()
