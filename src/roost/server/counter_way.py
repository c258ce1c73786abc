"""A way to one member of another cluster, for what counters tell there: POST /counters/exchange.

One connection of HTTP/1.1, kept as long as it is good, with one request on it at a time.  Over
https the other member's certificate is checked against its name.  This member shows who it is by a
certificate of its own, or logs in with a name and a password, over https only; it needs the right
to write all of `counters/` there.

Whoever answers is believed as little as possible: an answer has a bound, is not followed elsewhere,
and takes no longer than its asker waits.
"""

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httptools
import msgspec

from roost.counters.errors import LinkFailed
from roost.counters.interface import EXCHANGE_PATH
from roost.counters.messages import MESSAGE_BYTES_MAX
from roost.errors import UNDECODABLE, RoostError
from roost.tls import TlsFiles, client_context

logger = logging.getLogger(__name__)
_PORTS = {"http": 80, "https": 443}
_READ_BYTES = 64 << 10
# Lines and fields before an answer.
_FIELDS_BYTES_MAX = 64 << 10
_USER_BYTES_MAX = 4096
_TEXT_CHARACTERS_MAX = 300
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OK, _NOTHING, _UNAUTHORIZED = 200, 204, 401


class _Said(msgspec.Struct, frozen=True):
    """An answer to a login, or an error."""

    token: str = ""
    message: str = ""


_decode_said = msgspec.json.Decoder(_Said).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How this member shows who it is, and whom it believes; empty = not, and the system's."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    # One line, `name:password`.
    user_file: str = ""


@dataclass(slots=True)
class _Answer:
    """One answer, as `httptools` tells it."""

    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    # Whether the connection is good for another request; known between the head and the end only.
    is_kept: bool = False
    parser: httptools.HttpResponseParser | None = None

    def on_headers_complete(self) -> None:
        """The head is there."""
        self.is_kept = self.parser is not None and self.parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """Some more of it."""
        self.body += data

    def on_message_complete(self) -> None:
        """That was all."""
        self.is_whole = True


class CounterWay:
    """One way."""

    def __init__(self, showing: Showing, url: str) -> None:
        """Lead to a URL; nothing is opened yet."""
        self._showing = showing
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._authority = parts.netloc
        self._token = ""
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, data: bytes) -> bytes:
        """Say something there; the answer, empty = none.

        Raises:
            LinkFailed: there is none, or it is nothing that is answered.

        """
        try:
            if self._showing.user_file and not self._token:
                self._token = await self._log_in()
            status, body = await self._post(EXCHANGE_PATH, data)
            if status == _UNAUTHORIZED and self._token:
                self._token = await self._log_in()  # it has become too old
                status, body = await self._post(EXCHANGE_PATH, data)
        except (OSError, ssl.SSLError, httptools.HttpParserError) as error:
            self._forget()
            raise LinkFailed(f"{type(error).__name__}: {error}") from error
        except RoostError as error:
            self._forget()
            raise LinkFailed(str(error)) from error
        except BaseException:
            self._forget()  # its answer would be taken for that to the next request
            raise
        if status not in (_OK, _NOTHING):
            raise LinkFailed(f"HTTP {status}: {_words_of(body)}")
        return body

    async def _log_in(self) -> str:
        name, password = self._user()
        asked = msgspec.json.encode({"name": name, "password": password})
        self._token = ""
        status, body = await self._post("/v3/auth/authenticate", asked)
        if status != _OK:
            raise LinkFailed(f"it does not let {name!r} in: HTTP {status}: {_words_of(body)}")
        try:
            return _decode_said(body).token
        except UNDECODABLE as error:
            raise LinkFailed(f"it answers a login with something else: {error}") from error

    def _user(self) -> tuple[str, str]:
        path = self._showing.user_file
        if not self._is_secure and self._host not in _LOOPBACK:
            raise LinkFailed("a password is sent over https only")
        try:
            with Path(path).open("rb") as file:
                line = file.read(_USER_BYTES_MAX).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LinkFailed(f"{path}: {error}") from error
        name, has_password, password = line.partition(":")
        if not has_password:
            raise LinkFailed(f"{path}: one line is wanted, name:password")
        return name, password

    async def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """One request and its answer: the status, and what it says."""
        is_new = self._writer is None or self._writer.is_closing()
        try:
            return await self._post_once(path, body)
        except ConnectionError:
            if is_new:
                raise
            self._forget()  # it was closed while nobody said anything
            return await self._post_once(path, body)

    async def _post_once(self, path: str, body: bytes) -> tuple[int, bytes]:
        reader, writer = await self._open()
        token = f"authorization: {self._token}\r\n" if self._token else ""
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {self._authority}\r\n{token}"
            f"content-type: application/octet-stream\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode("latin-1") + body)
        await writer.drain()
        answer = _Answer()
        parser = answer.parser = httptools.HttpResponseParser(answer)
        left = MESSAGE_BYTES_MAX + _FIELDS_BYTES_MAX
        while not answer.is_whole:
            data = await reader.read(_READ_BYTES)
            left -= len(data)
            if not data:
                raise ConnectionResetError("it has closed the connection")
            if left < 0:
                raise LinkFailed(f"it answers with more than {MESSAGE_BYTES_MAX} bytes")
            parser.feed_data(data)
        answer.parser = None  # each knows the other
        if not answer.is_kept:
            self._forget()
        return parser.get_status_code(), bytes(answer.body)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None or self._writer.is_closing():
            self._forget()
            context = self._context() if self._is_secure else None
            self._reader, self._writer = await asyncio.open_connection(
                self._host,
                self._port,
                ssl=context,
                server_hostname=self._host if context else None,
                limit=_READ_BYTES,
            )
        return self._reader, self._writer

    def _context(self) -> ssl.SSLContext:
        """By files as they are now, so that they are renewed without a restart."""
        showing = self._showing
        return client_context(
            TlsFiles(
                cert_file=showing.cert_file, key_file=showing.key_file, ca_file=showing.ca_file
            )
        )

    def _forget(self) -> None:
        """Whatever there is of a connection is of no use."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def aclose(self) -> None:
        """Close the connection."""
        writer = self._writer
        self._forget()
        if writer is not None:
            try:
                await writer.wait_closed()
            except OSError as error:
                logger.debug("a connection to %s has ended with %s", self._authority, error)


def _words_of(body: bytes) -> str:
    """What an error says, as far as it is ours."""
    try:
        return _decode_said(body).message[:_TEXT_CHARACTERS_MAX]
    except UNDECODABLE:
        return repr(body[:_TEXT_CHARACTERS_MAX])
