"""/v2/auth: users, roles, and whether requests are judged (etcd: api/v2http/client_auth.go).

Whoever asks has to be root: of v2 while it judges requests, else of v3 while that does.  Only
whether they are judged may everybody know.  Passwords are hashed by the member that is asked.
"""

import asyncio
from collections.abc import Callable, Iterator

import msgspec

from roost.database.model import View, Walk
from roost.errors import RoostError
from roost.etcd.access.hashers import PASSWORD_BYTES_MAX
from roost.etcd.access.passwords import Passwords
from roost.etcd.border import Border
from roost.etcd.errors import not_for_learner, status_of
from roost.etcd.model.costs import SLICE_ROWS, Costs
from roost.etcd.v2.asking import answer_to
from roost.etcd.v2.faults import Reason, fault_of
from roost.etcd.v2.gate import Gate
from roost.etcd.v2.json_text import message_json, quoted
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.reads import Reads, Write
from roost.etcd.v2.user_changes import (
    CHANGE_USERS,
    DeleteRole,
    DeleteUser,
    SetEnabled,
    Told,
    UserChange,
    decode_told,
    encode,
    role_json,
)
from roost.etcd.v2.user_forms import BadBody, read_role, read_user
from roost.etcd.v2.users import (
    ROLE_PREFIX,
    ROOT,
    ROOT_ROLE,
    USER_PREFIX,
    Role,
    User,
    Users,
    decode_role,
    decode_user,
)
from roost.exchange import JSON, Answer, Request, not_allowed, not_found
from roost.flow import network_of

PREFIX = b"/v2/auth"
_METHODS = ("GET", "PUT", "DELETE")
_BAD_JSON = "Invalid JSON in request body."


