"""Where requests of clients come in: writes go to the leader, reads wait for a barrier.

It knows no protocol: whoever serves one brings what answers, and what says that a request was
refused (`v3/desk.py` for etcd's gRPC).

While authentication is on, a write travels to the leader as the operation `etcd.as`, one that is
light as `etcd.light_as`; either names its user (`access/signing.py`), and is checked where it runs,
by the state that it sees.

An operation that comes without a name then is refused.  What a member does by itself (`Guard`,
`Lessor`, compaction) is registered with the replica directly and asks nobody.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from roost.call import Caller
from roost.database.model import Light, Long, Operation, Steps, Txn
from roost.errors import CallerGone, Refused, RoostError
from roost.etcd import errors
from roost.etcd.access.callers import Callers
from roost.etcd.access.judge import Check, Checking, Judge
from roost.etcd.access.questions import Questions
from roost.etcd.access.signing import Signature, sign, signed
from roost.etcd.access.tokens import Identity
from roost.etcd.access.users import Auth
from roost.etcd.limits import Limits
from roost.etcd.model.costs import are_over, in_slices
from roost.etcd.ports import Replica
from roost.outcome import Done, Outcome, ReadDone, Waiting, settle_future, told_read

AS, LIGHT_AS = "etcd.as", "etcd.light_as"
# How long a request about this member's own files waits to hear that they hold everything.
FRESH_S_MAX: Final = 2.0
_Outcome = TypeVar("_Outcome")
_Light = Callable[[Txn, bytes], bytes | None]


class Border:
    """The one way in, for whatever protocol."""

    def __init__(self, replica: Replica, auth: Auth, callers: Callers, *, limits: Limits) -> None:
        """Remember whom to ask."""
        self.replica = replica
        self.auth = auth
        self.callers = callers
        self.questions = Questions(replica, auth, callers)
        self.limits = limits
        # Requests that no answer of the cluster was had for.
        self.failed_write_count = self.failed_read_count = 0
        self._operations: dict[str, Operation] = {}
        self._lights: dict[str, _Light] = {}
        self._checks: dict[str, Check] = {}
        replica.register(AS, self._run_as)
        replica.register(LIGHT_AS, Light(self._run_light_as, self._run_as))

    def register(self, name: str, operation: Operation | Light, check: Check) -> None:
        """Let clients run `operation`, as far as `check` permits while authentication is on."""
        self._checks[name] = check
        if isinstance(operation, Light):
            now, later = operation.now, operation.later
            self._lights[name], self._operations[name] = now, later
            self.replica.register(name, Light(self._unnamed(now), self._unnamed(later)))
        else:
            self._operations[name] = operation
            self.replica.register(name, self._unnamed(operation))

    def _unnamed(self, run: Callable[[Txn, bytes], _Outcome]) -> Callable[[Txn, bytes], _Outcome]:
        """As nobody may run it while authentication is on."""
        auth = self.auth

        def run_unnamed(txn: Txn, body: bytes) -> _Outcome:
            if auth.may_be_enabled and auth.is_enabled(txn):
                raise errors.user_empty()
            return run(txn, body)

        return run_unnamed

    def _run_as(self, txn: Txn, body: bytes) -> bytes | Long:
        """Operation: run another one for a user."""
        signature, inner = signed(body)
        check = self._checking(txn, signature, inner)
        if check is None or are_over(check, txn):
            return self._operations[signature.operation](txn, inner)
        return Long(lambda its: self._run_long_as(its, body))

    def _run_long_as(self, txn: Txn, body: bytes) -> Steps:
        """The same, where it takes many turns to know whether the user may."""
        signature, inner = signed(body)
        check = self._checking(txn, signature, inner)
        if check is not None:
            yield from in_slices(check)
        outcome = self._operations[signature.operation](txn, inner)
        return (yield from outcome.run(txn)) if isinstance(outcome, Long) else outcome

    def _run_light_as(self, txn: Txn, body: bytes) -> bytes | None:
        signature, inner = signed(body)
        check = self._checking(txn, signature, inner)
        if check is None or are_over(check, txn):
            return self._lights[signature.operation](txn, inner)
        return None

    def _checking(self, txn: Txn, signature: Signature, body: bytes) -> Checking:
        """What it takes to know whether that user may; None = he may."""
        if not self.auth.is_enabled(txn):
            return None
        identity = Identity(signature.user, signature.token, signature.revision)
        judge = self.callers.judge(txn, identity)
        txn.cost += judge.cost
        return self._checks[signature.operation](judge, body)

    def write(
        self,
        caller: Caller,
        name: str,
        body: bytes,
        answer: Callable[[bytes], None],
        refused: Callable[[RoostError], None],
        waiting: Waiting | None = None,
        *,
        is_signed: bool = False,
    ) -> None:
        """Run what a client asks for on the leader; `answer` gets the operation's result.

        What nobody is `waiting` for any more before it has begun is not begun.  What `is_signed`
        says itself who asks, and judges that where it runs (`v2/gate.py`).
        """

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, RoostError):
                self.failed_write_count += not isinstance(outcome, Refused)
                refused(outcome)
            else:
                answer(outcome)

        if len(body) > self.limits.request_bytes_max:
            refused(errors.request_too_large())
        elif is_signed:
            self.replica.transact_nowait(name, body, done, caller.flow, waiting)
        else:
            self.run(caller, name, body, done, waiting)

    def run(
        self,
        caller: Caller,
        name: str,
        body: bytes,
        done: Done,
        waiting: Waiting | None = None,
    ) -> None:
        """Run an operation for a caller who is answered by somebody else."""
        if self.auth.may_be_enabled:
            self._run_identified(caller, name, body, done, waiting)
        else:
            self.replica.transact_nowait(name, body, done, caller.flow, waiting)

    # By itself, so that what nobody has to be somebody for makes no function.
    def _run_identified(
        self, caller: Caller, name: str, body: bytes, done: Done, waiting: Waiting | None
    ) -> None:
        """The same, as who it is that asks."""
        transact = self.replica.transact_nowait

        def identified(identity: Identity | None) -> None:
            if identity is None:
                transact(name, body, done, caller.flow, waiting)
            else:
                flow = caller.flow.as_user(identity.user)
                as_user = LIGHT_AS if name in self._lights else AS
                transact(as_user, sign(name, identity, body), done, flow, waiting)

        self.callers.identify(caller, identified, done)

    def read(
        self,
        caller: Caller,
        check: Callable[[Judge], Checking],
        answer: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        is_local: bool = False,
        waiting: Waiting | None = None,
    ) -> None:
        """Answer from the view, after a read barrier unless the caller wants a local answer.

        `answer` may raise `Refused`.
        """

        def allowed() -> None:
            try:
                answer()
            except Refused as refusal:
                refused(refusal)

        self.admit(caller, check, allowed, refused, is_local=is_local, waiting=waiting)

    def admit(
        self,
        caller: Caller,
        check: Callable[[Judge], Checking] | None,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        *,
        is_local: bool = False,
        may_be_stale: bool = False,
        waiting: Waiting | None = None,
    ) -> None:
        """Go on when a read barrier has passed and the caller may do what `check` asks.

        Without a check `allowed` judges by users of its own.

        A caller that wants a local answer waits for none; one that `may_be_stale` waits only while
        somebody leads, and not for long.
        """

        def ready(error: RoostError | None) -> None:
            if error is not None:
                self.failed_read_count += 1
                refused(error)
            elif waiting is not None and waiting.is_over:
                refused(CallerGone("nobody waits for it any more"))
            elif check is not None and self.auth.may_be_enabled:
                self._judge(caller, check, allowed, refused, waiting)
            else:
                allowed()

        if is_local:
            ready(None)
        elif may_be_stale:
            self._when_fresh(told_read(ready))  # a timer may be who calls it
        elif self.replica.is_learner:
            refused(errors.not_for_learner())
        else:
            self.replica.read_nowait(ready, caller.flow)

    # A method, and no function that `ready` would know: compiled, the two would be in a cycle.
    def _judge(
        self,
        caller: Caller,
        check: Callable[[Judge], Checking],
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
        waiting: Waiting | None,
    ) -> None:
        """Go on when the caller may do what `check` asks."""

        def identified(identity: Identity | None) -> None:
            if identity is None:
                allowed()
            else:
                self.questions.ask(identity, check, allowed, refused, waiting)

        self.callers.identify(caller, identified, refused)

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
        self,
        caller: Caller,
        check: Callable[[Judge], Checking],
        *,
        is_local: bool = False,
        may_be_stale: bool = False,
    ) -> None:
        """Return when `admit` goes on.

        Raises:
            RoostError: there is no leader, or somebody else asks.

        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(error: RoostError | None = None) -> None:
            settle_future(future, error)

        self.admit(caller, check, settle, settle, is_local=is_local, may_be_stale=may_be_stale)
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
