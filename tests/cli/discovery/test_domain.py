"""Members that DNS names begin one cluster, each under its own name."""

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import pytest

from roost.cli.discovery.asking import CannotDiscover, Unanswered
from roost.cli.discovery.domain import found_by_domain
from roost.cli.discovery.srv import Record, names_of
from roost.settings import Settings
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from tests.cli.discovery.names import NameServer
from tests.cli.discovery.starts import SERVE, flags_of, member_of, members_at, never, rows_at

SECURE, PLAIN = (name for name, _ in names_of("server", "", "d"))


class Table:
    """Records that a test has written; a name may fail first."""

    def __init__(self, records: dict[str, list[Record]], failures: int = 0) -> None:
        self._records = records
        self._failures = failures

    def records(self, name: str) -> list[Record]:
        if self._failures:
            self._failures -= 1
            raise Unanswered("not now")
        return self._records.get(name, [])


TWO = {PLAIN: [Record("h2", 2380), Record("h1", 2380)]}


def told(*urls: str, **more: str) -> Settings:
    return Settings(discovery_srv="d", initial_advertise_peer_urls=urls, **more)  # type: ignore[arg-type]  # all are texts


def test_all_members_are_told_the_same_and_a_name_server_may_fail_for_a_while() -> None:
    paused: list[float] = []
    table = Table(TWO, failures=1)
    found = found_by_domain(told("http://h1:2380"), table, paused.append)
    assert found.initial_cluster == "h1:2380=http://h1:2380,h2:2380=http://h2:2380"
    assert found.initial_advertise_peer_urls == ("http://h1:2380",)
    assert paused == [2.0]


def test_a_member_is_known_by_where_it_is() -> None:
    """And then its peer URL is what the record says, as the others have it."""
    table = Table({PLAIN: [Record("localhost", 2380), Record("h2", 2380)]})
    found = found_by_domain(told("http://127.0.0.1:2380"), table, never)
    assert found.initial_advertise_peer_urls == ("http://localhost:2380",)


@pytest.mark.parametrize(
    ("records", "url", "reason"),
    [
        ({}, "http://h1:2380", "neither"),
        (TWO, "http://192.0.2.1:2380", "none is this member's"),
        (TWO, "http://h1:9", "none is this member's"),
        ({SECURE: [Record("localhost", 2380)]}, "http://127.0.0.1:2380", "the records say https:"),
        (
            {PLAIN: [Record("127.0.0.1", 2380), Record("localhost", 2380)]},
            "http://127.0.0.1:2380",
            "",
        ),
    ],
)
def test_records_that_do_not_fit_are_refused(
    records: dict[str, list[Record]], url: str, reason: str
) -> None:
    table = Table(records)
    if reason:
        with pytest.raises(CannotDiscover, match=reason):
            found_by_domain(told(url), table, never)
    else:  # what is said letter by letter is meant
        found = found_by_domain(told(url), table, never)
        assert found.initial_advertise_peer_urls == (url,)


def test_records_of_which_several_are_this_member_are_refused() -> None:
    table = Table({PLAIN: [Record("h1", 1), Record("h1", 2)]})
    with pytest.raises(CannotDiscover, match="several are this member's"):
        found_by_domain(told("http://h1:1", "http://h1:2"), table, never)


def test_whoever_joins_need_not_be_among_them() -> None:
    settings = told("http://h3:2380", initial_cluster_state="existing")
    found = found_by_domain(settings, Table(TWO), never)
    assert found == dataclasses.replace(
        settings, initial_cluster="h1:2380=http://h1:2380,h2:2380=http://h2:2380"
    )


@pytest.mark.slow
@pytest.mark.cluster
def test_members_begin_with_what_dns_says_and_have_their_names(tmp_path: Path) -> None:
    pytest.importorskip("dns", reason="dnspython (extra `dns`) is not here")
    ports = free_ports(4)
    rows = [(0, 0, ports[1], "localhost."), (0, 0, ports[3], "localhost.")]
    with NameServer({PLAIN: rows}) as server, ExitStack() as stack:
        more = ["--discovery-srv=d", f"--discovery-dns={server.place}"]
        for name, own in (("r1", ports[:2]), ("r2", ports[2:])):
            stack.enter_context(member_of(*SERVE, *flags_of(tmp_path, name, own, *more)))
        for port in (ports[0], ports[2]):
            wait_until(lambda port=port: members_at(port) == ["r1", "r2"])  # type: ignore[misc]  # mypy #15459
        urls = {it["name"]: it["peerURLs"] for it in rows_at(ports[0])}
    assert urls == {
        "r1": [f"http://localhost:{ports[1]}"],
        "r2": [f"http://localhost:{ports[3]}"],
    }
