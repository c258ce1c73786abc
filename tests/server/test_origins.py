"""Who is let in from elsewhere; how pages and exchanges ask stands in their own tests."""

import re
from pathlib import Path

import roost
from roost.counters.endpoints import ENDPOINTS as COUNTERS
from roost.dashboard.endpoints import ENDPOINTS as DASHBOARD
from roost.endpoint import Where
from roost.server.models.series_endpoints import ENDPOINTS as SERIES
from roost.server.origins import Hosts, Origins

SOURCES = Path(roost.__file__).parent
# Of those that stand in the sources, what requests say.
SAID_BY_CLIENTS = {"x-roost-heartbeat", "x-request-id"}


def listed(name: bytes) -> set[str]:
    """What a page of there may say, or read."""
    return set(dict(Origins(("http://a",)).fields(b"http://a"))[name].decode().split(", "))


def test_a_page_may_say_all_that_our_endpoints_read() -> None:
    allowed = listed(b"access-control-allow-headers")
    read = {
        parameter.name.lower()
        for row in (*COUNTERS, *DASHBOARD, *SERIES)
        for parameter in row.parameters
        if parameter.where is Where.HEADER
    }
    assert {"idempotency-key", "last-event-id"} <= read
    assert read | SAID_BY_CLIENTS | {"authorization", "content-type"} <= allowed


def test_a_page_may_read_all_that_our_answers_say() -> None:
    texts = [it.read_text() for it in SOURCES.rglob("*.py")]
    ours = {it for text in texts for it in re.findall(r'b"(x-(?:roost|etcd|raft)-[a-z-]+)"', text)}
    assert "x-roost-missing" in ours
    assert (ours - SAID_BY_CLIENTS) | {"retry-after"} <= listed(b"access-control-expose-headers")


def test_lines_and_fields_say_the_same() -> None:
    origins = Origins(("http://a", "http://b"))
    for origin in (b"http://a", b"http://b", b"http://c", b""):
        lines = b"".join(b"%b: %b\r\n" % it for it in origins.fields(origin))
        assert lines == origins.lines(origin)
        assert lines.startswith(b"vary: origin\r\n"), "to a cache it is another answer"
        assert (b"access-control" in lines) is (origin in (b"http://a", b"http://b"))
    assert Origins(()).lines(b"http://a") == b""
    assert Origins(("*",)).fields(b"") == Origins(("*", "http://a")).fields(b"http://a")


def test_a_host_is_known_by_its_name_whatever_its_port() -> None:
    hosts = Hosts(("good", "::1"))
    for host in (b"good", b"good:1", b"[::1]:2", b"[::1]"):
        assert not hosts.refusal(host, is_secure=False), host
    assert "evil" in hosts.refusal(b"evil:1", is_secure=False)
    assert not hosts.refusal(b"evil:1", is_secure=True)
    assert not Hosts(("*",)).refusal(b"evil", is_secure=False)
