"""Who is let in from elsewhere; how pages and exchanges ask stands in their own tests."""

from roost.server.origins import Hosts, Origins


def test_lines_and_fields_say_the_same() -> None:
    origins = Origins(("http://a", "http://b"))
    for origin in (b"http://a", b"http://b", b"http://c", b""):
        lines = b"".join(b"%b: %b\r\n" % it for it in origins.fields(origin))
        assert lines == origins.lines(origin)
        assert bool(lines) is (origin in (b"http://a", b"http://b"))
    assert Origins(("*",)).fields(b"") == Origins(("*", "http://a")).fields(b"http://a")


def test_a_host_is_known_by_its_name_whatever_its_port() -> None:
    hosts = Hosts(("good", "::1"))
    for host in (b"good", b"good:1", b"[::1]:2", b"[::1]"):
        assert not hosts.refusal(host, is_secure=False), host
    assert "evil" in hosts.refusal(b"evil:1", is_secure=False)
    assert not hosts.refusal(b"evil:1", is_secure=True)
    assert not Hosts(("*",)).refusal(b"evil", is_secure=False)
