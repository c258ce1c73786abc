"""Logins: a password for a token (etcd api: Authenticate).

A wrong name and a wrong password get the same answer after the same time, but only the password
costs a hasher: the answer to a name that is nobody's waits for as long as one of the last checks
took.  Equal passwords for a name that come at once are checked once, so a fleet that comes back
does not queue behind itself.

Full?  Attempts are limited for a name from a network (`attempts.py`), whether there is such a
user or not; who waits for a hasher is bounded there.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import bcrypt

from roost.call import Call
from roost.errors import NotExecuted, RoostError
from roost.etcd import errors
from roost.etcd.access.attempts import Attempts
from roost.etcd.access.hashers import PASSWORD_BYTES_MAX, Hashers
from roost.etcd.access.tokens import Tokens
from roost.etcd.access.users import Auth
from roost.etcd.model.wire import field
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.requests import fail, guarded, parse
from roost.flow import network_of
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb


class Logins:
    """Who is logging in at this member."""

    def __init__(
        self,
        desk: Desk,
        auth: Auth,
        tokens: Tokens,
        hashers: Hashers,
        *,
        bcrypt_cost: int,
        clock_s: Callable[[], float],
    ) -> None:
        """Nobody is; `clock_s` never goes back."""
        self._desk = desk
        self._auth = auth
        self._tokens = tokens
        self._hashers = hashers
        self._bcrypt_cost = bcrypt_cost
        self._attempts = Attempts(clock_s)
        # Who is told of each password that is being checked.
        self._checking: dict[_Attempt, list[Call]] = {}

    def authenticate(self, call: Call, body: bytes) -> None:
        """Authenticate: a password for a token."""
        request = parse(call, pb.AuthenticateRequest, body)
        if request is None:
            return

        def ready(error: RoostError | None) -> None:
            if error is not None:
                fail(call, error)
            else:
                self._check_password(call, request)

        self._desk.replica.read_nowait(ready, call.flow)

    def _check_password(self, call: Call, request: pb.AuthenticateRequest) -> None:
        view, name = self._desk.replica.view, request.name
        if not self._auth.is_enabled(view):
            fail(call, errors.auth_not_enabled())
            return
        user = self._auth.user(view, name)
        held = b"" if user is None else user.password
        given = request.password.encode()[:PASSWORD_BYTES_MAX]
        network = network_of(call.address)
        attempt = _Attempt(name, network, held, given)
        waiting = self._checking.get(attempt)
        if waiting is not None:
            waiting.append(call)  # somebody asks the same at this moment
            return
        if not self._attempts.begin(name, network):
            fail(call, errors.too_many_attempts())
            return
        self._checking[attempt] = [call]
        if held:
            self._hash(attempt, lambda: bcrypt.checkpw(given, held))
        elif self._hashers.is_measured:
            asyncio.get_running_loop().call_later(
                self._hashers.draw_s(), self._tell_checked, attempt, lambda: False
            )
        else:  # once in a process: to learn how long it takes
            cost = self._bcrypt_cost
            self._hash(attempt, lambda: not bcrypt.hashpw(given, bcrypt.gensalt(cost)))

    def _hash(self, attempt: "_Attempt", work: Callable[[], bool]) -> None:
        def done(future: "asyncio.Future[bool]") -> None:
            if isinstance(future.exception(), NotExecuted):
                self._attempts.take_back(attempt.name, attempt.network)
            self._tell_checked(attempt, future.result)

        is_suspect = self._attempts.is_suspect(attempt.name, attempt.network)
        waiting = _Asking(self._checking[attempt])
        self._hashers.run(
            attempt.network, attempt.name, work, done, is_suspect=is_suspect, waiting=waiting
        )

    def _tell_checked(self, attempt: "_Attempt", result: Callable[[], bool]) -> None:
        """Answer all who asked the same; `result()` says whether the password is right."""
        calls = self._checking.pop(attempt)

        def told(call: Call) -> None:
            if not result():
                self._attempts.fail(attempt.name, attempt.network)
                fail(call, errors.auth_failed())
            else:
                self._issue(call, attempt)

        for call in calls:
            guarded(call, partial(told, call))()

    def _issue(self, call: Call, attempt: "_Attempt") -> None:
        def issued(outcome: Outcome) -> None:
            if isinstance(outcome, RoostError):
                fail(call, outcome)
            else:
                call.reply(self._desk.headed(field(b"\x12", outcome)))

        self._attempts.succeed(attempt.name, attempt.network)
        self._tokens.issue(attempt.name, attempt.held, issued)


@dataclass(slots=True)
class _Asking:
    """All who ask the same."""

    calls: list[Call]

    @property
    def is_over(self) -> bool:
        """Whether none of them waits any more."""
        return all(it.is_over for it in self.calls)


class _Attempt(NamedTuple):
    """A password that is being checked, for a name, as asked from a network."""

    name: str
    network: str
    held: bytes
    given: bytes
