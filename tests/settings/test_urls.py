"""Where is listened, and what others are told: forms, what follows from what, what is in doubt."""

import socket
from pathlib import Path

import pytest

from roost.cli.serve import take_places
from roost.cli.settings import load_settings
from roost.errors import RoostError
from roost.member.settings import member_config
from roost.places import describe
from roost.server import CannotListen, bind
from roost.settings import BadSetting, Settings
from roost.settings.urls import doubts, parse_url, parse_urls, told_to_clients
from roost.testing.ports import free_ports


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://h:1", "must begin with http://"),
        ("127.0.0.1:2379", "must begin with http://"),
        ("localhost:2379", "must begin with http://"),
        ("http://h", "must be of the form http://host:port"),
        ("https://:1", "must be of the form https://host:port"),
        ("http://u@h:1", "must be of the form"),
        ("http://h:1/path", "must not have a path"),
        ("http://h:1?q", "must not have a path"),
        ("http://h:99999", "is not a URL"),
        ("http://h:x", "is not a URL"),
        ("unix://", "must begin with"),
    ],
)
def test_a_url_of_another_form_is_refused_by_its_flag(text: str, words: str) -> None:
    for flag in ("listen-client-urls", "advertise-client-urls", "initial-advertise-peer-urls"):
        with pytest.raises(RoostError, match=f"--{flag}.*{words}"):
            member_config(load_settings({flag: text}, {}))


@pytest.mark.parametrize(
    "flag", ["listen-client-urls", "listen-peer-urls", "initial-advertise-peer-urls"]
)
def test_there_is_somewhere_to_listen(flag: str) -> None:
    with pytest.raises(BadSetting, match=f"--{flag} must not be empty"):
        member_config(load_settings({flag: ","}, {}))


def test_a_slash_behind_a_url_is_nothing() -> None:
    text = "http://a:1/, https://b:2/"
    settings = load_settings({"listen-client-urls": text, "initial-cluster": "m=http://p:1/"}, {})
    assert settings.listen_client_urls == ("http://a:1", "https://b:2")
    assert member_config(settings).initial_cluster == {"m": ("http://p:1",)}


def test_paths_are_those_of_etcds_unix_urls() -> None:
    assert parse_url("f", "unix:///run/r.sock").place == Path("/run/r.sock")
    assert parse_url("f", "unixs://localhost:2379") == parse_url("f", "unixs://localhost:2379")
    assert parse_url("f", "unixs://localhost:2379").place == Path("localhost:2379")
    assert parse_url("f", "unixs://x").is_secure
    with pytest.raises(RoostError, match="must be of the form http"):
        member_config(load_settings({"listen-peer-urls": "unix:///x"}, {}))


@pytest.mark.parametrize(
    ("listens", "peers", "told"),
    [
        ("http://localhost:2379", "http://localhost:2380", "http://localhost:2379"),
        ("http://10.0.0.1:1,unix:///s", "http://10.0.0.1:2", "http://10.0.0.1:1,unix:///s"),
        ("http://0.0.0.0:2379", "http://10.0.0.1:2380", "http://10.0.0.1:2379"),
        ("https://[::]:2379", "https://[fe80::1]:2380", "https://[fe80::1]:2379"),
        ("http://0.0.0.0:2379", "http://0.0.0.0:2380", "http://localhost:2379"),
    ],
)
def test_others_are_told_of_what_is_listened_on(listens: str, peers: str, told: str) -> None:
    given = {"listen-client-urls": listens, "initial-advertise-peer-urls": peers}
    assert told_to_clients(load_settings(given, {})) == tuple(told.split(","))
    given["advertise-client-urls"] = "http://elsewhere:1"
    assert told_to_clients(load_settings(given, {})) == ("http://elsewhere:1",)


@pytest.mark.parametrize(
    ("listens", "told", "words"),
    [
        ("http://localhost:1", "http://127.0.0.1:1", []),
        ("http://0.0.0.0:1", "http://10.0.0.1:1", []),
        ("http://10.0.0.1:1", "http://node:7", []),
        ("http://10.0.0.1:1", "http://localhost:1", ["only this one reaches"]),
        ("http://127.0.0.1:1", "http://10.0.0.1:1", ["hears only itself"]),
        ("http://10.0.0.1:1", "http://0.0.0.0:1", ["0.0.0.0 means every machine to itself"]),
        ("http://10.0.0.1:1", "https://10.0.0.1:1", ["says https"]),
        ("https://10.0.0.1:1", "http://10.0.0.1:1", ["says http,"]),
        ("unix:///s", "unix:///s", []),
    ],
)
def test_what_is_told_and_cannot_be_true_is_said(listens: str, told: str, words: list[str]) -> None:
    given = {"listen-client-urls": listens, "advertise-client-urls": told}
    found = doubts(load_settings(given, {}))
    assert len(found) == len(words)
    for said, word in zip(found, words, strict=True):
        assert word in said


def test_a_place_that_is_taken_is_named(tmp_path: Path) -> None:
    port, other = free_ports(2)
    with socket.create_server(("127.0.0.1", port)):
        for flag in ("listen-client-urls", "listen-peer-urls", "listen-metrics-urls"):
            given = {
                "listen-client-urls": f"http://127.0.0.1:{other}",
                "listen-peer-urls": "http://127.0.0.1:0",
                flag: f"http://127.0.0.1:{port}",
            }
            with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: Address already in use"):
                take_places(load_settings(given, {}))
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(CannotListen, match=f"cannot listen on {host}:1: "):
            bind((host, 1))
    for host in ("a" * 64, "two..example"):
        with pytest.raises(CannotListen, match="that is no name of a host"):
            bind((host, 1))
    with pytest.raises(CannotListen, match="path too long"):
        bind(tmp_path / ("s" * 200))
    path = tmp_path / "socket"
    [first] = bind(path)
    first.listen()
    with pytest.raises(CannotListen, match=f"{path}: Address already in use"):
        bind(path)
    first.close()
    [second] = bind(path)  # nobody listens there any more
    second.close()


def test_a_place_is_listened_on_once() -> None:
    first, second = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    given = {
        "listen-client-urls": f"{first},{first}/",
        "listen-peer-urls": second,
        "listen-metrics-urls": "",
    }
    [sockets] = take_places(load_settings(given, {})).values()
    for sock in sockets:
        sock.close()
    assert told_to_clients(load_settings(given, {})) == (first,)
    for flag in ("listen-metrics-urls", "listen-peer-urls"):
        with pytest.raises(BadSetting, match=f"--{flag}: .* is in --listen-client-urls already"):
            take_places(load_settings({**given, flag: first}, {}))


def test_a_place_is_written_as_people_write_it() -> None:
    assert describe(("::1", 5)) == "[::1]:5"
    assert [it.host for it in parse_urls("f", Settings().listen_client_urls)] == ["localhost"]
