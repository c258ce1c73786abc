"""Real members whose disks lose what they held: nothing acknowledged is lost, and they recover."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from roost.client import Client, ClientError, HashKv, OutcomeUnknown
from roost.journal.record import FRAME_MAGIC
from roost.store.base_writer import BaseWriter
from roost.store.layer import Layer
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until

KEYS = 300
WITHOUT_FLUSHES = Path(__file__).with_name("without_flushes.py")


def key(number: int) -> bytes:
    return b"k%04d" % number


def value(number: int) -> bytes:
    return b"value-%04d" % number


@pytest.fixture
def lagging(tmp_path: Path) -> Iterator[Cluster]:
    """Three members, all down: m0 and m1 have acknowledged KEYS puts that m2 never saw.

    Nor have the stores of those two, so that their logs are all there is.
    """
    with Cluster(tmp_path, 3, program=WITHOUT_FLUSHES) as cluster:
        cluster.leader()
        put_all(cluster, range(1))
        cluster.kill(2)
        cluster.leader()
        put_all(cluster, range(KEYS), cluster.endpoints[:2])
        cluster.kill(0, 1)
        yield cluster


def put_all(cluster: Cluster, numbers: range, endpoints: list[str] | None = None) -> None:
    with Client(endpoints or cluster.endpoints, timeout_s=20) as client:

        def is_put(number: int) -> bool:
            try:
                client.put(key(number), value(number))
            except OutcomeUnknown:
                return False  # it is put again, to the same effect
            return True

        for number in numbers:
            wait_until(partial(is_put, number))


def journal_of(cluster: Cluster, position: int) -> Path:
    """The newest segment of a member's journal."""
    return max((cluster.root / f"m{position}" / "wal").glob("*.wal"))


