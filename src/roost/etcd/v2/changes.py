"""Changes of the tree, as operations where the cluster leads (etcd: store/store.go of 2.3).

What is asked is a `Change`, what comes of it `Done` or `Failed`, of which any member can make the
answer that the client gets: its JSON may be many times as long, and is not made where all wait.
A change that fails has written nothing, and takes no index.

We differ from etcd's 3.5, as its 2.3 does: the time to live of a directory can be changed.
"""

from collections.abc import Callable
from typing import Final

from roost.database.model import Long, Txn, Walk
from roost.etcd.model.alarms import Alarms
from roost.etcd.model.costs import SLICE_ROWS, Costs, now_or_long
from roost.etcd.v2 import history, nodes
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.paths import ROOT, below_range, child_of, children_range, parents_of, path_of
from roost.etcd.v2.values import (
    Action,
    Change,
    Done,
    Event,
    Failed,
    Flags,
    Kind,
    Node,
    Now,
    decode,
    encode,
)

CHANGE: Final = "etcd.v2_change"
# Beside values a change takes so much at most in the store, and so much for each new directory.
_CHANGE_BYTES, _PARENT_BYTES = 512, 128
# Fewer rows are cheaper deleted one by one.
_FEW_ROWS: Final = 64
# Of those that are due, so many in one operation.
EXPIRED_MAX: Final = 100
_NS: Final = 1_000_000_000


# Those after which nothing is said of the node, if that is asked for.
SILENT: Final = frozenset({Kind.SET, Kind.CREATE, Kind.POST, Kind.UPDATE, Kind.SWAP})


class TreeOperations:
    """The operations, over one store."""

    def __init__(self, trees: Trees, alarms: Alarms, now_ns: Callable[[], int]) -> None:
        """`now_ns` is the date: nanoseconds since 1970."""
        self._trees = trees
        self._alarms = alarms
        self._now_ns = now_ns
        # Of each kind, those that ran here.
        self.failed: dict[Kind, int] = dict.fromkeys(Kind, 0)
        self.succeeded: dict[Kind, int] = dict.fromkeys(Kind, 0)
        self.expired_count = 0

    def change(self, txn: Txn, body: bytes) -> bytes | Long:
        """Operation: body is a `Change`."""
        asked = decode(body)
        txn.cost += 1
        if self._alarms.raised:
            self._alarms.check_sound()
        if asked.kind not in (Kind.DELETE, Kind.COMPARE_DELETE):
            cost = 4 * len(body) + _CHANGE_BYTES + _PARENT_BYTES * asked.path.count(b"/")
            self._alarms.take_space(cost)
        txn.gather()  # nodes, events, what runs out: nobody asks which was written first
        carry_out = _AT_ONCE.get(asked.kind)
        if carry_out is None:
            return now_or_long(txn, lambda its: self._changed(its, asked))
        changing = self._changing(txn, asked)
        try:
            return self._done(changing, carry_out(changing))
        except Fault as fault:
            return self._failed(asked, fault)

    def _changed(self, txn: Txn, asked: Change) -> Costs[bytes]:
        changing = self._changing(txn, asked)
        try:
            event = yield from _IN_STEPS[asked.kind](changing)
        except Fault as fault:
            return self._failed(asked, fault)
        return self._done(changing, event)

    def _changing(self, txn: Txn, asked: Change) -> "_Changing":
        trees = self._trees
        return _Changing(trees, txn, asked, history.now(trees, txn), self._now_ns())

    def _done(self, changing: "_Changing", event: Event) -> bytes:
        """Its event is written; the answer."""
        row = history.add(self._trees, changing.txn, event, changing.held)
        self.succeeded[changing.asked.kind] += 1
        is_new = event.action is Action.CREATE or (
            event.action is Action.SET and changing.old is None
        )
        return encode(Done(event.index, row, is_new))

    def _failed(self, asked: Change, fault: Fault) -> bytes:
        self.failed[asked.kind] += 1
        return encode(Failed(fault.index, fault.reason, fault.cause))

    def expire(self, txn: Txn, _body: bytes) -> bytes | Long:
        """Operation: take away what has run out by the clock where this runs."""
        now_ns = self._now_ns()
        return now_or_long(txn, lambda its: self._expired(its, now_ns))

    def _expired(self, txn: Txn, now_ns: int) -> Costs[bytes]:
        trees = self._trees
        walk = Walk(txn, trees.expiries, b"", nodes.expiry_key(now_ns + 1, b""))
        due: list[bytes] = []
        while not walk.is_done and not due:
            due = [key for key, _ in walk.take(EXPIRED_MAX)]
            yield walk.cost
        for key in due:
            if not txn.has(trees.expiries, key):
                continue  # it was below a directory that has just run out
            path = nodes.expiring_path(key)
            node = nodes.get(trees, txn, path)
            assert node is not None, "what runs out is there"
            asked = Change(Kind.DELETE, path, is_recursive=True)
            held = history.now(trees, txn)
            changing = _Changing(trees, txn, asked, held, now_ns)
            yield from changing.remove(node)
            history.add(trees, txn, changing.gone(Action.EXPIRE, node), held)
            self.expired_count += 1
        return b""


