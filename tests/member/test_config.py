"""What a member is told: refused at the border, in the words of the flag, when it cannot work."""

from dataclasses import replace
from pathlib import Path

import pytest

from roost.member import MemberConfig
from roost.member.config import added_anew, address_of
from roost.member.errors import BadMemberConfig

URL = ("http://10.0.0.1:2380",)
GOOD = MemberConfig(
    name="m",
    data_dir=Path("m.etcd"),
    initial_cluster={"m": URL},
    advertise_peer_urls=URL,
    listen_peer_urls=URL,
)


def told(**changes: object) -> MemberConfig:
    return replace(GOOD, **changes)  # type: ignore[arg-type]  # a test's fields


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "name must not be empty"),
        ({"heartbeat_ms": 0}, "heartbeat-interval must be > 0"),
        ({"heartbeat_ms": 100, "election_ms": 499},
         "election-timeout is 499 ms: it must be at least 500, five times heartbeat-interval"),
        ({"listen_peer_urls": ("ftp://h:1",)}, "must be of the form http://host:port"),
        ({"advertise_peer_urls": ("http://h",)}, "must be of the form http://host:port"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_its_flag(changes: dict[str, object], words: str) -> None:
    with pytest.raises(BadMemberConfig, match=words):
        told(**changes)


def test_the_bound_itself_is_allowed() -> None:
    assert told(heartbeat_ms=100, election_ms=500).election_ms == 500


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://10.0.0.1:2380", ("10.0.0.1", 2380)),
        ("https://Member-1:2380", ("member-1", 2380)),
        ("http://[::1]:2380", ("::1", 2380)),
    ],
)
def test_a_url_is_a_host_and_a_port(url: str, address: tuple[str, int]) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url", ["", "10.0.0.1:2380", "http://:2380", "http://h:x", "http://h:99999", "http://[::1:2380"]
)
def test_what_is_no_such_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(BadMemberConfig):
        address_of(url)


@pytest.mark.parametrize("heartbeat_ms", [10, 100])
@pytest.mark.parametrize("election_ticks", [5, 10, 20])
def test_a_lease_ends_before_a_voter_may_vote_for_another(
    heartbeat_ms: int, election_ticks: int
) -> None:
    """By a tick, since a voter's first may be over; and by a quarter, since clocks differ."""
    election_ms = election_ticks * heartbeat_ms
    config = told(heartbeat_ms=heartbeat_ms, election_ms=election_ms, lease_reads=True)
    promised_s = (election_ticks - 1) * heartbeat_ms / 1000
    assert 0 < config.lease_s < 0.76 * promised_s
    assert replace(config, lease_reads=False).lease_s == 0


def first_words(config: MemberConfig) -> str:
    return added_anew(config).partition("`,")[0]


@pytest.mark.parametrize(
    ("advertised", "listened", "shown"),
    [
        (("http://a:1", "http://b:2"), URL, "http://a:1,http://b:2"),
        (("http://localhost:2380",), URL, "http://10.0.0.1:2380"),
    ],
)
def test_how_to_get_a_member_again_can_be_pasted(
    advertised: tuple[str, ...], listened: tuple[str, ...], shown: str
) -> None:
    """What was never said is taken from where it listens: localhost is of use to nobody else."""
    config = told(advertise_peer_urls=advertised, listen_peer_urls=listened)
    assert first_words(config) == f"`roost member add m --peer-urls {shown}"
