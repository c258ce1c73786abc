"""What wins at a start, in its order: data, then the one thing that says who the members are."""

from pathlib import Path
from typing import Any, cast

import pytest

import roost
from roost.cli.discovery import bootstrap
from roost.cli.discovery.asking import CannotDiscover, server_of
from roost.cli.discovery.bootstrap import found
from roost.cli.discovery.first import Place
from roost.cli.discovery.srv import Record, Resolver
from roost.cli.settings import load_settings
from roost.settings import Settings
from tests.cli.discovery.starts import never

# No port of loopback that anybody answers at: whoever asks there has failed the test.
NOWHERE = "http://127.0.0.1:9/t"
ASKS: dict[str, dict[str, Any]] = {
    "discovery": {"discovery": NOWHERE},
    "token": {"discovery_token": "t", "discovery_endpoints": (NOWHERE,)},
    "srv": {"discovery_srv": "d"},
}


class NoNames:
    def records(self, name: str) -> list[Record]:
        raise AssertionError(f"nobody looks up {name}")


def no_names(_server: str) -> Resolver:
    return NoNames()


@pytest.mark.parametrize("asks", ASKS.values(), ids=ASKS)
def test_data_wins_over_all_that_could_be_asked(asks: dict[str, Any], tmp_path: Path) -> None:
    with roost.open(tmp_path / "d"):
        pass
    settings = Settings(data_dir=str(tmp_path / "d"), **asks)
    assert found(settings, never, no_names).settings is settings
    forced = Settings(data_dir=str(tmp_path / "none"), force_new_cluster=True, **asks)
    assert found(forced, never, no_names).settings is forced


def test_without_anything_nothing_is_asked(tmp_path: Path) -> None:
    for more in ({}, {"initial_cluster": "default=http://localhost:2380"}):
        settings = Settings(data_dir=str(tmp_path / "none"), **more)  # type: ignore[arg-type]  # texts
        assert found(settings, never, no_names).settings is settings


@pytest.mark.parametrize(
    "more", [{"initial_cluster": "m0=http://h:1"}, {"discovery": "http://h/t"}]
)
@pytest.mark.parametrize("asks", [ASKS["token"], ASKS["srv"]], ids=["token", "srv"])
def test_two_that_say_it_are_refused(asks: dict[str, Any], more: dict[str, str]) -> None:
    with pytest.raises(CannotDiscover, match="give one of them"):
        found(Settings(**asks, **more), never, no_names)  # type: ignore[arg-type]  # texts


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"discovery-fallback": "stay"}, "one of exit, learner, proxy"),
        ({"discovery-token": "t"}, "go together"),
        ({"discovery-endpoints": "http://h:1"}, "go together"),
        (
            {
                "discovery-token": "t",
                "discovery-endpoints": "http://h:1",
                "initial-cluster-state": "existing",
            },
            "first members of a new",
        ),
    ],
)
def test_what_does_not_fit_is_refused(flags: dict[str, str], reason: str, tmp_path: Path) -> None:
    settings = load_settings({**flags, "data-dir": str(tmp_path / "none")}, {})
    with pytest.raises(CannotDiscover, match=reason):
        found(settings, never, no_names)


@pytest.mark.parametrize("url", ["127.0.0.1:2379", "ftp://h", "http://h:x", "unix://p"])
def test_an_endpoint_is_a_url(url: str) -> None:
    with pytest.raises(CannotDiscover, match="--discovery-endpoints"):
        server_of("discovery-endpoints", url, lambda: None)  # type: ignore[arg-type, return-value]  # never called


class Sockets:
    """A place whose members have written down what only their own machine reaches."""

    flag = "discovery"

    def client_urls(self) -> list[str]:
        return ["unix:///run/m1"]


def test_who_comes_late_to_members_that_nobody_reaches_is_told() -> None:
    with pytest.raises(CannotDiscover, match=r"unix:///run/m1 alone.*roost member add"):
        bootstrap._late(Settings(), cast("Place", Sockets()), never)


class OneName:
    def records(self, name: str) -> list[Record]:
        return [] if "ssl" in name else [Record("h1", 2380)]


def test_names_are_unknown_to_first_members_alone_that_dns_names(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=str(tmp_path / "none"),
        discovery_srv="d",
        initial_advertise_peer_urls=("http://h1:2380",),
    )
    said = found(settings, never, lambda _server: OneName())
    assert (said.is_nameless, said.settings.initial_cluster) == (True, "h1:2380=http://h1:2380")
