"""What an endpoint may look like, and what is said of others."""

import pytest

from roost.client import BadEndpoint, Client
from roost.client.endpoints import Endpoint, parse_endpoints


@pytest.mark.parametrize(
    ("said", "address", "is_secure"),
    [
        ("127.0.0.1:2379", "127.0.0.1:2379", False),
        ("http://host:1", "host:1", False),
        ("http://host:1/", "host:1", False),
        ("https://host:1", "host:1", True),
        ("[::1]:2379", "[::1]:2379", False),
        ("https://[::1]:2379/", "[::1]:2379", True),
        ("unix:///run/roost.sock", "unix:/run/roost.sock", False),
        ("unixs://localhost:0", "unix:localhost:0", True),
    ],
)
def test_an_endpoint_is_a_host_and_a_port_or_a_url(
    said: str, address: str, *, is_secure: bool
) -> None:
    assert parse_endpoints(said) == [Endpoint(said, address, is_secure)]


def test_several_endpoints_are_one_text_or_a_sequence() -> None:
    names = ["a:1", "b:2", "c:3"]
    assert [it.name for it in parse_endpoints("a:1, b:2,c:3")] == names
    assert [it.name for it in parse_endpoints(names)] == names
    with Client("127.0.0.1:2379") as client:
        assert client.endpoints == ["127.0.0.1:2379"]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ([], "no endpoint is given: say host:port, as in 127.0.0.1:2379"),
        ("", "no endpoint is given"),
        ([""], "no endpoint is given"),
        ("a:1,", "an endpoint is empty"),
        ("localhost", "endpoint 'localhost' has no port"),
        (":2379", "endpoint ':2379' has no host"),
        ("host:port", "Port could not be cast"),
        ("host:99999", "Port out of range"),
        ("ftp://host:1", "has another scheme than http and https"),
        ("http//host:1", "more than a host and a port"),
        ("http://host:1/v3", "more than a host and a port"),
        ("http://me:secret@host:1", "more than a host and a port"),
        ("::1:2379", "'::1:2379'"),
        ("ho st:1", "has a space in it"),
        ("unix://", "names no socket"),
    ],
)
def test_an_endpoint_that_cannot_be_one_is_refused_with_the_next_step(
    said: str | list[str], text: str
) -> None:
    with pytest.raises(BadEndpoint) as caught:
        Client(said)
    assert text in str(caught.value)
