"""Members say who they are; what of that is of no use is left out."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from roost.cli.gateway.following import Follower
from roost.cli.gateway.targets import Target
from roost.testing.ports import free_ports


class Member:
    """One that says what a test has written."""

    def __init__(self) -> None:
        self.said: Any = {}
        inner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                body = json.dumps(inner.said).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.target = Target("127.0.0.1", self.server.server_port)


@pytest.fixture
def member() -> Iterator[Member]:
    found = Member()
    thread = Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def urls(*rows: tuple[str, bool]) -> dict[str, Any]:
    return {"members": [{"clientURLs": [url], "isLearner": learner} for url, learner in rows]}


def test_those_that_members_name_come_first_and_those_given_behind_them(member: Member) -> None:
    follower = Follower([member.target], None)
    member.said = urls(
        ("http://10.0.0.1:2379", False),
        ("https://h2:2379", False),
        ("http://10.0.0.3:2379", True),
        ("unix:///run/x", False),
    )
    assert follower.ask([member.target]) == [
        Target("10.0.0.1", 2379),
        Target("h2", 2379),
        Target("127.0.0.1", member.target.port, priority=1),
    ]
    member.said = urls((f"http://127.0.0.1:{member.target.port}", False))
    assert follower.ask([member.target]) == [member.target]


def test_what_only_members_reach_is_no_place(member: Member) -> None:
    afar = Follower([Target("10.0.0.9", 2379)], None)
    member.said = urls(("http://localhost:2379", False))
    assert afar.ask([member.target]) is None


@pytest.mark.parametrize(
    "said", [{}, {"members": 7}, {"members": [{"clientURLs": ["http://[x"]}]}, 7]
)
def test_nonsense_changes_nothing(member: Member, said: object) -> None:
    member.said = said
    assert Follower([member.target], None).ask([member.target]) is None


def test_nobody_says_anything() -> None:
    assert Follower([], None).ask([]) is None


def test_after_one_that_talks_nonsense_the_next_is_asked_and_nobody_after_a_stop(
    member: Member,
) -> None:
    [nobody] = free_ports(1)
    follower = Follower([member.target], None)
    member.said = urls(("http://127.0.0.1", False), ("https://127.0.0.1", False))
    found = follower.ask([Target("127.0.0.1", nobody), member.target])
    # Without a port it is the scheme's.
    assert found is not None
    assert found[:2] == [Target("127.0.0.1", 80), Target("127.0.0.1", 443)]
    follower.stop()
    assert follower.ask([member.target]) is None
