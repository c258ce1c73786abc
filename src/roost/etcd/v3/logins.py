"""Logins: a password for a token (etcd api: Authenticate).

A wrong name and a wrong password get the same answer after the same time (`access/passwords.py`).
"""

from roost.call import Call
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.access.passwords import Attempt, Passwords, Result
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

    def __init__(self, desk: Desk, auth: Auth, tokens: Tokens, passwords: Passwords) -> None:
        """Nobody is."""
        self._desk = desk
        self._auth = auth
        self._tokens = tokens
        self._passwords = passwords

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
        attempt = Attempt(name, network_of(call.address), held, request.password.encode())

        def told(result: Result) -> None:
            guarded(call, lambda: self._answer(call, attempt, is_right=result()))()

        if not self._passwords.check(attempt, told, waiting=call):
            fail(call, errors.too_many_attempts())

    def _answer(self, call: Call, attempt: Attempt, *, is_right: bool) -> None:
        if not is_right:
            fail(call, errors.auth_failed())
            return

        def issued(outcome: Outcome) -> None:
            if isinstance(outcome, RoostError):
                fail(call, outcome)
            else:
                call.reply(self._desk.headed(field(b"\x12", outcome)))

        self._tokens.issue(attempt.name, attempt.held, issued)
