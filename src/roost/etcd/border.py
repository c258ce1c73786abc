"""Where requests of clients come in: writes go to the leader, reads wait for a barrier.

Whatever service a request is for, it is answered here: with the header of the member that was
asked, or with the error in etcd's words.

While authentication is on, a write travels to the leader as the operation `etcd.as`, which names
its user, and is checked where it runs, by the state that it sees:

    u32 length, then msgpack of [operation, user, digest of the token, revision], then the body

An operation that comes without a name then is refused.  What a member does by itself (`Guard`,
`Lessor`, compaction) is registered with the replica directly and asks nobody.
"""

import asyncio
from collections.abc import Callable

import msgspec

from roost.call import Call, Caller
from roost.errors import Refused, RoostError
from roost.etcd import errors
from roost.etcd.access.permissions import Check, Judge
from roost.etcd.access.tokens import Identity, Tokens
from roost.etcd.access.users import Auth
from roost.etcd.limits import Limits
from roost.etcd.model.alarms import Alarms
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.model.wire import Header
from roost.etcd.ports import Replica
from roost.etcd.v3.requests import fail, guarded
from roost.outcome import Done, Outcome, ReadDone, settle_future, told_read
from roost.store import Txn, View
from roost.tasks import Tasks

AS = "etcd.as"
# How long a request about this member's own files waits to hear that they hold everything.
FRESH_S_MAX = 2.0
# A name may be as long as a request.
_LENGTH_BYTES = 4
Operation = Callable[[Txn, bytes], bytes]


class _Signature(msgspec.Struct, frozen=True, array_like=True):
    operation: str
    user: str
    token: bytes
    revision: int


