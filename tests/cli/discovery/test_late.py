"""Whoever comes late is added once, and told why when it is not."""

import json
from typing import Any

import pytest

from roost.cli.answers import Answer
from roost.cli.discovery.asking import (
    CannotDiscover,
    Json,
    Members,
    SaidNo,
    Unanswered,
    read_json,
)
from roost.cli.discovery.late import added_late
from roost.settings import Settings
from tests.cli.discovery.starts import never

SETTINGS = Settings(name="m4", initial_advertise_peer_urls=("http://h4:2380",))
OTHERS = [{"name": "m1", "peerURLs": ["http://h1:2380"]}, {"peerURLs": ["http://h2:2380"]}]
ALL: Json = {"members": [*OTHERS, {"peerURLs": ["http://h4:2380"]}]}


class Played(Members):
    """A member whose answers a test has written."""

    def __init__(self, *answers: Json | Exception) -> None:
        super().__init__([], within_s=1.0)
        self._answers = list(answers)
        self.asked: list[tuple[str, Json]] = []

    def call(self, path: str, asked: Json) -> Json:
        self.asked.append((path.rpartition("/")[2], asked))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_it_is_added_as_a_learner_and_joins() -> None:
    members = Played({"members": OTHERS}, ALL)
    found = added_late(SETTINGS, members, never)
    assert found.initial_cluster == "m1=http://h1:2380,m4=http://h4:2380"
    assert found.initial_cluster_state == "existing"
    wish = {"peerURLs": ["http://h4:2380"], "isLearner": True}
    assert members.asked == [("list", {}), ("add", wish)]


def test_one_whose_answer_was_lost_is_not_added_twice() -> None:
    paused: list[float] = []
    members = Played({"members": OTHERS}, Unanswered("lost"), ALL)
    added_late(SETTINGS, members, paused.append)
    assert [name for name, _ in members.asked] == ["list", "add", "list"]
    assert paused == [2.0]


def test_what_is_better_later_is_asked_later_and_the_rest_refused() -> None:
    paused: list[float] = []
    not_yet = SaidNo(14, "etcdserver: re-configuration failed due to not enough started members")
    members = Played({"members": OTHERS}, not_yet, {"members": OTHERS}, ALL)
    added_late(SETTINGS, members, paused.append)
    assert paused == [2.0]
    for answer, reason in (
        (SaidNo(9, "too many learner members"), "too many learner.*roost member add"),
        ({"members": 7}, "is no member"),
        ({"members": [OTHERS[1], {"peerURLs": ["http://h4:2380"]}]}, "nobody has started"),
    ):
        with pytest.raises(CannotDiscover, match=reason):
            added_late(SETTINGS, Played(answer), never)  # type: ignore[arg-type]  # a part of JSON


def said(status: int, body: Any) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


def test_a_gateway_says_no_or_not_now() -> None:
    assert read_json(said(200, {"a": 1})) == {"a": 1}
    with pytest.raises(SaidNo, match="denied") as refused:
        read_json(said(403, {"code": 7, "message": "denied"}))
    assert refused.value.code == 7
    with pytest.raises(Unanswered, match="no leader"):
        read_json(said(503, {"code": 14, "error": "no leader"}))
    with pytest.raises(Unanswered, match="502"):
        read_json(Answer(502, {}, b"<html>"))
    with pytest.raises(SaidNo, match="no gateway"):
        read_json(Answer(404, {}, b"404 page not found\n"))
