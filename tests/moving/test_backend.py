"""What etcd's store says is checked where it is read."""

import pytest

from roost.etcd.model.leases import Lease
from roost.moving import backend as etcd
from roost.moving.backend import Backend, Revision
from roost.moving.bolt import BoltFile
from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused
from roost.proto import auth_pb2, kv_pb2
from tests.moving.files import LEASE, Rows, bolt, everything, put


def backend(**changed: Rows) -> Backend:
    rows: dict[bytes, Rows] = dict(everything())
    rows.update({name.encode(): value for name, value in changed.items()})
    data = bolt(rows)
    return Backend(BoltFile(data, len(data)))


def test_all_of_it_is_read() -> None:
    held = backend()
    assert (held.consistent_index, held.compacted) == (40, 3)
    assert held.leases() == {LEASE: Lease(60, 5)}
    users = held.users()
    assert (users.is_enabled, users.revision) == (True, 7)
    assert (list(users.users[b"ada"].roles), list(users.roles)) == (["reader"], [b"reader"])
    revisions = list(held.revisions())
    assert [(it.main, it.sub, it.key) for it in revisions] == [
        (2, 0, b"a"), (3, 0, b"b\0"), (3, 1, b"c"), (4, 0, b"a"), (5, 0, b"c"), (6, 0, b"lost"),
    ]  # fmt: skip
    assert revisions[4] == Revision(5, 0, b"c", None)


def test_a_lease_is_written_as_it_is_read() -> None:
    for name in (LEASE, b"\xff" * 8):
        for lease in (Lease(60, 5), Lease(60, 0)):
            held = backend(lease=[(name, etcd.encode_lease(name, lease))])
            assert held.leases() == {name: lease}


def test_what_is_bbolts_and_not_etcds_is_refused() -> None:
    data = bolt({b"key": []})
    with pytest.raises(EtcdFileRefused, match="not etcd's"):
        Backend(BoltFile(data, len(data)))


def test_a_layout_that_is_newer_than_we_know_is_refused_by_its_name() -> None:
    backend(meta=[(etcd.STORAGE_VERSION, b"3.6.0")])
    for said, words in ((b"3.7.0", "etcd 3.7.0's"), (b"4.0.0", "4.0.0")):
        with pytest.raises(EtcdFileRefused, match=words):
            backend(meta=[(etcd.STORAGE_VERSION, said)])
    with pytest.raises(EtcdFileDamaged):
        backend(meta=[(etcd.STORAGE_VERSION, b"three")])


WRONG_REVISIONS = {
    "a key that is too short": (b"\0" * 8, b""),
    "no mark": (etcd.revision_key(2, 0).replace(b"_", b"-"), b""),
    "no revision": (etcd.revision_key(0, 0), put(1, b"a", b"")[1]),
    "too much behind it": (etcd.revision_key(2, 0) + b"tt", put(2, b"a", b"")[1]),
    "another mark behind it": (etcd.revision_key(2, 0) + b"u", put(2, b"a", b"")[1]),
    "no message": (etcd.revision_key(2, 0), b"\xff\xff"),
    "no key": (etcd.revision_key(2, 0), put(2, b"", b"")[1]),
    "another revision": (etcd.revision_key(2, 0), put(3, b"a", b"")[1]),
    "made later": (etcd.revision_key(2, 0), put(2, b"a", b"", created=3)[1]),
    "never made": (
        etcd.revision_key(2, 0),
        kv_pb2.KeyValue(key=b"a", mod_revision=2, version=1).SerializeToString(),
    ),
    "no version": (etcd.revision_key(2, 0), put(2, b"a", b"", version=0)[1]),
    "a number beyond all": (etcd.revision_key((1 << 63) + 1, 0), b""),
}


@pytest.mark.parametrize("row", WRONG_REVISIONS.values(), ids=WRONG_REVISIONS)
def test_a_revision_that_contradicts_itself_is_damage(row: tuple[bytes, bytes]) -> None:
    with pytest.raises(EtcdFileDamaged):
        list(backend(key=[row]).revisions())


WRONG_LEASES = {
    "a short id": (b"\1", b""),
    "no id": (bytes(8), etcd.encode_lease(bytes(8), Lease(5, 0))),
    "another id": (LEASE, etcd.encode_lease(b"\1" * 8, Lease(5, 0))),
    "no time": (LEASE, etcd.encode_lease(LEASE, Lease(0, 0))),
    "more left than granted": (LEASE, etcd.encode_lease(LEASE, Lease(5, 6))),
    "longer than any": (LEASE, etcd.encode_lease(LEASE, Lease(1 << 40, 0))),
    "an unknown field": (LEASE, b"\x20\x01"),
    "half a number": (LEASE, b"\x08\xff"),
}


@pytest.mark.parametrize("row", WRONG_LEASES.values(), ids=WRONG_LEASES)
def test_a_lease_that_is_none_is_damage(row: tuple[bytes, bytes]) -> None:
    with pytest.raises(EtcdFileDamaged):
        backend(lease=[row]).leases()


def test_users_and_roles_that_are_none_are_damage() -> None:
    ada = auth_pb2.User(name=b"ada").SerializeToString()
    for changed in (
        {"authUsers": [(b"bob", ada)]},
        {"authUsers": [(b"ada", b"\xff")]},
        {"authRoles": [(b"reader", ada)]},
        {"auth": [(etcd.AUTH_REVISION, b"1")]},
    ):
        with pytest.raises(EtcdFileDamaged):
            backend(**changed).users()
    with pytest.raises(EtcdFileDamaged):
        backend(meta=[(etcd.CONSISTENT_INDEX, b"1")])
