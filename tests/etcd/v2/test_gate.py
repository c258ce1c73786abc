"""Who asks v2, and what they may, as clients see it; what etcd says is in the differential test."""

from collections.abc import Awaitable, Callable

import bcrypt
import pytest

from roost.errors import Overloaded
from roost.etcd.access import attempts
from roost.etcd.v2 import gate
from roost.etcd.v2.changes import CHANGE
from roost.etcd.v2.faults import Reason
from roost.etcd.v2.values import Change, Failed, Kind, decode_outcome, encode
from roost.exchange import Answer, Streaming
from roost.outcome import Outcome
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.v2.crowd import ROOT, Checks, basic, cheap_passwords, populate, send
from tests.etcd.v2.face import Face, Sender, json_of

ALICE, WRONG = basic("alice", "pw"), basic("alice", "guess")


def story(tell: Callable[[Face, Checks], Awaitable[None]]) -> None:
    async def main() -> None:
        with cheap_passwords() as checks, Face() as face:
            await populate(face)
            await tell(face, checks)

    run_virtually(main())


async def status(face: Face, method: str, target: str, who: dict[bytes, bytes] | None) -> int:
    return (await send(face, method, f"/v2/keys{target}", headers=who)).status


def test_everybody_may_what_their_roles_say() -> None:
    async def tell(face: Face, _checks: Checks) -> None:
        assert await status(face, "PUT", "/a/x?value=1", ROOT) == 201
        assert await status(face, "GET", "/a/x", ALICE) == 200
        assert await status(face, "GET", "/a/?recursive=true", ALICE) == 200
        assert await status(face, "GET", "/a%2f", ALICE) == 200
        for method, target in (
            ("GET", "/a"), ("GET", "/b"), ("GET", ""), ("PUT", "/a/x?value=2"), ("PUT", "/b/"),
            ("DELETE", "/b?recursive=true"), ("POST", "/b/c"), ("GET", "/b?quorum=true"),
        ):  # fmt: skip
            assert await status(face, method, target, ALICE) == 401, (method, target)
        assert await status(face, "PUT", "/b?value=1", ALICE) == 201
        for stranger in (None, WRONG, basic("nobody", "pw"), {b"authorization": b"Bearer x"}):
            assert await status(face, "GET", "/a/x", stranger) == 401
            assert await status(face, "PUT", "/b?value=2", stranger) == 401

    story(tell)


def test_a_guest_needs_a_pattern_for_a_whole_directory() -> None:
    """etcd looks at the path alone when nobody says who it is."""

    async def tell(face: Face, _checks: Checks) -> None:
        grant = {"role": "guest", "grant": {"kv": {"read": ["/a"], "write": ["/a"]}}}
        assert (await send(face, "PUT", "/v2/auth/roles/guest", grant, ROOT)).status == 200
        assert await status(face, "PUT", "/a/x?value=1", ROOT) == 201
        assert await status(face, "GET", "/a", None) == 200
        assert await status(face, "GET", "/a?recursive=true", None) == 401
        assert await status(face, "DELETE", "/a?recursive=true", None) == 401

    story(tell)


def test_a_password_is_checked_once_for_as_long_as_its_hash_stands() -> None:
    async def tell(face: Face, checks: Checks) -> None:
        before = checks.checked
        for _ in range(3):
            assert await status(face, "PUT", "/b?value=1", ALICE) in (200, 201)
        assert checks.checked == before + 1
        changed = {"user": "alice", "password": "other"}
        assert (await send(face, "PUT", "/v2/auth/users/alice", changed, ROOT)).status == 200
        assert await status(face, "PUT", "/b?value=1", ALICE) == 401
        assert await status(face, "PUT", "/b?value=1", basic("alice", "other")) == 200

    story(tell)


def test_passwords_that_are_known_again_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "KNOWN_MAX", 1)

    async def tell(face: Face, checks: Checks) -> None:
        before = checks.checked
        for who in (ALICE, ROOT, ALICE):
            assert await status(face, "GET", "/a/", who) in (200, 404)
        assert checks.checked == before + 3

    story(tell)