class _Denied(Exception):
    """An answer that says no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class UserPages:
    """Answers what is asked of users and roles."""

    def __init__(
        self,
        border: Border,
        gate: Gate,
        trees: Trees,
        users: Users,
        reads: Reads,
        passwords: Passwords,
        *,
        password_chars_min: int,
    ) -> None:
        """A request has as long as all of v2."""
        self._border = border
        self._gate = gate
        self._tree = trees.meta
        self._users = users
        self._reads = reads
        self._passwords = passwords
        self._password_chars_min = password_chars_min
        self._request_s = border.limits.v2_request_s

    async def answer(self, request: Request, path: bytes) -> Answer:
        """Answer a request to /v2/auth/`path`."""
        try:
            async with asyncio.timeout(self._request_s):
                return await self._answer(request, path)
        except _Denied as error:
            return self._message(error.status, error.text)
        except TimeoutError:
            return self._message(500, "no answer came in time")
        except RoostError as error:
            if fault_of(error).reason is Reason.UNAUTHORIZED:
                # etcd names no cluster to strangers.
                return Answer(401, message_json("Insufficient credentials"), (JSON,))
            return self._message(500, status_of(error).text)

    async def _answer(self, request: Request, path: bytes) -> Answer:
        if path == b"enable":
            return await self._enable(request)
        kind, _, name = path.removesuffix(b"/").partition(b"/")
        if kind not in (b"users", b"roles"):
            return not_found()
        if not name:
            if request.method != "GET":
                return not_allowed("GET")
            await self._gate.wait_root(request.caller)
            listed = self._listed_users if kind == b"users" else self._listed_roles
            return self._json(200, await self._reads.read(listed))
        if b"/" in name:
            return Answer(400, message_json("Invalid path"), (JSON,))
        if request.method not in _METHODS:
            return not_allowed(*_METHODS)
        await self._gate.wait_root(request.caller)
        ask = self._user if kind == b"users" else self._role
        return await ask(request, name.decode(errors="replace"))

    async def _enable(self, request: Request) -> Answer:
        if request.method not in _METHODS:
            return not_allowed(*_METHODS)
        if request.method == "GET":
            return self._json(
                200, b'{"enabled":true}' if self._users.is_on else b'{"enabled":false}'
            )
        await self._gate.wait_root(request.caller)
        return await self._change(request, SetEnabled(request.method == "PUT"))

    async def _user(self, request: Request, name: str) -> Answer:
        if request.method == "DELETE":
            return await self._change(request, DeleteUser(name))
        if request.method == "PUT":
            return await self._put_user(request, name)
        user = self._users.user(self._border.replica.view, name)
        if user is None:
            raise _Denied(404, f"auth: User {name} does not exist.")
        roles = [self._role_of(it) for it in user.all_roles]
        return self._json(200, b"".join(_user_pieces(user, roles)))

    async def _put_user(self, request: Request, name: str) -> Answer:
        try:
            asked, password = read_user(request.body)
        except BadBody:
            raise _Denied(400, _BAD_JSON) from None
        if asked.name != name:
            raise _Denied(400, "User JSON name does not match the name in the URL")
        if (asked.grant or asked.revoke) and asked.roles:
            raise _Denied(400, "User JSON contains both roles and grant/revoke")
        if password:
            self._check_password(password)
            hashed = await self._hashed(request, password)
            asked = msgspec.structs.replace(asked, password=hashed)
        return await self._change(request, asked)

    def _check_password(self, password: bytes) -> None:
        """It has to be long enough, and bcrypt looks at no more than 72 bytes."""
        if len(password.decode()) < self._password_chars_min:
            least = self._password_chars_min
            raise _Denied(400, f"auth: password is shorter than {least} characters")
        if len(password) > PASSWORD_BYTES_MAX or b"\0" in password:
            most = PASSWORD_BYTES_MAX
            raise _Denied(400, f"auth: password is longer than {most} bytes, or has a zero byte")

    async def _hashed(self, request: Request, password: bytes) -> bytes:
        made: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(future: "asyncio.Future[bytes]") -> None:
            error = future.exception()
            if made.done():
                return
            if error is None:
                made.set_result(future.result())
            else:
                made.set_exception(error)

        network = network_of(request.caller.address)
        self._passwords.hash(network, password, done, request.waiting)
        return await made

    async def _role(self, request: Request, name: str) -> Answer:
        if request.method == "GET":
            return self._json(200, role_json(self._role_of(name)))
        if request.method == "DELETE":
            return await self._change(request, DeleteRole(name))
        try:
            asked = read_role(request.body)
        except BadBody:
            raise _Denied(400, _BAD_JSON) from None
        if asked.name != name:
            raise _Denied(400, "Role JSON name does not match the name in the URL")
        is_change = any(it is not None and not it.is_empty for it in (asked.grant, asked.revoke))
        if is_change and not asked.patterns.is_empty:
            raise _Denied(400, "Role JSON contains both permissions and grant/revoke")
        return await self._change(request, asked)

    def _role_of(self, name: str) -> Role:
        role = self._users.role(self._border.replica.view, name)
        if role is None:
            raise _Denied(404, f"auth: Role {name} does not exist.")
        return role

    async def _change(self, request: Request, asked: UserChange) -> Answer:
        """Have the leader do it; when it is answered this member has it."""
        if self._border.replica.is_learner:
            raise not_for_learner()
        body = encode(asked)

        def ask(done: Callable[[bytes], None], refused: Callable[[RoostError], None]) -> None:
            self._gate.write(request.caller, CHANGE_USERS, body, done, refused, request.waiting)

        told = decode_told(await answer_to(ask, self._request_s))
        if told.text:
            raise _Denied(told.status, told.text)
        return self._told(told)

    def _told(self, told: Told) -> Answer:
        if not told.body:
            return Answer(told.status, b"", (self._cluster(), JSON))
        return self._json(told.status, told.body)

    def _json(self, status: int, body: bytes) -> Answer:
        return Answer(status, body + b"\n", (self._cluster(), JSON))

    def _message(self, status: int, text: str) -> Answer:
        return Answer(status, message_json(text), (self._cluster(), JSON))

    def _cluster(self) -> tuple[bytes, bytes]:
        return (b"x-etcd-cluster-id", b"%x" % self._border.replica.cluster_id)

    def _listed_users(self, view: View, write: Write) -> Costs[None]:
        write(b'{"users":')
        has_some = False
        walk = Walk(view, self._tree, USER_PREFIX, _stop_of(USER_PREFIX))
        while not walk.is_done:
            rows = walk.take(SLICE_ROWS // 8)
            yield walk.cost + 3 * len(rows)
            for _, row in rows:
                user = decode_user(row)
                write(b"," if has_some else b"[")
                has_some = True
                held = (self._users.role(view, it) for it in user.all_roles)
                for piece in _user_pieces(user, [it for it in held if it is not None]):
                    write(piece)
                yield 4 * len(user.all_roles)
        write(b"]}" if has_some else b"null}")

    def _listed_roles(self, view: View, write: Write) -> Costs[None]:
        write(b'{"roles":[')
        is_told = False
        root, before = role_json(ROOT_ROLE), b""
        walk = Walk(view, self._tree, ROLE_PREFIX, _stop_of(ROLE_PREFIX))
        while not walk.is_done:
            rows = walk.take(SLICE_ROWS // 8)
            yield walk.cost + 3 * len(rows)
            for _, row in rows:
                role = decode_role(row)
                if not is_told and role.name.encode() > ROOT.encode():
                    is_told = True
                    write(before + root)
                    before = b","
                write(before + role_json(role))
                before = b","
        write((b"" if is_told else before + root) + b"]}")


def _user_pieces(user: User, roles: list[Role]) -> Iterator[bytes]:
    """A user with its roles as they are."""
    yield b'{"user":%b' % quoted(user.name.encode())
    for number, role in enumerate(roles):
        yield (b"," if number else b',"roles":[') + role_json(role)
    yield b"]}" if roles else b"}"


def _stop_of(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes([prefix[-1] + 1])
