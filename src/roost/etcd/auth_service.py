"""The Auth service (etcd api: Auth).

Passwords are hashed with bcrypt by the member that is asked, before they travel anywhere; hashing
and checking run on threads of their own, HASHERS at a time.

Full?  HASHING_MAX requests wait for a hasher, one more is refused.  After FAILURES_MAX wrong
passwords for a user within FAILURES_S further attempts for it are refused until the time is over.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from roost.errors import Overloaded, RoostError
from roost.etcd import errors, permissions
from roost.etcd.auth import Auth, check_permission_kind
from roost.etcd.border import Border
from roost.etcd.identity import Tokens
from roost.etcd.ports import Call
from roost.etcd.requests import fail, guarded, parse
from roost.etcd.wire import field
from roost.proto import rpc_pb2 as pb

BCRYPT_COST = 10
PASSWORD_BYTES_MAX = 72  # bcrypt looks at no more
HASHERS, HASHING_MAX = 2, 256
FAILURES_MAX, FAILURES_S = 10, 1.0
Worked = TypeVar("Worked")


class AuthService:
    """Users, roles, and the tokens of those who say who they are."""

    def __init__(
        self,
        border: Border,
        auth: Auth,
        tokens: Tokens,
        *,
        bcrypt_cost: int = BCRYPT_COST,
        password_chars_min: int = 1,
    ) -> None:
        """Register the operations."""
        self._password_chars_min = password_chars_min
        self._border = border
        self._auth = auth
        self._tokens = tokens
        self._bcrypt_cost = bcrypt_cost
        self._hashers = ThreadPoolExecutor(HASHERS, thread_name_prefix="bcrypt")
        self._hashing_count = 0
        # User -> when the count began, and how many attempts have failed since.
        self._failures: dict[str, tuple[float, int]] = {}
        for name, operation in auth.operations().items():
            check = permissions.anybody if name == "etcd.auth_enable" else permissions.root
            border.register(name, operation, check)

    def writing(self, operation: str, kind: type[pb.AuthEnableRequest]) -> Callable[..., None]:
        """A handler that checks that a request is one, and runs `operation`."""

        def handle(call: Call, body: bytes) -> None:
            if parse(call, kind, body) is not None:
                self._border.write(call, operation, body)

        return handle

    # --- reading --------------------------------------------------------------------------------

    def status(self, call: Call, _body: bytes) -> None:
        """AuthStatus."""

        def body() -> bytes:
            view = self._border.replica.view
            said = pb.AuthStatusResponse(
                enabled=self._auth.is_enabled(view), authRevision=self._auth.revision(view)
            )
            return said.SerializeToString()

        self._read(call, body, permissions.Judge.need_root)

    def get_user(self, call: Call, body: bytes) -> None:
        """UserGet."""
        request = parse(call, pb.AuthUserGetRequest, body)
        if request is not None:
            self._read(
                call,
                lambda: self._auth.get_user(self._border.replica.view, request),
                lambda judge: permissions.get_user(judge, request),
            )

    def get_role(self, call: Call, body: bytes) -> None:
        """RoleGet."""
        request = parse(call, pb.AuthRoleGetRequest, body)
        if request is not None:
            self._read(
                call,
                lambda: self._auth.get_role(self._border.replica.view, request),
                lambda judge: permissions.get_role(judge, request),
            )

    def list_users(self, call: Call, _body: bytes) -> None:
        """UserList."""
        view = self._border.replica.view
        self._read(call, lambda: self._auth.list_users(view), permissions.Judge.need_root)

    def list_roles(self, call: Call, _body: bytes) -> None:
        """RoleList."""
        view = self._border.replica.view
        self._read(call, lambda: self._auth.list_roles(view), permissions.Judge.need_root)

    def _read(
        self,
        call: Call,
        body: Callable[[], bytes],
        check: Callable[[permissions.Judge], None],
    ) -> None:
        self._border.read(call, lambda: self._border.headed(body()), check)

    def grant_permission(self, call: Call, body: bytes) -> None:
        """RoleGrantPermission."""
        request = parse(call, pb.AuthRoleGrantPermissionRequest, body, check_permission_kind)
        if request is not None:
            self._border.write(call, "etcd.role_grant", body)

    # --- passwords ------------------------------------------------------------------------------

    def add_user(self, call: Call, body: bytes) -> None:
        """UserAdd: the password is hashed before it goes any further."""
        request = parse(call, pb.AuthUserAddRequest, body, self._check_new_user)
        if request is None:
            return
        if request.options.no_password:
            self._border.write(call, "etcd.user_add", body)
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
        password, cost = request.password.encode(), self._bcrypt_cost

        def hashed(digest: bytes) -> None:
            request.password, request.hashedPassword = "", digest.decode()
            self._border.write(call, operation, request.SerializeToString())

        self._run(call, lambda: bcrypt.hashpw(password, bcrypt.gensalt(cost)), hashed)

    def _run(self, call: Call, work: Callable[[], Worked], then: Callable[[Worked], None]) -> None:
        """Do slow work on a hasher, then go on in the loop."""
        if self._hashing_count >= HASHING_MAX:
            fail(call, Overloaded("too many passwords are being hashed"))
            return
        self._hashing_count += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._hashers, work)

        def done(worked: asyncio.Future[Worked]) -> None:
            self._hashing_count -= 1
            guarded(call, lambda: then(worked.result()))()

        future.add_done_callback(done)

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
        replica = self._border.replica
        if replica.is_learner:
            fail(call, errors.not_for_learner())
            return

        def ready(error: RoostError | None) -> None:
            if error is not None:
                fail(call, error)
            else:
                self._check_password(call, request)

        replica.read_nowait(ready)

    def _check_password(self, call: Call, request: pb.AuthenticateRequest) -> None:
        view, name = self._border.replica.view, request.name
        if not self._auth.is_enabled(view):
            fail(call, errors.auth_not_enabled())
            return
        if self._has_failed_often(name):
            fail(call, errors.too_many_attempts())
            return
        user = self._auth.user(view, name)
        held = b"" if user is None else user.password
        given = request.password.encode()[:PASSWORD_BYTES_MAX]

        def checked(matches: bool) -> None:  # noqa: FBT001 - what a hasher found
            if not matches:
                self._note_failure(name)
                fail(call, errors.auth_failed())
            else:
                self._tokens.issue(name, held, issued)

        def issued(token: str | None, error: RoostError | None) -> None:
            if error is not None or token is None:
                fail(call, error or errors.auth_failed())
            else:
                call.reply(self._border.headed(field(b"\x12", token.encode())))

        self._run(call, lambda: self._matches(given, held), checked)

    def _matches(self, given: bytes, held: bytes) -> bool:
        """Compare on a hasher; it takes as long when there is no such user."""
        if held:
            return bcrypt.checkpw(given, held)
        bcrypt.hashpw(given, bcrypt.gensalt(self._bcrypt_cost))
        return False

    def _has_failed_often(self, name: str) -> bool:
        began_s, count = self._failures.get(name, (0.0, 0))
        now_s = asyncio.get_running_loop().time()
        return count >= FAILURES_MAX and now_s < began_s + FAILURES_S

    def _note_failure(self, name: str) -> None:
        now_s = asyncio.get_running_loop().time()
        began_s, count = self._failures.get(name, (now_s, 0))
        if now_s >= began_s + FAILURES_S:
            began_s, count = now_s, 0
        if len(self._failures) >= HASHING_MAX:
            self._failures = {
                it: row for it, row in self._failures.items() if now_s < row[0] + FAILURES_S
            }
        self._failures[name] = (began_s, count + 1)
