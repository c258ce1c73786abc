"""Plain requests are read as llhttp reads them, and whatever is not plain is left to it."""

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.server.http1_plain import BODY_BYTES_MAX, HEAD_BYTES_MAX, Plain, plain_request

PUT = (
    b"PUT /v2/keys/a?ttl=5 HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n"
    b"X-Odd:  a b\t\r\nEmpty:\r\n\r\nvalue=1"
)


class Parsed:
    """What llhttp makes of bytes: the first request of them."""

    def __init__(self, data: bytes) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self.url = self.body = self.method = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_whole = self.keeps_alive = False
        self.version = ""
        # A byte at a time: what comes behind the first request is not looked at.
        self.stop = 0
        while self.stop < len(data) and not self.is_whole:
            self._parser.feed_data(data[self.stop : self.stop + 1])
            self.stop += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.method, self.version = self._parser.get_method(), self._parser.get_http_version()
        self.keeps_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_whole = True


def check(data: bytes) -> Plain | None:
    """Read it both ways; what is plain has to be the same."""
    plain = plain_request(data, 0)
    if plain is not None:
        parsed = Parsed(data)
        assert parsed.is_whole
        assert parsed.keeps_alive
        assert parsed.version == "1.1"
        path, _, query = parsed.url.partition(b"?")
        assert plain == Plain(
            parsed.method.decode(), path, query, parsed.headers, parsed.body, parsed.stop
        )
    return plain


def test_a_plain_request_is_read_as_it_came() -> None:
    plain = check(PUT + b"GET / HTTP/1.1")
    assert plain == Plain(
        "PUT",
        b"/v2/keys/a",
        b"ttl=5",
        [(b"host", b"x"), (b"content-length", b"7"), (b"x-odd", b"a b\t"), (b"empty", b"")],
        b"value=1",
        len(PUT),
    )
    assert plain_request(b"??" + PUT, 2) == plain._replace(stop=len(PUT) + 2)
    assert check(b"GET / HTTP/1.1\r\n\r\n") == Plain("GET", b"/", b"", [], b"", 18)
    assert check(b"DELETE /a HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n") is not None


@pytest.mark.parametrize(
    "data",
    [
        PUT[:-1],
        PUT[:60],
        b"\r\n" + PUT,
        PUT.replace(b"PUT", b"HEAD"),
        PUT.replace(b"PUT", b"OPTIONS"),
        PUT.replace(b"1.1", b"1.0"),
        PUT.replace(b"/v2", b"http://h/v2"),
        PUT.replace(b"/v2", b"/#v2"),
        PUT.replace(b"/v2", b"/\xff"),
        PUT.replace(b"Empty:", b"Connection: close"),
        PUT.replace(b"Empty:", b"Connection: upgrade"),
        PUT.replace(b"Empty:", b"Upgrade: h2c"),
        PUT.replace(b"Empty:", b"Expect: 100-continue"),
        PUT.replace(b"Empty:", b"Transfer-Encoding: chunked"),
        PUT.replace(b"Empty:", b"Content-Length: 7"),
        PUT.replace(b"Length: 7", b"Length: +7"),
        PUT.replace(b"Length: 7", b"Length: 7, 7"),
        PUT.replace(b"Length: 7", b"Length:"),
        PUT.replace(b"Length: 7", b"Length: 99999999999999999999"),
        PUT.replace(b"Empty:", b"Empty :"),
        PUT.replace(b"Empty:", b" folded"),
        PUT.replace(b"Empty:", b"no colon"),
        PUT.replace(b"Empty:", b": no name"),
        PUT.replace(b"Empty:\r\n", b"Empty:\n"),
        PUT.replace(b"a b", b"a\rb"),
        PUT.replace(b"a b", b"a\0b"),
        PUT.replace(b"a b", b"x" * HEAD_BYTES_MAX),
        b"PUT / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1)
        + b"x" * (BODY_BYTES_MAX + 1),
    ],
)
def test_what_is_not_plain_is_left_to_llhttp(data: bytes) -> None:
    assert plain_request(data, 0) is None


WORDS = (
    b'GET PUT / /a ? # %20 " HTTP/1.1 HTTP/1.0 : content-length Connection keep-alive close 1 0'
    b" host , transfer-encoding chunked"
)
parts = st.sampled_from(
    [*WORDS.split(), b" ", b"\r\n", b"\r", b"\n", b"\t", b"\0", b"\x7f", b"\xff"]
)


@given(st.lists(parts, max_size=8), st.lists(parts, max_size=8), st.lists(parts, max_size=4))
@example([b'"'], [b"x:\xff\t"], [])
def test_whatever_is_plain_is_what_llhttp_reads(
    target: list[bytes], fields: list[bytes], behind: list[bytes]
) -> None:
    line = b"GET /" + b"".join(target) + b" HTTP/1.1\r\nhost: x\r\n"
    check(line + b"".join(fields) + b"\r\n\r\n" + b"".join(behind))
    check(b"".join((*target, *fields, *behind)))


@given(st.integers(0, 255), st.sampled_from(["target", "name", "value"]))
def test_every_byte_is_plain_only_where_llhttp_takes_it(byte: int, place: str) -> None:
    one = bytes([byte])
    target = one if place == "target" else b""
    name = one if place == "name" else b""
    value = one if place == "value" else b""
    check(b"GET /%bx HTTP/1.1\r\nn%bn: v%bv\r\n\r\n" % (target, name, value))