# What whoever may not is told.
NOT_ALLOWED = encode(Failed(0, Reason.UNAUTHORIZED, b"Insufficient credentials"))


class _Changing:
    """One change on its way: what was asked, on which state, when."""

    __slots__ = ("asked", "held", "index", "now_ns", "old", "path", "trees", "txn")

    def __init__(self, trees: Trees, txn: Txn, asked: Change, held: Now, now_ns: int) -> None:
        self.trees = trees
        self.txn = txn
        self.asked = asked
        self.path = asked.path
        # The history before the change, and its index.
        self.held = held
        self.index = held.index
        self.now_ns = now_ns
        # What stood there before.
        self.old: Node | None = None

    def fault(self, reason: Reason, cause: bytes | None = None) -> Fault:
        return Fault(reason, self.path if cause is None else cause, self.index)

    def check_root(self) -> None:
        if self.path == ROOT:
            raise self.fault(Reason.ROOT_IS_READ_ONLY)

    def find(self) -> Node:
        """What is there.

        Raises:
            Fault: nothing is; to say where the way ends, all of it may have been looked at.

        """
        try:
            return nodes.find(self.trees, self.txn, self.path, self.index)
        except Fault:
            self.txn.cost += self.path.count(b"/")
            raise

    @property
    def expires_ns(self) -> int:
        ttl_s = self.asked.ttl_s
        return 0 if ttl_s is None else self.now_ns + ttl_s * _NS

    def compare(self, node: Node) -> None:
        """See that a key is as it is asked to be.

        Raises:
            Fault: it is a directory, or another.

        """
        asked = self.asked
        if node.is_dir:
            raise self.fault(Reason.NOT_A_FILE, b"" if self.path == ROOT else None)
        wrong = []
        if asked.prev_value and asked.prev_value != node.value:
            wrong.append(b"[%b != %b]" % (asked.prev_value, node.value))
        if asked.prev_index and asked.prev_index != node.modified:
            wrong.append(b"[%d != %d]" % (asked.prev_index, node.modified))
        if wrong:
            raise self.fault(Reason.COMPARE_FAILED, b" ".join(wrong))

    def create(self, action: Action, *, replaces: bool) -> Event:
        """Write a node that is new, and the directories on the way.

        Raises:
            Fault: something is there that must not be.

        """
        self.check_root()
        trees, txn, index = self.trees, self.txn, self.index + 1
        old = nodes.get(trees, txn, self.path)
        if old is not None:  # so are the directories on the way
            if not replaces:
                raise self.fault(Reason.KEY_EXISTS)
            if old.is_dir:
                raise self.fault(Reason.NOT_A_FILE)
        else:
            for parent in self._missing_parents():
                above = Node(is_dir=True, created=index, modified=index, expires_ns=0, value=b"")
                nodes.put(trees, txn, parent, above)
        is_dir, asked = self.asked.is_dir, self.asked
        value = b"" if is_dir else asked.value
        if asked.is_refresh and replaces and old is not None:
            value = b"" if is_dir else old.value
        node = Node(is_dir, index, index, self.expires_ns, value)
        nodes.put(trees, txn, self.path, node, old)
        self.old = old
        return self.event(action, node, may_refresh=replaces)

    def _missing_parents(self) -> list[bytes]:
        """Directories on the way that are not there, the outermost first."""
        missing: list[bytes] = []
        for parent in reversed(parents_of(self.path)):
            self.txn.cost += 1  # it is looked for, and below perhaps written
            above = nodes.get(self.trees, self.txn, parent)
            if above is not None:
                if not above.is_dir:
                    raise self.fault(Reason.NOT_A_DIRECTORY, parent)
                break
            self.txn.cost += 1
            missing.append(parent)
        return missing[::-1]

    def event(self, action: Action, node: Node, *, may_refresh: bool = True) -> Event:
        """The event of a node that was written; `old` was there before."""
        is_refresh = self.asked.is_refresh and may_refresh
        flags = Flags.REFRESH if is_refresh else Flags.NONE
        return self._event(action, flags, node)

    def gone(self, action: Action, node: Node) -> Event:
        """The event of a node that was taken away."""
        self.old = node
        shown = Node(node.is_dir, node.created, self.index + 1, 0, b"")
        return self._event(action, Flags.DIRECTORY_GONE if node.is_dir else Flags.NONE, shown)

    def _event(self, action: Action, flags: Flags, node: Node) -> Event:
        return Event(self.index + 1, action, flags, self.path, self.now_ns, node, self.old)

    def write(self, action: Action, old: Node) -> Event:
        """Give a node that stays another value and another time to live."""
        asked, index = self.asked, self.index + 1
        value = old.value if asked.is_refresh else asked.value
        shown = Node(old.is_dir, old.created, index, self.expires_ns, value)
        # As in 2.3: a directory keeps the index of its last change, whatever its event says.
        kept = shown
        if old.is_dir:
            kept = Node(old.is_dir, old.created, old.modified, shown.expires_ns, b"")
        nodes.put(self.trees, self.txn, self.path, kept, old)
        self.old = old
        return self.event(action, shown)

    def remove(self, node: Node) -> Costs[None]:
        """Take a node away, and all that is below it."""
        if node.is_dir:
            for first, stop in (children_range(self.path), below_range(self.path)):
                yield from self._remove_rows(first, stop)
        nodes.remove(self.trees, self.txn, self.path, node)
        yield 1

    def _remove_rows(self, first: bytes, stop: bytes) -> Costs[None]:
        trees, txn = self.trees, self.txn
        walk = Walk(txn, trees.nodes, first, stop)
        found = walk.take(SLICE_ROWS)
        is_few = walk.is_done and len(found) < _FEW_ROWS
        while True:
            for key, row in found:
                node = nodes.decode(row)
                if node.expires_ns:
                    txn.delete(trees.expiries, nodes.expiry_key(node.expires_ns, path_of(key)))
            yield walk.cost
            if walk.is_done:
                break
            found = walk.take(SLICE_ROWS)
        if not is_few:
            txn.delete_range(trees.nodes, first, stop)
            return
        for key, _ in found:
            txn.delete(trees.nodes, key)