def test_whoever_guesses_is_refused_and_nobody_else() -> None:
    async def tell(face: Face, _checks: Checks) -> None:
        guesser = Sender(address="10.0.0.9")

        async def guess(password: str) -> Answer:
            who = basic("alice", password)
            return await send(face, "GET", "/v2/keys/a/", headers=who, sender=guesser)

        for number in range(attempts.FAILURES_MAX):
            assert (await guess(f"guess{number}")).status == 401
        refused = await guess("pw")
        assert refused.status == 500
        assert "too many failed" in json_of(refused)["cause"]
        assert await status(face, "GET", "/a/", ALICE) == 404

    story(tell)


def test_a_change_is_judged_by_the_state_in_which_it_runs() -> None:
    async def tell(face: Face, _checks: Checks) -> None:
        body = encode(Change(Kind.SET, b"/b", value=b"x"))
        said: list[Outcome] = []
        # As another member sends it that has not heard yet that requests are judged.
        face.replica.transact_nowait(CHANGE, body, said.append)
        # As it sends what somebody asked whose password is another by now.
        visitor = gate.Visitor("", "", "", Sender().flow, "alice", b"#old")
        denied: list[bytes] = []
        face.v2._interface._gate.write(visitor, CHANGE, body, denied.append, lambda _: None)
        for answer in (said[0], denied[0]):
            assert isinstance(answer, bytes)
            outcome = decode_outcome(answer)
            assert isinstance(outcome, Failed)
            assert outcome.reason is Reason.UNAUTHORIZED
        assert await status(face, "GET", "/b", ROOT) == 404

    story(tell)


def test_watches_end_when_users_or_roles_change() -> None:
    async def tell(face: Face, _checks: Checks) -> None:
        streaming = await face.request("GET", "/v2/keys/a/?wait=true&recursive=true", headers=ALICE)
        assert isinstance(streaming, Streaming)
        pieces = aiter(streaming.pieces)
        await send(face, "DELETE", "/v2/auth/roles/r", headers=ROOT)
        await until_idle()
        assert b"watch again" in await anext(pieces)
        streaming.close()
        assert await status(face, "GET", "/a/?wait=true", ALICE) == 401

    story(tell)


def test_locks_are_keys_like_others() -> None:
    async def tell(face: Face, _checks: Checks) -> None:
        target = "/mod/v2/lock/x?ttl=10&timeout=0"
        assert (await send(face, "POST", target, headers=ALICE)).status == 401
        assert (await send(face, "GET", target, headers=ALICE)).status == 401
        assert (await send(face, "POST", target, headers=ROOT)).status == 200
        assert (await send(face, "GET", target, headers=ROOT)).body == b"-"

    story(tell)


def test_members_and_users_are_changed_by_root_only() -> None:
    async def tell(face: Face, _checks: Checks) -> None:
        for method, target in (
            ("GET", "/v2/auth/users"), ("GET", "/v2/auth/roles/r"), ("DELETE", "/v2/auth/enable"),
            ("PUT", "/v2/auth/users/eve"), ("DELETE", "/v2/members/1"), ("POST", "/v2/members"),
        ):  # fmt: skip
            for who in (None, ALICE, WRONG):
                answer = await send(face, method, target, {"user": "eve", "password": "x"}, who)
                assert (answer.status, json_of(answer)) == (
                    401,
                    {"message": "Insufficient credentials"},
                )
        assert (await send(face, "GET", "/v2/members")).status == 200
        assert (await send(face, "GET", "/v2/auth/enable")).body == b'{"enabled":true}\n'
        assert (await send(face, "DELETE", "/v2/auth/enable", headers=ROOT)).status == 200
        assert await status(face, "PUT", "/c?value=1", None) == 201

    story(tell)


def test_a_password_that_cannot_be_kept_is_refused() -> None:
    async def tell(face: Face, checks: Checks) -> None:
        before = checks.hashed
        for password in ("x" * 73, "a\0b"):
            body = {"user": "eve", "password": password}
            answer = await send(face, "PUT", "/v2/auth/users/eve", body, ROOT)
            assert answer.status == 400
        assert checks.hashed == before

    story(tell)


def test_while_there_are_no_hashers_it_is_the_members_fault() -> None:
    async def tell(face: Face, _checks: Checks) -> None:
        def full(*_: object) -> bool:
            raise Overloaded("too many passwords are being checked")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bcrypt, "checkpw", full)
            assert await status(face, "GET", "/a/", ALICE) == 500
        answer = await send(face, "GET", "/v2/auth/users", headers=ROOT)
        assert answer.status == 200, "who was right before needs none"

    story(tell)
