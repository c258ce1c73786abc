"""/mod/v2/lock and /mod/v2/leader, as etcd 0.3 had them, over one kind of queue (`queues`).

    POST   /mod/v2/lock/{key}    ttl, value, timeout      the index, when it is held
    GET    /mod/v2/lock/{key}    field=value or index     of who holds it; nothing when nobody does
    PUT    /mod/v2/lock/{key}    ttl, index or value      hold it for longer
    DELETE /mod/v2/lock/{key}    index or value           give it up
    PUT    /mod/v2/leader/{key}  name, ttl, timeout       the index, when it leads; again to stay
    GET    /mod/v2/leader/{key}                           the name of who leads
    DELETE /mod/v2/leader/{key}  name                     resign

A leader of a key is who holds the lock of that key with its name as the value.  Whoever goes away
while it waits, or is late by its `timeout` (seconds; 0 = it must be free now), waits no more.
"""

from collections.abc import Awaitable, Callable

from roost.errors import RoostError
from roost.etcd.model.costs import at_once
from roost.etcd.v2.faults import Fault, Reason, fault_of
from roost.etcd.v2.forms import TTL_S_MAX, Form
from roost.etcd.v2.paths import ROOT, cleaned, is_too_long
from roost.etcd.v2.queues import NOBODY, Place, Queues, Wish, queue_of
from roost.exchange import JSON, TEXT, Answer, Reply, Request, not_allowed, not_found
from roost.tasks import Tasks

LOCK, LEADER = b"/mod/v2/lock", b"/mod/v2/leader"
# What is said of a lock is short; so a form is read at once.
BODY_BYTES_MAX = 64 << 10
_LOCK_METHODS = ("GET", "POST", "PUT", "DELETE")
_LEADER_METHODS = ("GET", "PUT", "DELETE")
Work = Callable[[Request, Form, bytes], Awaitable[bytes]]


class Modules:
    """Answers requests whose path begins with /mod/v2/."""

    def __init__(self, queues: Queues) -> None:
        """Stand on those that wait."""
        self._queues = queues
        self._tasks = Tasks()
        self._works: dict[tuple[bytes, str], Work] = {
            (LOCK, "POST"): self._acquire,
            (LOCK, "GET"): self._holder,
            (LOCK, "PUT"): self._renew,
            (LOCK, "DELETE"): self._release,
            (LEADER, "PUT"): self._lead,
            (LEADER, "GET"): self._leader,
            (LEADER, "DELETE"): self._resign,
        }

    def begin(self, request: Request, path: bytes, reply: Reply) -> None:
        """Answer one, now or later; `path` is without escapes."""
        for module, methods in ((LOCK, _LOCK_METHODS), (LEADER, _LEADER_METHODS)):
            if path.startswith(module + b"/") and cleaned(path[len(module) :]) != ROOT:
                work = self._works.get((module, request.method))
                if work is None:
                    reply(not_allowed(*methods))
                    return
                task = self._tasks.start(self._answer(work, request, path[len(module) :], reply))
                if request.waiting is not None:
                    request.waiting.hear_gone(task.cancel)
                return
        reply(not_found())

    async def _answer(self, work: Work, request: Request, key: bytes, reply: Reply) -> None:
        try:
            queue = queue_of(cleaned(key))
            if is_too_long(queue + b"/" * 21):
                raise Fault(Reason.INVALID_FIELD, "the key is too long, or too deep")
            if len(request.body) > BODY_BYTES_MAX:
                raise Fault(Reason.INVALID_FORM, "the form is too long")
            form = Form()
            at_once(form.read_long(request))
            reply(Answer(200, await work(request, form, queue), (TEXT,)))
        except RoostError as error:
            fault = fault_of(error)
            reply(Answer(fault.status, fault.body, (JSON,)))

    async def _acquire(self, request: Request, form: Form, queue: bytes) -> bytes:
        timeout_s = _timeout_of(form)
        value = form.text(b"value") or NOBODY
        wish = Wish(request.caller, queue, value, _ttl_of(form))
        return b"%d" % (await self._queues.acquire(wish, timeout_s)).index

    async def _holder(self, request: Request, form: Form, queue: bytes) -> bytes:
        field = form.text(b"field") or b"value"
        if field not in (b"value", b"index"):
            raise Fault(Reason.INVALID_FIELD, "field")
        places = await self._queues.places(request.caller, queue)
        if not places:
            return b""
        return places[0].value if field == b"value" else b"%d" % places[0].index

    async def _found(self, request: Request, form: Form, queue: bytes) -> Place:
        """The place that is meant."""
        value = form.text(b"value")
        index = form.number(b"index", Reason.INDEX_NOT_A_NUMBER)
        if not value and not index:
            raise Fault(Reason.INDEX_OR_VALUE_REQUIRED)
        if value and index:
            raise Fault(Reason.INDEX_AND_VALUE)
        return await self._queues.find(request.caller, queue, value=value, index=index)

    async def _renew(self, request: Request, form: Form, queue: bytes) -> bytes:
        ttl_s = _ttl_of(form)
        place = await self._found(request, form, queue)
        await self._queues.renew(Wish(request.caller, queue, place.value, ttl_s), place)
        return b""

    async def _release(self, request: Request, form: Form, queue: bytes) -> bytes:
        await self._queues.release(request.caller, await self._found(request, form, queue))
        return b""

    async def _lead(self, request: Request, form: Form, queue: bytes) -> bytes:
        timeout_s = _timeout_of(form)
        wish = Wish(request.caller, queue, _name_of(form), _ttl_of(form))
        return b"%d" % (await self._queues.acquire(wish, timeout_s)).index

    async def _leader(self, request: Request, _form: Form, queue: bytes) -> bytes:
        places = await self._queues.places(request.caller, queue)
        return places[0].value if places else b""

    async def _resign(self, request: Request, form: Form, queue: bytes) -> bytes:
        name = _name_of(form)
        place = await self._queues.find(request.caller, queue, value=name, index=0)
        await self._queues.release(request.caller, place)
        return b""

    async def close(self) -> None:
        """Let nobody wait any more, and give their places back."""
        await self._tasks.close()
        await self._queues.close()


def _ttl_of(form: Form) -> int:
    """How long it is held without a word, in seconds: one at least."""
    if not form.text(b"ttl"):
        raise Fault(Reason.TTL_NOT_A_NUMBER, "ttl")
    return max(1, form.number(b"ttl", Reason.TTL_NOT_A_NUMBER, TTL_S_MAX))


def _timeout_of(form: Form) -> float | None:
    """How long somebody waits, in seconds; None = for ever."""
    if not form.text(b"timeout"):
        return None
    return form.number(b"timeout", Reason.TIMEOUT_NOT_A_NUMBER, TTL_S_MAX)


def _name_of(form: Form) -> bytes:
    name = form.text(b"name")
    if not name:
        raise Fault(Reason.NAME_REQUIRED)
    return name
