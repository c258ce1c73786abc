"""The Auth service (etcd api: Auth).

Passwords are hashed with bcrypt by the member that is asked, before they travel anywhere, for those
who may set one; hashing and checking run on threads of their own (`hashers.py`).

A wrong name and a wrong password get the same answer after the same time, but only the password
costs a hasher: the answer to a name that is nobody's waits for as long as one of the last checks
took.  Equal passwords for a name that come at once are checked once, so a fleet that comes back
does not queue behind itself.

Full?  Attempts are limited for a name from a network (`attempts.py`), whether there is such a
user or not; who waits for a hasher is bounded there.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import bcrypt
from google.protobuf.message import Message

from roost.call import Call, UnaryHandler
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.access.attempts import Attempts, network_of
from roost.etcd.access.hashers import Hashers
from roost.etcd.access.judge import Judge, anybody, root
from roost.etcd.access.tokens import Tokens
from roost.etcd.access.users import Auth
from roost.etcd.model.wire import field
from roost.etcd.v3 import rights
from roost.etcd.v3.checks import check_permission
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.requests import fail, guarded, parse
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb

PASSWORD_BYTES_MAX = 72  # bcrypt looks at no more


class AuthService:
    """Users, roles, and the tokens of those who say who they are."""

    def __init__(
        self,
        desk: Desk,
        auth: Auth,
        tokens: Tokens,
        *,
        bcrypt_cost: int,
        password_chars_min: int,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Register the operations."""
        self._password_chars_min = password_chars_min
        self._desk = desk
        self._auth = auth
        self._tokens = tokens
        self._bcrypt_cost = bcrypt_cost
        self._hashers = Hashers()
        self._attempts = Attempts(clock_s)
        # Who is told of each password that is being checked.
        self._checking: dict[_Attempt, list[Call]] = {}
        for name, operation in auth.operations().items():
            check = anybody if name == "etcd.auth_enable" else root
            desk.border.register(name, operation, check)

    def writing(self, operation: str, kind: type[Message]) -> UnaryHandler:
        """A handler that checks that a request is one, and runs `operation`."""

        def handle(call: Call, body: bytes) -> None:
            if parse(call, kind, body) is not None:
                self._desk.write(call, operation, body)

        return handle

    # --- reading --------------------------------------------------------------------------------

    def status(self, call: Call, _body: bytes) -> None:
        """AuthStatus."""

        def body() -> bytes:
            view = self._desk.replica.view
            said = pb.AuthStatusResponse(
                enabled=self._auth.is_enabled(view), authRevision=self._auth.revision(view)
            )
            return said.SerializeToString()

        self._read(call, body, Judge.need_root)

    def get_user(self, call: Call, body: bytes) -> None:
        """UserGet."""
        request = parse(call, pb.AuthUserGetRequest, body)
        if request is not None:
            self._read(
                call,
                lambda: self._auth.get_user(self._desk.replica.view, request),
                lambda judge: rights.get_user(judge, request),
            )

    def get_role(self, call: Call, body: bytes) -> None:
        """RoleGet."""
        request = parse(call, pb.AuthRoleGetRequest, body)
        if request is not None:
            self._read(
                call,
                lambda: self._auth.get_role(self._desk.replica.view, request),
                lambda judge: rights.get_role(judge, request),
            )

    def list_users(self, call: Call, _body: bytes) -> None:
        """UserList."""
        view = self._desk.replica.view
        self._read(call, lambda: self._auth.list_users(view), Judge.need_root)

    def list_roles(self, call: Call, _body: bytes) -> None:
        """RoleList."""
        view = self._desk.replica.view
        self._read(call, lambda: self._auth.list_roles(view), Judge.need_root)

    def _read(
        self,
        call: Call,
        body: Callable[[], bytes],
        check: Callable[[Judge], None],
    ) -> None:
        self._desk.read(call, lambda: self._desk.headed(body()), check)

    def grant_permission(self, call: Call, body: bytes) -> None:
        """RoleGrantPermission."""
        request = parse(call, pb.AuthRoleGrantPermissionRequest, body, check_permission)
        if request is not None:
            self._desk.write(call, "etcd.role_grant", body)

    # --- passwords ------------------------------------------------------------------------------

    def add_user(self, call: Call, body: bytes) -> None:
        """UserAdd: the password is hashed before it goes any further."""
        request = parse(call, pb.AuthUserAddRequest, body, self._check_new_user)
        if request is None:
            return
        if request.options.no_password:
            self._desk.write(call, "etcd.user_add", body)
            return

        self._write_hashed(call, "etcd.user_add", request)

    def change_password(self, call: Call, body: bytes) -> None:
        """UserChangePassword."""
        request = parse(call, pb.AuthUserChangePasswordRequest, body, self._check_new_password)
        if request is not None:
            self._write_hashed(call, "etcd.user_password", request)

    def _write_hashed(
        self,
        call: Call,
        operation: str,
        request: pb.AuthUserAddRequest | pb.AuthUserChangePasswordRequest,
    ) -> None:
        """Hash the password for a caller who may set it, then run the operation."""
        password, cost = request.password.encode(), self._bcrypt_cost

        def hashed(future: "asyncio.Future[bytes]") -> None:
            request.password, request.hashedPassword = "", future.result().decode()
            self._desk.write(call, operation, request.SerializeToString())

        def allowed() -> None:
            self._hashers.run(
                network_of(call.address),
                "",
                lambda: bcrypt.hashpw(password, bcrypt.gensalt(cost)),
                lambda future: guarded(call, lambda: hashed(future))(),
            )

        self._desk.admit_root(call, allowed)

    def _check_new_user(self, request: pb.AuthUserAddRequest) -> None:
        if not request.name:
            raise errors.user_empty()
        if not request.options.no_password:
            self._check_secret(request.password)

    def _check_new_password(self, request: pb.AuthUserChangePasswordRequest) -> None:
        self._check_secret(request.password)

    def _check_secret(self, password: str) -> None:
        """An empty password is none, and bcrypt looks at 72 bytes only."""
        if not password:
            raise errors.password_refused("password is empty")
        if len(password) < self._password_chars_min:
            text = f"password is shorter than {self._password_chars_min} characters"
            raise errors.password_refused(text)
        if len(password.encode()) > PASSWORD_BYTES_MAX:
            raise errors.password_refused(f"password is longer than {PASSWORD_BYTES_MAX} bytes")

    # --- who are you? ---------------------------------------------------------------------------

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

        self._desk.replica.read_nowait(ready)

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
            self._tell_checked(attempt, future.result)

        is_suspect = self._attempts.is_suspect(attempt.name, attempt.network)
        self._hashers.run(attempt.network, attempt.name, work, done, is_suspect=is_suspect)

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


class _Attempt(NamedTuple):
    """A password that is being checked, for a name, as asked from a network."""

    name: str
    network: str
    held: bytes
    given: bytes
