"""Pages of members: etcd's forms and statuses, and what becomes of refusals."""

from collections.abc import Callable

import msgspec
import pytest

from roost.database.cluster import (
    AddMember,
    MemberChange,
    MemberRecord,
    RemoveMember,
    UpdateMember,
    operation_of,
)
from roost.database.member_errors import (
    BadPeerUrls,
    MemberExists,
    MemberGone,
    MemberNotFound,
    PeerUrlsTaken,
    TooFewStarted,
)
from roost.database.model import Txn
from roost.errors import RoostError
from roost.etcd.v2.members import METHODS
from roost.exchange import Answer
from roost.sim.members.loop import run_virtually
from tests.etcd.v2.face import Face, json_of

JSON = {b"content-type": b"application/json; charset=utf-8"}
OURS = {"id": "1", "name": "m", "peerURLs": ["http://peer"], "clientURLs": ["http://client"]}
NEW = MemberRecord(id=255, name="", peer_urls=("http://new",))
CHANGES: list[MemberChange] = [AddMember(peer_urls=()), UpdateMember(1, ()), RemoveMember(1)]


async def ask(
    face: Face, method: str, target: str, body: str = "", headers: dict[bytes, bytes] | None = None
) -> Answer:
    answer = await face.request(method, target, body, JSON if headers is None else headers)
    assert isinstance(answer, Answer)
    return answer


def answering(face: Face, outcome: list[MemberRecord] | RoostError) -> list[bytes]:
    """Have changes of members end so; what is asked of them."""
    asked: list[bytes] = []

    def run(_txn: Txn, body: bytes) -> bytes:
        asked.append(body)
        if isinstance(outcome, RoostError):
            raise outcome
        return msgspec.json.encode(outcome)

    for change in CHANGES:
        face.replica.register(operation_of(change), run)
    return asked


def test_members_are_shown_as_etcd_shows_them() -> None:
    async def story() -> None:
        with Face() as face:
            for target in ("/v2/members", "/v2/members/"):
                answer = await ask(face, "GET", target)
                assert (answer.status, json_of(answer)) == (200, {"members": [OURS]})
                assert (b"x-etcd-cluster-id", b"2") in answer.headers
            answer = await ask(face, "GET", "/v2/members/leader")
            assert (answer.status, json_of(answer)) == (200, OURS)
            answer = await ask(face, "GET", "/v2/members/1")
            assert (answer.status, json_of(answer)) == (404, {"message": "Not found"})
            face.replica.leader_id = 0
            answer = await ask(face, "GET", "/v2/members/leader")
            assert (answer.status, json_of(answer)) == (503, {"message": "During election"})

    run_virtually(story())


def test_urls_are_shown_as_text() -> None:
    async def story() -> None:
        with Face() as face:
            assert (await ask(face, "GET", "/v2/machines")).body == b"http://client"
            assert (await ask(face, "GET", "/v2/leader")).body == b"http://peer"
            for target in ("/v2/machines", "/v2/leader"):
                assert (await ask(face, "PUT", target)).status == 405
            face.replica.leader_id = 0
            answer = await ask(face, "GET", "/v2/leader")
            assert (answer.status, json_of(answer)["errorCode"]) == (500, 301)

    run_virtually(story())


def test_a_member_is_added_updated_and_removed() -> None:
    async def story() -> None:
        with Face() as face:
            asked = answering(face, [NEW])
            answer = await ask(face, "POST", "/v2/members", '{"peerURLs":["http://new"]}')
            shown = {"id": "ff", "name": "", "peerURLs": ["http://new"], "clientURLs": []}
            assert (answer.status, json_of(answer)) == (201, shown)
            answer = await ask(face, "PUT", "/v2/members/ff", '{"peerURLs":["http://newer"]}')
            assert (answer.status, answer.body) == (204, b"")
            answer = await ask(face, "DELETE", "/v2/members/ff")
            assert (answer.status, answer.body) == (204, b"")
            assert [msgspec.json.decode(it) for it in asked] == [
                {"peer_urls": ["http://new"], "is_learner": False},
                {"id": 255, "peer_urls": ["http://newer"]},
                {"id": 255},
            ]

    run_virtually(story())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemberExists, 409),
        (PeerUrlsTaken, 409),
        (BadPeerUrls, 400),
        (MemberNotFound, 404),
        (TooFewStarted, 500),
    ],
)
def test_a_refusal_has_its_status(error: Callable[[], RoostError], status: int) -> None:
    async def story() -> None:
        with Face() as face:
            answering(face, error())
            for method, target in (("POST", "/v2/members"), ("PUT", "/v2/members/a")):
                answer = await ask(face, method, target, '{"peerURLs":[]}')
                assert answer.status == status
                assert json_of(answer)["message"]

    run_virtually(story())


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (MemberNotFound, 404, "No such member: ff"),
        (MemberGone, 410, "Member permanently removed: ff"),
    ],
)
def test_a_member_that_was_removed_is_gone_for_good(
    error: Callable[[], RoostError], status: int, message: str
) -> None:
    async def story() -> None:
        with Face() as face:
            answering(face, error())
            answer = await ask(face, "DELETE", "/v2/members/ff")
            assert (answer.status, json_of(answer)) == (status, {"message": message})

    run_virtually(story())


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", "/v2/members", "{", 400),
        ("POST", "/v2/members", '{"peerURLs":7}', 400),
        ("POST", "/v2/members", '{"peerURLs":["\udce9"]}', 400),
        ("PUT", "/v2/members/xyz", "{}", 404),
        ("DELETE", "/v2/members/10000000000000000", "", 404),
        ("DELETE", "/v2/members/-1", "", 404),
        ("DELETE", "/v2/members", "", 405),
        ("PATCH", "/v2/members", "", 405),
    ],
)
def test_what_is_no_request_is_refused(method: str, target: str, body: str, status: int) -> None:
    async def story() -> None:
        with Face() as face:
            asked = answering(face, [NEW])
            raw = body.encode(errors="surrogateescape")
            answer = await face.request(method, target, raw, JSON)
            assert isinstance(answer, Answer)
            assert answer.status == status
            assert asked == []
            if method not in METHODS:
                assert (b"allow", ",".join(METHODS).encode()) in answer.headers

    run_virtually(story())


def test_a_body_that_is_no_json_is_named() -> None:
    async def story() -> None:
        with Face() as face:
            answer = await ask(face, "POST", "/v2/members", "{}", {b"content-type": b"text/plain"})
            message = "Bad Content-Type text/plain, accept application/json"
            assert (answer.status, json_of(answer)) == (415, {"message": message})

    run_virtually(story())


def test_a_change_that_nobody_answers_ends() -> None:
    async def story() -> None:
        with Face(v2_request_s=3.0) as face:

            def never(*_asked: object) -> None:
                """Say nothing."""

            face.replica.transact_nowait = never  # type: ignore[method-assign,assignment]  # silent
            answer = await ask(face, "DELETE", "/v2/members/ff")
            assert (answer.status, json_of(answer)["message"]) == (
                500,
                "etcdserver: request timed out",
            )

    run_virtually(story())