def zero_sector(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place // 512 * 512)
        file.write(bytes(512))


def check_all(cluster: Cluster) -> None:
    """Every member holds every acknowledged put, read linearizably."""
    wait_until(lambda: all(cluster.status_now(it) is not None for it in range(cluster.size)))
    for endpoint in cluster.endpoints:
        with Client([endpoint], timeout_s=20) as client:
            held = {it.key: it.value for it in client.range(b"k", b"l")}
            assert held == {key(it): value(it) for it in range(KEYS)}, endpoint


def hashes(cluster: Cluster) -> set[HashKv]:
    found = set()
    for endpoint in cluster.endpoints:
        with Client([endpoint], timeout_s=20) as client:
            found.add(client.hash_kv())
    return found


def test_a_zeroed_sector_in_one_log_loses_nothing_where_etcd_loses_half(lagging: Cluster) -> None:
    """The script with which etcd starts with half its entries, and reads disagree."""
    path = journal_of(lagging, 0)
    zero_sector(path, path.read_bytes().index(value(150)))
    lagging.start(0)
    lagging.start(2)
    wait_until(lambda: b"are damaged" in lagging.log_path(0).read_bytes())
    # One copy is damaged, one is down: nobody may lead, since nobody can know what it was.
    asked = [lagging.endpoints[0], lagging.endpoints[2]]
    with Client(asked, timeout_s=3) as client, pytest.raises(ClientError):
        client.get(key(150))
    lagging.start(1)
    lagging.leader()
    check_all(lagging)
    assert len(hashes(lagging)) == 1
    assert "brought back" in lagging.log_path(0).read_text()


def lose_segment(path: Path) -> None:
    path.unlink()


def lose_end(path: Path) -> None:
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(data.rindex(FRAME_MAGIC) - 5000)


def garble(path: Path) -> None:
    """Entries and their slots, both."""
    data = bytearray(path.read_bytes())
    place = data.index(value(200))
    data[place : place + 2000] = random.Random(1).randbytes(2000)
    data[8192 + 64 * 200 : 8192 + 64 * 230] = random.Random(2).randbytes(64 * 30)
    path.write_bytes(data)


def is_whole(log: str) -> bool:
    """Whether a member has back what it found to be lost."""
    return "votes again" in log or "brought back" in log


@pytest.mark.parametrize("damage", [lose_segment, lose_end, garble])
def test_a_log_whose_end_is_lost_is_filled_by_the_others(
    lagging: Cluster, damage: Callable[[Path], None]
) -> None:
    """Until then its member does not vote: it cannot know what it promised."""
    damage(journal_of(lagging, 0))
    for position in range(3):
        lagging.start(position)
    lagging.leader()
    check_all(lagging)
    wait_until(lambda: is_whole(lagging.log_path(0).read_text()))
    assert len(hashes(lagging)) == 1


@pytest.mark.parametrize("position", [0, 1])
def test_a_store_that_was_cut_short_is_fetched_from_a_peer(tmp_path: Path, position: int) -> None:
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        put_all(cluster, range(KEYS))
        assert cluster.stop(position) == 0
        path = cluster.root / f"m{position}" / "db.1" / "data.mdb"
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        cluster.start(position)
        wait_until(lambda: "fetched anew" in cluster.log_path(position).read_text())
        cluster.leader()
        check_all(cluster)
        assert len(hashes(cluster)) == 1


def test_a_value_that_changed_is_noticed_when_it_is_read_and_the_store_rebuilt(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        put_all(cluster, range(KEYS))
        assert cluster.stop(1) == 0
        path = cluster.root / "m1" / "db.1" / "data.mdb"
        data = path.read_bytes()
        path.write_bytes(data.replace(value(77), b"VALUE-0077"))
        cluster.start(1)
        cluster.leader()

        def is_right() -> bool:
            try:
                with Client([cluster.endpoints[1]], timeout_s=5) as client:
                    found = client.get(key(77))
            except ClientError:
                return False
            assert found is not None
            assert found.value == value(77), "what has changed is never handed out"
            return "fetched anew" in cluster.log_path(1).read_text()

        wait_until(is_right)
        check_all(cluster)


def test_a_scrub_finds_what_nobody_reads_and_the_store_is_rebuilt(tmp_path: Path) -> None:
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        put_all(cluster, range(KEYS))
        assert cluster.stop(1) == 0
        path = cluster.root / "m1" / "db.1" / "data.mdb"
        path.write_bytes(path.read_bytes().replace(value(77), b"VALUE-0077"))
        cluster.start(1, "--scrub-interval=1s")
        wait_until(lambda: "fetched anew" in cluster.log_path(1).read_text())
        assert "scrubbing found damage" in cluster.log_path(1).read_text()
        check_all(cluster)


def test_a_member_whose_state_differs_finds_out_and_rebuilds(tmp_path: Path) -> None:
    """Its values have good checksums: only the others can tell (J39)."""
    with Cluster(tmp_path, 3) as cluster:
        cluster.leader()
        put_all(cluster, range(KEYS))
        assert cluster.stop(1) == 0
        directory = cluster.root / "m1" / "db.1"
        writer = BaseWriter(directory)
        layer = Layer()
        layer.put(60, b"never", b"written")  # a tree that nobody reads
        writer.commit(layer, *writer.applied())
        writer.close()
        cluster.start(1)
        cluster.leader()
        # States are compared every thousand entries, if what is told of them arrives: ten of those
        # are enough for any machine, however long it takes for them.  Who finds out goes away.
        with Client([cluster.endpoints[it] for it in (0, 2)], timeout_s=20) as client:
            for number in range(10_000):
                client.put(b"x%d" % (number % 10), b"%d" % number)
                if not number % 100 and "fetched anew" in cluster.log_path(1).read_text():
                    break
        wait_until(lambda: "fetched anew" in cluster.log_path(1).read_text())
        assert "differs from that of the majority" in cluster.log_path(1).read_text()
        check_all(cluster)
        assert len(hashes(cluster)) == 1


def test_a_single_member_says_what_would_be_lost_before_it_loses_it(tmp_path: Path) -> None:
    """J22: nobody else has what is damaged, so a person decides, and is told what it costs."""
    from click.testing import CliRunner

    from roost.cli.main import main

    with Cluster(tmp_path, 1, program=WITHOUT_FLUSHES) as cluster:
        cluster.leader()
        put_all(cluster, range(KEYS))
        cluster.kill(0)
        path = journal_of(cluster, 0)
        place = path.read_bytes().index(value(200))
        zero_sector(path, place)
        process = cluster.start(0)
        assert process.wait(timeout=PATIENCE_S) == 74
        assert "roost repair" in cluster.log_end(0)
        told = CliRunner().invoke(main, ["repair", str(tmp_path / "m0")])
        assert told.exit_code == 0, told.output
        line = next(it for it in told.output.splitlines() if "--accept-loss-from" in it)
        assert "in all, and some may be acknowledged" in told.output
        refused = CliRunner().invoke(main, ["repair", str(tmp_path / "m0"), "--accept-loss-from=1"])
        assert refused.exit_code == 1
        done = CliRunner().invoke(main, line.split()[1:])
        assert done.exit_code == 0, done.output
        assert "is whole" in done.output
        cluster.start(0)
        cluster.leader()
        with Client(cluster.endpoints) as client:
            held = [it.value for it in client.range(b"k", b"l")]
        assert held == [value(it) for it in range(len(held))], "a prefix, nothing in between"
        assert 190 < len(held) < 201
