"""The Auth service (etcd api: Auth).

Passwords are hashed with bcrypt by the member that is asked, before they travel anywhere, for those
who may set one; hashing and checking run on threads of their own (`access/passwords.py`).
"""

import asyncio
from collections.abc import Callable

from google.protobuf.message import Message

from roost.call import Call, UnaryHandler
from roost.etcd import errors
from roost.etcd.access.changes import AuthOperations
from roost.etcd.access.hashers import PASSWORD_BYTES_MAX
from roost.etcd.access.judge import Checking, Judge, anybody, root
from roost.etcd.access.names import NamesReading
from roost.etcd.access.passwords import Passwords
from roost.etcd.access.tokens import Tokens
from roost.etcd.access.users import Auth
from roost.etcd.v3 import rights
from roost.etcd.v3.checks import check_permission
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.logins import Logins
from roost.etcd.v3.long_reads import LongRead, Steps, answered
from roost.etcd.v3.requests import guarded, parse
from roost.flow import network_of
from roost.proto import rpc_pb2 as pb


class AuthService:
    """Users, roles, and the tokens of those who say who they are."""

    def __init__(
        self,
        desk: Desk,
        auth: Auth,
        tokens: Tokens,
        passwords: Passwords,
        *,
        password_chars_min: int,
    ) -> None:
        """Register the operations."""
        self._password_chars_min = password_chars_min
        self._desk = desk
        self._auth = auth
        self._passwords = passwords
        self._logins = Logins(desk, auth, tokens, passwords)
        for name, operation in AuthOperations(auth, desk.mvcc).by_name().items():
            check = anybody if name == "etcd.auth_enable" else root
            desk.border.register(name, operation, check)

    def authenticate(self, call: Call, body: bytes) -> None:
        """Authenticate."""
        self._logins.authenticate(call, body)

    def writing(self, operation: str, kind: type[Message]) -> UnaryHandler:
        """A handler that checks that a request is one, and runs `operation`."""

        def handle(call: Call, body: bytes) -> None:
            if parse(call, kind, body) is not None:
                self._desk.write(call, operation, body)

        return handle

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
        self._list(call, self._auth.users)

    def list_roles(self, call: Call, _body: bytes) -> None:
        """RoleList."""
        self._list(call, self._auth.roles)

    def _list(self, call: Call, tree_id: int) -> None:
        desk = self._desk

        def begin(read: LongRead) -> Steps:
            headed = desk.headed(b"", desk.mvcc.revision(read.view))
            yield from answered(
                read, headed, NamesReading(read.view, tree_id, desk.long_reads.room)
            )

        desk.read_long(call, begin, Judge.need_root)

    def _read(
        self,
        call: Call,
        body: Callable[[], bytes],
        check: Callable[[Judge], Checking],
    ) -> None:
        self._desk.read(call, lambda: self._desk.headed(body()), check)

    def grant_permission(self, call: Call, body: bytes) -> None:
        """RoleGrantPermission."""
        request = parse(call, pb.AuthRoleGrantPermissionRequest, body, check_permission)
        if request is not None:
            self._desk.write(call, "etcd.role_grant", body)

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
        password = request.password.encode()

        def hashed(future: "asyncio.Future[bytes]") -> None:
            request.password, request.hashedPassword = "", future.result().decode()
            self._desk.write(call, operation, request.SerializeToString())

        def allowed() -> None:
            self._passwords.hash(
                network_of(call.address),
                password,
                lambda future: guarded(call, lambda: hashed(future))(),
                waiting=call,
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
