"""SRV records are looked up at a name server that is said; what it cannot say is asked again."""

import sys

import pytest

from roost.cli.discovery.asking import CannotDiscover, Unanswered
from roost.cli.discovery.srv import DnsResolver, Record, looked_up, names_of
from tests.cli.discovery.names import NameServer

DOMAIN = "etcd.example.com"
SECURE, PLAIN = (name for name, _ in names_of("server", "", DOMAIN))


def test_records_come_in_an_order_that_is_the_same_for_everybody() -> None:
    pytest.importorskip("dns", reason="dnspython (extra `dns`) is not here")
    rows = [(0, 1, 2380, "b.example.com"), (0, 1, 2380, "a.example.com")]
    records = {SECURE: [(9, 0, 2381, "s.example.com.")], PLAIN: rows}
    with NameServer(records) as server:
        found = looked_up(DnsResolver(server.place), "server", "", f"{DOMAIN}.")
    assert found == [
        ("http", Record("a.example.com", 2380, 0, 1)),
        ("http", Record("b.example.com", 2380, 0, 1)),
        ("https", Record("s.example.com", 2381, 9, 0)),
    ]
    assert set(server.asked) == {SECURE, PLAIN}


def test_a_service_has_names_of_its_own() -> None:
    pytest.importorskip("dns", reason="dnspython (extra `dns`) is not here")
    with NameServer({"_etcd-client-blue._tcp.x.org": [(0, 0, 1, "h")]}) as server:
        assert looked_up(DnsResolver(server.place), "client", "blue", "x.org") == [
            ("http", Record("h", 1)),
        ]


def test_where_there_is_no_record_that_is_said_and_a_failing_server_is_no_answer() -> None:
    pytest.importorskip("dns", reason="dnspython (extra `dns`) is not here")
    # A dot alone says that the service is decidedly not there (RFC 2782).
    with (
        NameServer({SECURE: [(0, 0, 0, ".")]}) as server,
        pytest.raises(CannotDiscover, match=rf"neither {SECURE} nor {PLAIN}"),
    ):
        looked_up(DnsResolver(server.place), "server", "", DOMAIN)
    with NameServer({SECURE: None}) as server, pytest.raises(Unanswered, match=SECURE):
        looked_up(DnsResolver(server.place), "server", "", DOMAIN)


@pytest.mark.parametrize("server", ["ns.example.com", "127.0.0.1:x", "127.0.0.1:0", "[::1]:99999"])
def test_a_name_server_is_an_address(server: str) -> None:
    pytest.importorskip("dns", reason="dnspython (extra `dns`) is not here")
    with pytest.raises(CannotDiscover, match="--discovery-dns"):
        DnsResolver(server)


def test_without_dnspython_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    with pytest.raises(CannotDiscover, match=r"roost\[dns\]"):
        DnsResolver()