def _set(it: _Changing) -> Event:
    it.check_root()
    if it.asked.is_refresh:
        it.find()
    return it.create(Action.SET, replaces=True)


def _create(it: _Changing) -> Event:
    return it.create(Action.CREATE, replaces=False)


def _post(it: _Changing) -> Event:
    it.path = child_of(it.path, b"%020d" % (it.index + 1))
    return it.create(Action.CREATE, replaces=False)


def _join(it: _Changing) -> Costs[Event]:
    walk = nodes.children(it.trees, it.txn, it.path)
    while not walk.is_done:
        rows = walk.take(SLICE_ROWS)
        yield walk.cost
        for key, row in rows:
            node = nodes.decode(row)
            if not node.is_dir and node.value == it.asked.value:
                raise it.fault(Reason.KEY_EXISTS, path_of(key))
    return _post(it)


def _update(it: _Changing) -> Event:
    it.check_root()
    old = it.find()
    if old.is_dir and it.asked.value:
        raise it.fault(Reason.NOT_A_FILE)
    return it.write(Action.UPDATE, old)


def _swap(it: _Changing) -> Event:
    it.check_root()
    old = it.find()
    it.compare(old)
    return it.write(Action.SWAP, old)


def _delete(it: _Changing) -> Costs[Event]:
    it.check_root()
    asked, old = it.asked, it.find()
    if old.is_dir:
        if not (asked.is_dir or asked.is_recursive):
            raise it.fault(Reason.NOT_A_FILE)
        if not asked.is_recursive:
            walk = nodes.children(it.trees, it.txn, it.path)
            while not walk.is_done:
                if walk.take(1):
                    raise it.fault(Reason.NOT_EMPTY)
                yield SLICE_ROWS
    yield from it.remove(old)
    return it.gone(Action.DELETE, old)


def _compare_delete(it: _Changing) -> Costs[Event]:
    old = it.find()
    it.compare(old)
    yield from it.remove(old)
    return it.gone(Action.COMPARE_DELETE, old)


# What costs a few look-ups, whatever is there; and what may have much to look at.
_AT_ONCE: dict[Kind, Callable[[_Changing], Event]] = {
    Kind.SET: _set,
    Kind.CREATE: _create,
    Kind.POST: _post,
    Kind.UPDATE: _update,
    Kind.SWAP: _swap,
}
_IN_STEPS: dict[Kind, Callable[[_Changing], Costs[Event]]] = {
    Kind.JOIN: _join,
    Kind.DELETE: _delete,
    Kind.COMPARE_DELETE: _compare_delete,
}
