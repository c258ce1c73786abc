"""Backups of real members, by etcd's own client and by ours, and clusters made of them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from roost.cli.exits import EXIT_USAGE
from roost.cli.main import main
from roost.client import Client, ClientError
from roost.member import location_of, read_backup
from roost.testing.cluster import ROOST, Cluster
from roost.testing.patience import wait_until
from tests.integration.etcdctl import etcdctl, run_etcdctl
from tests.s3 import s3_server

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


def roost(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(it) for it in arguments])


def key(number: int) -> bytes:
    return b"k%03d" % number


def put(cluster: Cluster, numbers: range) -> None:
    """Write through the first member: what it has acknowledged is in the store it saves."""
    with Client(cluster.endpoints[:1], timeout_s=20) as client:
        for number in numbers:
            client.put(key(number), b"v%d" % number)


def keys(cluster: Cluster) -> list[bytes]:
    with Client(cluster.endpoints, timeout_s=20) as client:
        return [it.key for it in client.range(b"k", b"l")]


def restored(root: Path, files: Sequence[str | Path], size: int, *options: str) -> Cluster:
    """A new cluster of `size` members, each of which has restored the same files."""
    cluster = Cluster(root, size)
    members = next(it for it in cluster.flags(0) if it.startswith("--initial-cluster="))
    for position in range(size):
        said = roost(
            "snapshot",
            "restore",
            *files,
            f"--data-dir={root / f'm{position}'}",
            f"--name=m{position}",
            members,
            f"--initial-advertise-peer-urls={cluster.peer_url(position)}",
            *options,
        )
        assert said.exit_code == 0, said.output
    return cluster


def test_what_etcdctl_saves_and_what_followed_become_a_new_cluster(tmp_path: Path) -> None:
    full, first, second = (tmp_path / name for name in ("full.db", "1.inc", "2.inc"))
    old = tmp_path / "old"
    old.mkdir()
    with Cluster(old, 3) as cluster:
        cluster.leader()
        put(cluster, range(50))
        endpoint = cluster.endpoints[0]
        etcdctl(endpoint, "snapshot", "save", str(full))
        put(cluster, range(50, 80))
        said = roost("snapshot", "save", first, "--since", full, "--endpoints", endpoint)
        assert said.exit_code == 0, said.output
        with Client(cluster.endpoints[:1], timeout_s=20) as client:
            client.delete(key(0))
        put(cluster, range(80, 90))
        said = roost("snapshot", "save", second, "--since", first, "--endpoints", endpoint)
        assert said.exit_code == 0, said.output
        old_id = cluster.status(0)
    for files, expected in (
        ([full], range(50)),
        ([full, first], range(80)),
        ([full, first, second], range(1, 90)),
    ):
        root = tmp_path / f"new-{len(files)}"
        root.mkdir()
        cluster = restored(root, files, 3 if len(files) > 1 else 1)
        with cluster:
            cluster.leader()
            assert keys(cluster) == [key(it) for it in expected]
            status = cluster.status(0)
            assert status.header.cluster_id != old_id.header.cluster_id
            put(cluster, range(100, 101))


def test_files_that_do_not_fit_are_refused_and_nothing_is_made(tmp_path: Path) -> None:
    full, late = tmp_path / "full.db", tmp_path / "late.inc"
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        endpoint = cluster.endpoints[0]
        put(cluster, range(5))
        assert roost("snapshot", "save", full, "--endpoints", endpoint).exit_code == 0
        put(cluster, range(5, 10))
        newer = tmp_path / "newer.db"
        assert roost("snapshot", "save", newer, "--endpoints", endpoint).exit_code == 0
        put(cluster, range(10, 12))
        said = roost("snapshot", "save", late, "--since", newer, "--endpoints", endpoint)
        assert said.exit_code == 0, said.output
    target = tmp_path / "target"
    for files, words in (
        ([full, late], "follows entry"),
        ([late], "must be a full snapshot"),
        ([tmp_path / "m0.log"], "digest"),
    ):
        refused = roost("snapshot", "restore", *files, f"--data-dir={target}")
        assert refused.exit_code == EXIT_USAGE
        assert words in refused.output
        assert not target.exists()
    data = bytearray(full.read_bytes())
    data[len(data) // 2] ^= 1
    full.write_bytes(data)
    assert "digest" in roost("snapshot", "status", full).output
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "file").write_text("here")
    refused = roost("snapshot", "restore", newer, f"--data-dir={tmp_path / 'busy'}")
    assert "not empty" in refused.output


def test_nothing_follows_the_backup_of_another_cluster(tmp_path: Path) -> None:
    """Its entries have the same numbers and terms: a restore would have mixed the two."""
    full, theirs = tmp_path / "full.db", tmp_path / "theirs.inc"
    for name in ("ours", "others"):
        (tmp_path / name).mkdir()
    with Cluster(tmp_path / "ours", 1) as ours, Cluster(tmp_path / "others", 1) as others:
        for cluster, count in ((ours, 5), (others, 20)):
            cluster.leader()
            put(cluster, range(count))
        said = roost("snapshot", "save", full, "--endpoints", ours.endpoints[0])
        assert said.exit_code == 0, said.output
        assert read_backup(full).cluster_id == ours.status(0).header.cluster_id
        asked = "snapshot", "save", theirs, "--since", full, "--endpoints"
        refused = roost(*asked, others.endpoints[0])
        assert refused.exit_code != 0
        assert "ask a member of that one" in refused.output
        assert not theirs.exists()
        put(ours, range(5, 10))
        said = roost(*asked, ours.endpoints[0])
        assert said.exit_code == 0, said.output
        assert read_backup(theirs).cluster_id == read_backup(full).cluster_id


def test_backups_come_by_the_clock_and_the_newest_are_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    flags = [f"--backup-dir={kept}", "--backup-interval=300ms", "--backup-keep=2"]
    with Cluster(tmp_path, 1, extra_flags=flags) as cluster:
        cluster.leader()
        seen: set[str] = set()

        def has_turned_over() -> bool:
            put(cluster, range(len(seen), len(seen) + 1))
            names = sorted(it.name for it in kept.glob("*.db")) if kept.exists() else []
            seen.update(names)
            return len(seen) > 3

        wait_until(has_turned_over)
    files = sorted(it for it in kept.iterdir() if "coming" not in it.name)
    assert 1 <= len(files) <= 3
    assert roost("snapshot", "status", files[-1]).exit_code == 0


def test_increments_come_by_the_clock_and_a_cluster_is_made_of_a_chain(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    flags = [f"--backup-dir={kept}", "--backup-interval=300ms", "--backup-full-interval=1200ms"]
    written = 0

    def chain() -> list[Path]:
        """The oldest full backup, and what follows it."""
        found = [read_backup(it) for it in sorted(kept.glob("m0-????????????????*"))]
        found.sort(key=lambda it: (it.index, not it.is_full))
        full = next((it for it in found if it.is_full), None)
        held = [] if full is None else [full]
        for it in found:
            if held and not it.is_full and it.base_index == held[-1].index:
                held.append(it)
        return [it.path for it in held]

    with Cluster(tmp_path, 1, extra_flags=flags) as cluster:
        cluster.leader()

        def is_chain() -> bool:
            nonlocal written
            put(cluster, range(written, written + 1))
            written += 1
            return len(chain()) == 4

        wait_until(is_chain)
    files = chain()
    assert [it.suffix for it in files] == [".db", ".inc", ".inc", ".inc"]
    with restored(tmp_path / "again", files, 1) as again:
        again.leader()
        held = keys(again)
    assert held == [key(it) for it in range(len(held))]
    assert 3 <= len(held) <= written
    named = roost("snapshot", "list", kept, "--chain", "m0").output.split()
    held_by = [read_backup(Path(it)) for it in named]
    assert [it.is_full for it in held_by] == [True] + [False] * (len(named) - 1)
    assert [it.base_index for it in held_by[1:]] == [it.index for it in held_by[:-1]]
    none = roost("snapshot", "list", kept, "--chain", "m9")
    assert (none.exit_code, "no full backup that 'm9' saved" in none.output) == (1, True)
    assert "?region=x" in location_of("s3://backups/week/?region=x", "m0.db")
    assert location_of("s3://backups/week/", "m0.db") == "s3://backups/week/m0.db"


def put_large(cluster: Cluster) -> None:
    with Client(cluster.endpoints, timeout_s=20) as client:
        for number in range(1000):
            client.put(b"big%d" % (number % 7), bytes(50_000))


def test_etcdctl_lists_and_disarms_alarms_compares_hashes_and_defragments(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3, extra_flags=["--quota-backend-bytes=2000000"]) as cluster:
        cluster.leader()
        endpoint = cluster.endpoints[0]
        put(cluster, range(100))
        everybody = ",".join(cluster.endpoints)
        hashes = run_etcdctl(everybody, "endpoint", "hashkv", "-w", "fields").out
        values = {line for line in hashes.splitlines() if line.startswith('"Hash"')}
        assert len(values) == 1, hashes
        with pytest.raises(ClientError, match="database space exceeded"):
            put_large(cluster)
        wait_until(lambda: "NOSPACE" in etcdctl(endpoint, "alarm", "list"))
        with Client(cluster.endpoints, timeout_s=20) as client:
            client.delete(b"big", b"bih")
            revision = client.hash_kv().revision
        etcdctl(endpoint, "compact", str(revision))

        def has_room() -> bool:
            """The alarms are taken back by themselves, once the stores have let go."""
            return run_etcdctl(endpoint, "alarm", "list").out.strip() == ""

        wait_until(has_room)
        assert run_etcdctl(endpoint, "alarm", "disarm").code == 0
        before = [cluster.status(it) for it in range(3)]
        etcdctl(everybody, "defrag")
        after = [cluster.status(it) for it in range(3)]
        for old, new in zip(before, after, strict=True):
            assert new.dbSize <= old.dbSize
        put(cluster, range(100, 110))
        assert keys(cluster) == [key(it) for it in range(110)]


def test_a_restored_cluster_may_go_on_at_later_revisions_and_forget_the_earlier(
    tmp_path: Path,
) -> None:
    """As `etcdutl snapshot restore --bump-revision --mark-compacted` of etcd 3.6."""
    full = tmp_path / "full.db"
    old = tmp_path / "old"
    old.mkdir()
    with Cluster(old, 1) as cluster:
        cluster.leader()
        put(cluster, range(5))
        etcdctl(cluster.endpoints[0], "snapshot", "save", str(full))
        revision = cluster.status(0).header.revision
    refused = roost(
        "snapshot", "restore", full, "--bump-revision=5", f"--data-dir={tmp_path / 'x'}"
    )
    assert refused.exit_code == 2
    assert "--mark-compacted" in refused.output
    new = tmp_path / "new"
    new.mkdir()
    bumped = ["--bump-revision=1000000", "--mark-compacted"]
    with restored(new, [full], 1, *bumped) as cluster:
        cluster.leader()
        endpoint = cluster.endpoints[0]
        assert keys(cluster) == [key(it) for it in range(5)]
        assert cluster.status(0).header.revision == revision + 1_000_000
        for asked in (("get", "--rev", str(revision), "k"), ("watch", "--rev", str(revision), "k")):
            said = run_etcdctl(endpoint, *asked)
            assert "required revision has been compacted" in said.out + said.error
        put(cluster, range(5, 6))
        assert cluster.status(0).header.revision == revision + 1_000_001
        with Client(cluster.endpoints, timeout_s=20) as client:
            kept = client.get(key(1))
        assert kept is not None
        assert kept.mod_revision < revision
    plain = tmp_path / "plain"
    plain.mkdir()
    with restored(plain, [full], 1) as cluster:
        cluster.leader()
        assert cluster.status(0).header.revision == revision


def test_backups_in_a_bucket_become_a_new_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One and its increment by the command, others by the clock; every fourth answer fails."""
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    with s3_server() as s3:
        for name, value in s3.environment().items():
            monkeypatch.setenv(name, value)
        fates = ["slow down", "", "", "", "cut", "", "", ""]
        s3.fate = lambda asked: fates[asked.number % len(fates)]
        full, increment = s3.place("week/full.db"), s3.place("week/1.inc")
        old = tmp_path / "old"
        old.mkdir()
        flags = [f"--backup-dir={s3.place('clock')}", "--backup-interval=300ms", "--backup-keep=1"]
        with Cluster(old, 1, command=ROOST, extra_flags=flags) as cluster:
            cluster.leader()
            put(cluster, range(50))
            endpoint = cluster.endpoints[0]
            said = roost("snapshot", "save", full, "--endpoints", endpoint)
            assert said.exit_code == 0, said.output
            put(cluster, range(50, 80))
            said = roost("snapshot", "save", increment, "--since", full, "--endpoints", endpoint)
            assert said.exit_code == 0, said.output
            seen: set[str] = set()

            def has_turned_over() -> bool:
                put(cluster, range(79, 80))
                seen.update(it for it in list(s3.objects) if it.startswith("clock/"))
                return len(seen) > 1

            wait_until(has_turned_over)
        kept = sorted(it for it in s3.objects if it.startswith("clock/"))
        assert 1 <= len(kept) <= 2, "the newest, and one that was not yet removed"
        listed = roost("snapshot", "list", s3.place("week"), "--json").stdout.splitlines()
        assert {json.loads(it)["file"] for it in listed} == {"full.db", "1.inc"}
        for file, kind in ((s3.place(kept[-1]), "full"), (increment, "increment")):
            said = roost("snapshot", "status", file)
            assert (said.exit_code, f"{file}: {kind}" in said.output) == (0, True), said.output
        new = tmp_path / "new"
        new.mkdir()
        cluster = restored(new, [full, increment], 1)
        assert not list(new.glob("roost-backup-*")), "what was fetched is removed"
        with cluster:
            cluster.leader()
            assert keys(cluster) == [key(it) for it in range(80)]
