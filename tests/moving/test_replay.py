"""What stands in etcd's log behind its store comes to what etcd would have made of it."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from roost.etcd.access.users import Auth
from roost.etcd.limits import ROLES_OF_USER_MAX
from roost.etcd.model import leases
from roost.etcd.model.costs import at_once
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.model.wire import decode_key_value
from roost.moving import EtcdFileDamaged, EtcdFileRefused, EtcdOrigin, Taken, open_etcd
from roost.moving import backend as etcd
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.restoring import bootstrap_models
from roost.store import Store
from tests.moving.files import LEASE, everything, save
from tests.moving.test_wal import Log, data, entry, number

ADA, ROOT = b"ada", b"root"
PUT, DELETE, TXN, COMPACT, GRANT, REVOKE, ALARM, CHECKPOINT = 4, 5, 6, 7, 8, 9, 10, 11


class Etcd:
    """A directory with one of everything in its store, at entry 40, and a log behind it."""

    def __init__(self, root: Path, *, is_enabled: bool = False) -> None:
        self.root = root / "etcd"
        (self.root / "member" / "snap").mkdir(parents=True)
        (self.root / "member" / "wal").mkdir()
        self.rows = everything()
        if not is_enabled:
            self.rows[etcd.AUTH] = self.rows[etcd.AUTH][1:]
        self._index = 0
        self.log = Log(self.root / "member" / "wal")
        while self._index < 40:
            self._next(b"")

    def _next(self, body: bytes) -> None:
        self._index += 1
        self.log.add(entry(self._index, body))

    def ask(self, field: int, request: bytes, user: bytes = b"", revision: int = 7) -> None:
        header = number(1, 7) + (data(2, user) + number(3, revision) if user else b"")
        self._next(data(100, header) + data(field, request))

    @contextmanager
    def imported(self, name: str = "store") -> Iterator[tuple[Store, Taken]]:
        save(self.root / "member" / "snap" / "db", self.rows, has_digest=False)
        directory = self.root.parent / name
        directory.mkdir()
        with open_etcd(self.root) as source:
            origin = EtcdOrigin(source, bootstrap_models)
            store = origin.make_store(directory)
        try:
            assert origin.taken is not None
            yield store, origin.taken
        finally:
            store.close()
        assert [it.name for it in self.root.parent.glob("*.v2.*")] == []


def put_of(key: bytes, value: bytes = b"new", **more: object) -> bytes:
    request = pb.PutRequest(key=key, value=value, **more)  # type: ignore[arg-type]  # its fields
    return request.SerializeToString()


def keys_of(store: Store) -> dict[bytes, bytes]:
    mvcc = Mvcc(store)
    held = [decode_key_value(it) for _, it in store.view.iterate(mvcc.kv)]
    return {it.key: it.value for it in held}


def test_requests_go_on_at_the_revision_of_the_store(tmp_path: Path) -> None:
    made = Etcd(tmp_path)
    made.ask(PUT, put_of(b"a"))
    made.ask(PUT, put_of(b"x", lease=99))
    made.ask(DELETE, pb.DeleteRangeRequest(key=b"b", range_end=b"c").SerializeToString())
    made.ask(DELETE, pb.DeleteRangeRequest(key=b"nothing").SerializeToString())
    made.ask(COMPACT, pb.CompactionRequest(revision=5).SerializeToString())
    made.ask(COMPACT, pb.CompactionRequest(revision=4).SerializeToString())
    put_b = pb.RequestOp(request_put=pb.PutRequest(key=b"y", value=b"2"))
    made.ask(TXN, pb.TxnRequest(success=[put_b]).SerializeToString())
    with made.imported() as (store, taken):
        mvcc = Mvcc(store)
        assert keys_of(store) == {b"a": b"new", b"lost": b"", b"y": b"2"}
        assert (mvcc.revision(store.view), mvcc.compacted(store.view)) == (9, 5)
        assert at_once(leases.first_key(mvcc, store.view, LEASE, b"")) is None
    assert (taken.revision, taken.compacted, taken.key_count) == (9, 5, 3)
    assert (taken.replayed_count, taken.history_count) == (5, 9)


def test_leases_are_granted_revoked_and_counted_down(tmp_path: Path) -> None:
    made = Etcd(tmp_path)
    for lease_id, ttl_s in ((5, 1), (6, 60), (7, 60), (7, 70)):
        made.ask(GRANT, pb.LeaseGrantRequest(ID=lease_id, TTL=ttl_s).SerializeToString())
    made.ask(PUT, put_of(b"k6", lease=6))
    made.ask(REVOKE, pb.LeaseRevokeRequest(ID=6).SerializeToString())
    made.ask(CHECKPOINT, data(1, number(1, 7) + number(2, 33)) + data(1, number(1, 99)))
    with made.imported() as (store, taken):
        mvcc, view = Mvcc(store), store.view
        held = {it: leases.get(mvcc, view, leases.name_of(it)) for it in (5, 6, 7)}
        assert held == {5: leases.Lease(2, 0), 6: None, 7: leases.Lease(60, 33)}
        assert b"k6" not in keys_of(store)
    assert taken.lease_count == 3


def test_a_full_store_refuses_until_its_alarm_is_gone(tmp_path: Path) -> None:
    made = Etcd(tmp_path)
    alarm = pb.AlarmMember(memberID=9, alarm=pb.NOSPACE).SerializeToString()
    made.rows[b"alarm"] = [(alarm, b"")]
    deletion = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"a"))
    putting = pb.RequestOp(request_put=pb.PutRequest(key=b"t"))
    made.ask(PUT, put_of(b"refused"))
    made.ask(GRANT, pb.LeaseGrantRequest(ID=5, TTL=60).SerializeToString())
    made.ask(TXN, pb.TxnRequest(failure=[putting]).SerializeToString())
    made.ask(TXN, pb.TxnRequest(success=[deletion]).SerializeToString())
    off = pb.AlarmRequest(action=pb.AlarmRequest.DEACTIVATE, memberID=9, alarm=pb.NOSPACE)
    made.ask(ALARM, off.SerializeToString())
    made.ask(PUT, put_of(b"taken"))
    on = pb.AlarmRequest(action=pb.AlarmRequest.ACTIVATE, memberID=9, alarm=pb.CORRUPT)
    made.ask(ALARM, on.SerializeToString())
    made.ask(DELETE, pb.DeleteRangeRequest(key=b"taken").SerializeToString())
    with made.imported() as (store, taken):
        assert keys_of(store) == {b"b\0": b"1", b"lost": b"", b"taken": b"new"}
        # Alarms stay with the cluster that was.
        assert list(store.view.iterate(store.tree("$etcd.alarms").id)) == []
    assert (taken.revision, taken.lease_count) == (8, 1)


def with_root(made: Etcd) -> Etcd:
    root = auth_pb2.User(name=ROOT, password=b"$2a$", roles=["root"])
    made.rows[etcd.AUTH_USERS].append((ROOT, root.SerializeToString()))
    return made


def test_who_may_not_changes_nothing(tmp_path: Path) -> None:
    made = with_root(Etcd(tmp_path, is_enabled=True))
    made.ask(PUT, put_of(b"a", b"1"), ADA)
    made.ask(PUT, put_of(b"a", b"2"))
    made.ask(PUT, put_of(b"a", b"3"), b"nobody")
    made.ask(PUT, put_of(b"a", b"4"), ROOT, revision=6)
    read = pb.RequestOp(request_range=pb.RangeRequest(key=b"b"))
    made.ask(TXN, pb.TxnRequest(success=[read]).SerializeToString(), ADA)
    made.ask(DELETE, pb.DeleteRangeRequest(key=b"a").SerializeToString(), ADA)
    made.ask(REVOKE, pb.LeaseRevokeRequest(ID=leases.id_of(LEASE)).SerializeToString(), ADA)
    role = pb.AuthRoleAddRequest(name="more")
    made.ask(1200, role.SerializeToString(), ADA)
    with made.imported() as (store, taken):
        assert keys_of(store)[b"a"] == b"3"  # the store's own
        assert taken.replayed_count == 0
        assert (taken.role_count, taken.lease_count, taken.revision) == (1, 1, 6)
    made.ask(PUT, put_of(b"a", b"5"), ROOT)
    made.ask(1200, role.SerializeToString(), ROOT)
    # The users have changed: what was asked before by the old revision is refused.
    made.ask(PUT, put_of(b"a", b"6"), ROOT)
    made.ask(PUT, put_of(b"a", b"7"), ROOT, revision=8)
    made.ask(1011, b"", ROOT)
    made.ask(PUT, put_of(b"a", b"8"))
    with made.imported("again") as (store, taken):
        assert keys_of(store)[b"a"] == b"8"
        assert taken.replayed_count == 5
        assert taken.revision == 9
        assert not taken.is_auth_enabled


@pytest.mark.parametrize("has_hash", [True, False])
def test_a_password_is_what_it_was_on_every_first_member(
    tmp_path: Path,
    *,
    has_hash: bool,
) -> None:
    made = Etcd(tmp_path)
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
    said = (
        pb.AuthUserAddRequest(name="bob", hashedPassword=b64encode(hashed).decode())
        if has_hash
        else pb.AuthUserAddRequest(name="bob", password="secret")
    )
    made.ask(1100, said.SerializeToString())
    rows = []
    for name in ("one", "two"):
        with made.imported(name) as (store, _):
            user = Auth(store).user(store.view, "bob")
            assert user is not None
            assert bcrypt.checkpw(b"secret", user.password)
            rows.append(user.password)
    assert rows[0] == rows[1]


def test_what_is_not_known_here_is_refused_and_what_is_none_is_damage(tmp_path: Path) -> None:
    for number_of, body, words, kind in (
        (1500, b"", "request 1500", EtcdFileRefused),
        (PUT, b"\xff", "entry 41", EtcdFileDamaged),
        (1100, data(1, b"x") + data(4, b"***"), "hash is none", EtcdFileDamaged),
    ):
        root = tmp_path / str(number_of)
        root.mkdir()
        made = Etcd(root)
        made.ask(number_of, body)
        with pytest.raises(kind, match=words), made.imported():
            pass


def test_what_has_a_bound_here_and_none_in_etcd_is_said_and_nothing_is_taken(
    tmp_path: Path,
) -> None:
    made = Etcd(tmp_path)
    roles = [f"r{it:05}" for it in range(ROLES_OF_USER_MAX)]
    user = auth_pb2.User(name=ADA, password=b"$2a$", roles=roles)
    made.rows[etcd.AUTH_USERS] = [(ADA, user.SerializeToString())]
    granted = pb.AuthUserGrantRoleRequest(user="ada", role="reader")
    made.ask(1104, granted.SerializeToString())
    with pytest.raises(EtcdFileRefused, match=r"entry 41 .* too many roles"), made.imported():
        pass


def test_what_changes_no_key_is_passed_over(tmp_path: Path) -> None:
    made = Etcd(tmp_path)
    for field in (3, 1012, 1013, 1102, 1106, 1107, 1202, 1300, 1301, 1302):
        made.ask(field, b"")
    with made.imported() as (_, taken):
        assert (taken.replayed_count, taken.revision) == (0, 6)


def test_a_long_log_is_taken_in_parts(tmp_path: Path) -> None:
    made = Etcd(tmp_path)
    value = bytes(1 << 20)
    for it in range(10):
        made.ask(PUT, put_of(b"k%d" % it, value))
    with made.imported() as (store, taken):
        assert taken.revision == 16
        assert len(keys_of(store)) == 13
