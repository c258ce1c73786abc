"""A member's directory and a backup as a version of Roost leaves them, packed, for later versions.

    python -m tests.database.kept     makes tests/data/directory-<storage version>.zip anew

Whoever changes a format makes another one, and says in `test_kept` what becomes of those before.
What is in them stands here, once: `fill` puts it, `check` finds it.  A file is packed without the
zeros at its end, which are nearly all of it; `SIZES` says how long it was.
"""

import json
import sys
import tempfile
import urllib.request
import zipfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlencode

import roost
from roost.client import Client, Permission
from roost.store import STORAGE_VERSION
from roost.testing.ports import free_ports

FOLDER = Path(__file__).parent.parent / "data"
SIZES = "sizes.json"
DATA, BACKUP = "data", "backup.db"
LEASE_ID, LEASE_TTL_S = 4711, 9_000_000_000
BEGIN = datetime(2024, 3, 30, tzinfo=UTC)
MINUTE_NS = 60 * 10**9
SERIES = [float(it % 7) for it in range(500)]
# How many revisions the puts and deletes of `_put_keys` are, after the first, which is nobody's.
REVISION = 1 + 6

bank = roost.Operations("bank")


@bank.operation
def transfer(txn: roost.Transaction, count: int) -> int:
    """Take some away; what is left."""
    accounts = txn.tree("accounts", key=str, value=int)
    accounts["ada"] = left = accounts.get("ada", 100) - count
    return left


def path_of(version: int) -> Path:
    """Where the one of a version is kept."""
    return FOLDER / f"directory-{version}.zip"


def opened(directory: Path) -> roost.Database:
    """The member, with all that it serves."""
    return roost.open(directory, operations=[bank], enable_v2=True)


def fill(directory: Path, backup: Path) -> None:
    """Put something of every kind, in two lives; the backup is of the second."""
    with opened(directory) as db:
        tree = db.tree("plain")
        tree.update({b"a": b"1", b"gone": b"2", b"large": bytes(70_000)})
        del tree[b"gone"]
        db.tree("people", key=str, value=dict[str, int])["ada"] = {"born": 1815}
        db.tree("moments", key=tuple[str, datetime])["a", BEGIN] = b"then"
        db.describe("people", "who they are")
        assert db.run(transfer, 30, once="order 1") == 70
        db.objects.dict("stock", key=str, value=int).update({"pears": 3, "apples": 5})
        db.objects.list("log", value=str).extend(["one", "two"])
        db.counters.increment("views", 5)
        _put_keys(db)
    with opened(directory) as db:
        with db.series.connect(wait_for_server_flush=True) as con:
            with con.series("sensor1.heat") as heat:
                for at, value in enumerate(SERIES):
                    heat.add(int(BEGIN.timestamp()) * 10**9 + at * MINUTE_NS, value)
            con.tag("sensor1.heat", add=["temp:C"])
        db.counters.increment("views", 2)
        db.tree("plain")[b"late"] = b"3"
        db.snapshot(backup)


def _put_keys(db: roost.Database) -> None:
    [port] = free_ports(1)
    db.serve([f"http://127.0.0.1:{port}"])
    with Client([f"127.0.0.1:{port}"]) as client:
        client.put("k", "first")
        client.put("k", "second")
        client.put("gone", "x")
        client.delete("gone")
        client.put("a/1", "one")
        client.leases.grant(LEASE_TTL_S, LEASE_ID)
        client.put("held", "by a lease", lease=LEASE_ID)
        client.users.add_user("ada", "a password")
        client.users.add_role("reader")
        client.users.grant_permission("reader", Permission("read", b"a/", b"a0"))
        client.users.grant_role("ada", "reader")
    _ask_v2(port, "PUT", "/config/level", value="debug")


def _ask_v2(port: int, method: str, key: str, **form: str) -> dict[str, object]:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/keys{key}",
        data=urlencode(form).encode() if form else None,
        headers={"content-type": "application/x-www-form-urlencoded"},
        method=method,
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        found: dict[str, object] = json.load(answer)["node"]
        return found


def check(directory: Path, *, has_counters: bool = True) -> None:
    """Find exactly that; a backup has no counters of its member."""
    with opened(directory) as db:
        found = dict(db.tree("plain"))
        assert found == {b"a": b"1", b"large": bytes(70_000), b"late": b"3"}
        assert dict(db.tree("people", key=str, value=dict[str, int])) == {"ada": {"born": 1815}}
        assert dict(db.tree("moments", key=tuple[str, datetime])) == {("a", BEGIN): b"then"}
        assert db.run(transfer, 30, once="order 1") == 70, "it was done already"
        assert db.run(transfer, 0, once="order 2") == 70
        stock = db.objects.dict("stock", key=str, value=int)
        assert list(stock.items()) == [("pears", 3), ("apples", 5)]
        assert list(db.objects.list("log", value=str)) == ["one", "two"]
        assert db.counters.read("views") == {"views": 7 if has_counters else None}
        _check_keys(db)
        if find_spec("numpy") is not None:  # else nobody can ask for time series
            _check_series(db)


def _check_series(db: roost.Database) -> None:
    found = db.series.query("sensor1.heat").fetch()[0]
    assert list(found.columns["value"]) == SERIES
    with db.series.connect() as con:
        assert [it["name"] for it in con.listed(tag="temp:C")] == ["sensor1.heat"]


def _check_keys(db: roost.Database) -> None:
    [port] = free_ports(1)
    db.serve([f"http://127.0.0.1:{port}"])
    with Client([f"127.0.0.1:{port}"]) as client:
        items = {it.key: it.value for it in client.items("", prefix=True)}
        assert items == {b"k": b"second", b"a/1": b"one", b"held": b"by a lease"}
        first, now = client.get("k", revision=2), client.get("k")
        assert first is not None and now is not None
        assert (first.value, now.version, now.mod_revision) == (b"first", 2, 3)
        assert client.ask_range("k").header.revision == REVISION
        lease = client.leases.time_to_live(LEASE_ID, keys=True)
        assert lease.keys == (b"held",) and lease.granted_s == LEASE_TTL_S
        assert client.users.roles_of("ada") == ["reader"]
        assert client.users.permissions_of("reader") == [Permission("read", b"a/", b"a0")]
    node = _ask_v2(port, "GET", "/config/level")
    assert (node["value"], node["key"]) == ("debug", "/config/level")


def pack(root: Path, packed: Path) -> None:
    """Pack all files below a folder."""
    sizes = {}
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in sorted(it for it in root.rglob("*") if it.is_file()):
            name, data = path.relative_to(root).as_posix(), path.read_bytes()
            sizes[name] = len(data)
            file.writestr(zipfile.ZipInfo(name), data.rstrip(b"\0"), zipfile.ZIP_DEFLATED)
        file.writestr(zipfile.ZipInfo(SIZES), json.dumps(sizes))


def unpack(packed: Path, root: Path) -> None:
    """Have the same files again; their zeros take no room."""
    with zipfile.ZipFile(packed) as file:
        for name, size in json.loads(file.read(SIZES)).items():
            path = root / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("wb") as made:
                made.write(file.read(name))
                made.truncate(size)
            path.chmod(0o600)


def main() -> None:
    """Make the one of this version."""
    packed = path_of(STORAGE_VERSION)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fill(root / DATA, root / BACKUP)
        # It holds room, and nothing else; a member makes it anew.
        (root / DATA / "reserve").unlink(missing_ok=True)
        pack(root, packed)
    sys.stdout.write(f"{packed}: {packed.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