class Border:
    """What all services share."""

    def __init__(
        self,
        replica: Replica,
        mvcc: Mvcc,
        alarms: Alarms,
        auth: Auth,
        tokens: Tokens,
        *,
        limits: Limits,
    ) -> None:
        """Remember whom to ask."""
        self.replica = replica
        self.mvcc = mvcc
        self.alarms = alarms
        self.auth = auth
        self.limits = limits
        self.header = Header(replica.cluster_id, replica.member_id)
        self._tokens = tokens
        # What answers calls that may take long.
        self.tasks = Tasks()
        # Requests that no answer of the cluster was had for.
        self.failed_write_count = self.failed_read_count = 0
        self._operations: dict[str, tuple[Operation, Check]] = {}
        replica.register(AS, self._run_as)

    def headed(self, body: bytes, revision: int | None = None) -> bytes:
        """An answer of this member, as of now or of a revision."""
        replica = self.replica
        if revision is None:
            revision = self.mvcc.revision(replica.view)
        return self.header.encode(revision, replica.term) + body

    # --- writing --------------------------------------------------------------------------------

    def register(self, name: str, operation: Operation, check: Check) -> None:
        """Let clients run `operation`, as far as `check` permits while authentication is on."""
        self._operations[name] = (operation, check)
        auth = self.auth

        def run(txn: Txn, body: bytes) -> bytes:
            if auth.may_be_enabled and auth.is_enabled(txn):
                raise errors.user_empty()
            return operation(txn, body)

        self.replica.register(name, run)

    def _run_as(self, txn: Txn, body: bytes) -> bytes:
        """Operation: run another one for a user."""
        stop = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
        signature = msgspec.msgpack.decode(body[_LENGTH_BYTES:stop], type=_Signature)
        inner = body[stop:]
        operation, check = self._operations[signature.operation]
        if self.auth.is_enabled(txn):
            identity = Identity(signature.user, signature.token, signature.revision)
            check(self._judge(txn, identity), inner)
        return operation(txn, inner)

    def _judge(self, view: View, identity: Identity) -> Judge:
        """Refuses whose token has gone or grown old, and nobody."""
        user, token, revision = identity
        if token and view.get(self.auth.tokens, token) != user.encode():
            raise errors.invalid_auth_token()
        if revision and revision < self.auth.revision(view):
            raise errors.auth_old_revision()
        return Judge(self.auth, self.mvcc, view, user)

    def write(
        self,
        call: Call,
        name: str,
        body: bytes,
        *,
        headed_only: bool = False,
        after: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Run an operation on the leader and answer with its result, or a header alone.

        `after(answer)` may put the answer off until what the operation began is complete.
        """

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, RoostError):
                self.failed_write_count += not isinstance(outcome, Refused)
                fail(call, outcome)
                return
            revision = int.from_bytes(outcome[:8], "big")
            answer = self.headed(b"" if headed_only else outcome[8:], revision)
            if after is None:
                call.reply(answer)
            else:
                after(guarded(call, lambda: call.reply(answer)))

        if len(body) > self.limits.request_bytes_max:
            fail(call, errors.request_too_large())
        else:
            self.run(call, name, body, done)

    def run(self, caller: Caller, name: str, body: bytes, done: Done) -> None:
        """Run an operation for a caller who is answered by somebody else."""

        def identified(identity: Identity | None) -> None:
            if identity is None:
                self.replica.transact_nowait(name, body, done)
            else:
                self.replica.transact_nowait(AS, sign(name, identity, body), done)

        if self.auth.may_be_enabled:
            self.identify(caller, identified, done)
        else:
            self.replica.transact_nowait(name, body, done)

    # --- reading --------------------------------------------------------------------------------

    def read(
        self,
        call: Call,
        answer: Callable[[], bytes],
        check: Callable[[Judge], None],
        *,
        is_local: bool = False,
    ) -> None:
        """Answer from the view, after a read barrier unless the caller wants a local answer."""

        def allowed() -> None:
            try:
                message = answer()
            except Refused as refusal:
                fail(call, refusal)
            else:
                call.reply(message)

        self.admit(call, check, allowed, lambda error: fail(call, error), is_local=is_local)

    def admit(
        self,
        caller: Caller,
        check: Callable[[Judge], None],
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        is_local: bool = False,
        may_be_stale: bool = False,
    ) -> None:
        """Go on when a read barrier has passed and the caller may do what `check` asks.

        A caller that wants a local answer waits for none; one that `may_be_stale` waits only while
        somebody leads, and not for long.
        """

        def ready(error: RoostError | None) -> None:
            if error is not None:
                self.failed_read_count += 1
                refused(error)
            elif self.auth.may_be_enabled:
                self.identify(caller, identified, refused)
            else:
                allowed()

        def identified(identity: Identity | None) -> None:
            try:
                if identity is not None:
                    check(self._judge(self.replica.view, identity))
            except Refused as refusal:
                refused(refusal)
            else:
                allowed()

        if is_local:
            ready(None)
        elif may_be_stale:
            self._when_fresh(told_read(ready))  # a timer may be who calls it
        elif self.replica.is_learner:
            refused(errors.not_for_learner())
        else:
            self.replica.read_nowait(ready)

    def _when_fresh(self, go_on: ReadDone) -> None:
        """Go on when all that was acknowledged is here, or at once when nobody could say so.

        Without a majority the store of a survivor is what there is to be saved (etcd never waits).
        """
        is_over = False

        def once(_error: RoostError | None = None) -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                patience.cancel()
                go_on(None)

        patience = asyncio.get_running_loop().call_later(FRESH_S_MAX, once)
        if self.replica.leader_id:
            self.replica.read_nowait(once)
        else:
            once()

    async def wait_admitted(
        self, caller: Caller, check: Callable[[Judge], None], *, may_be_stale: bool = False
    ) -> None:
        """Return when a read barrier has passed and the caller may do what `check` asks.

        With `is_local` there is no barrier.

        Raises:
            RoostError: there is no leader, or somebody else asks.

        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(error: RoostError | None = None) -> None:
            settle_future(future, error)

        self.admit(caller, check, settle, settle, may_be_stale=may_be_stale)
        await future

    def admit_root(
        self,
        caller: Caller,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        may_be_stale: bool = False,
    ) -> None:
        """Go on at once, or after a check that it is root who asks while authentication is on."""
        if self.auth.may_be_enabled:
            self.admit(caller, Judge.need_root, allowed, refused, may_be_stale=may_be_stale)
        else:
            allowed()

    # --- who is it? -----------------------------------------------------------------------------

    def identify(
        self,
        caller: Caller,
        then: Callable[[Identity | None], None],
        refused: Callable[[RoostError], None],
    ) -> None:
        """Find out who calls; None when nobody has to say so.

        A token may be newer than what is applied here, so it is looked up again after a barrier.
        """

        def again(error: RoostError | None) -> None:
            if error is not None:
                refused(error)
                return
            try:
                identity = self.identity_of(caller)
            except Refused as refusal:
                refused(refusal)
            else:
                then(identity)

        try:
            identity = self.identity_of(caller)
        except Refused:
            self.replica.read_nowait(again)
        else:
            then(identity)

    def identity_of(self, caller: Caller) -> Identity | None:
        """Who calls, by what is applied here.

        Raises:
            Refused: the token is nobody's, or too old.

        """
        view = self.replica.view
        if not self.auth.is_enabled(view):
            return None
        if caller.token:
            return self._tokens.identify(view, caller.token)
        return Identity(caller.certificate_name)

    def check_again(self, identity: Identity, check: Callable[[Judge], None]) -> bool:
        """Whether somebody may still do something, by what is applied here."""
        view = self.replica.view
        if not self.auth.is_enabled(view):
            return True
        try:
            check(self._judge(view, identity))
        except Refused:
            return False
        return True


def sign(operation: str, identity: Identity, body: bytes) -> bytes:
    """The body of `etcd.as`."""
    head = msgspec.msgpack.encode(_Signature(operation, *identity))
    return len(head).to_bytes(_LENGTH_BYTES, "big") + head + body
