"""etcd's state of v2: what is read is what was written, or is said to be damaged."""

import json
from pathlib import Path

import pytest
from crc32c import crc32c

from roost.etcd.v2.values import Node
from roost.moving import EtcdFileDamaged, EtcdFileRefused
from roost.moving.v2_snapshot import newest_snapshot, read_snapshot
from tests.moving.test_wal import data, number

NEVER = "0001-01-01T00:00:00Z"
Held = dict[str, object]


def node(path: str, value: str = "", *, at: int = 1, ends: str = NEVER,
         children: list[Held] | None = None) -> Held:  # fmt: skip
    """A node as it stands there; with `children` a directory."""
    below = None if children is None else {str(it["Path"]).rsplit("/")[-1]: it for it in children}
    return {
        "Path": path, "CreatedIndex": at, "ModifiedIndex": at, "ExpireTime": ends, "Value": value,
        "Children": below,
    }  # fmt: skip


def tree(*children: Held, index: int = 9) -> bytes:
    root = node("/", at=0, children=list(children))
    return json.dumps({"Root": root, "CurrentIndex": index, "Stats": {}}).encode()


def save_snapshot(directory: Path, index: int, content: bytes | None = None) -> Path:
    """Write one as etcd does."""
    body = tree(node("/1", at=0, children=[])) if content is None else content
    inner = data(1, body) + data(2, number(2, index) + number(3, 2))
    path = directory / f"{2:016x}-{index:016x}.snap"
    path.write_bytes(number(1, crc32c(inner)) + data(2, inner))
    return path


def test_nodes_come_with_indexes_values_and_dates(tmp_path: Path) -> None:
    ends = "2031-02-03T04:05:06.000000007+02:00"
    below = node("/1/d/k", "v", at=5, ends=ends)
    kept = tree(node("/1", at=0, children=[node("/1/d", at=4, children=[below])]))
    held = read_snapshot(save_snapshot(tmp_path, 30, kept))
    assert (held.index, held.v2_index) == (30, 9)
    assert list(held.nodes()) == [
        (b"/1", Node(True, 0, 0, 0, b"")),
        (b"/1/d", Node(True, 4, 4, 0, b"")),
        (b"/1/d/k", Node(False, 5, 5, 1_927_850_706_000_000_007, b"v")),
    ]


def test_the_newest_that_is_whole_is_taken(tmp_path: Path) -> None:
    assert newest_snapshot(tmp_path) is None
    save_snapshot(tmp_path, 10)
    torn = save_snapshot(tmp_path, 20)
    (tmp_path / "0000000000000002-0000000000000030.snap.broken").touch()
    (tmp_path / "000000000000001e.snap.db").touch()
    good = torn.read_bytes()
    torn.write_bytes(good[:-4])
    held = newest_snapshot(tmp_path)
    assert held is not None
    assert held.index == 10
    torn.write_bytes(good)
    held = newest_snapshot(tmp_path)
    assert held is not None
    assert held.index == 20


def test_one_that_has_changed_anywhere_is_damaged(tmp_path: Path) -> None:
    path = save_snapshot(tmp_path, 20)
    good = path.read_bytes()
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(EtcdFileDamaged):
            newest_snapshot(tmp_path)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (b"{", "cannot be read"),
        (b'{"Root":' * 5000, "cannot be read"),
        (tree(index=-1), "contradicts itself"),
        (json.dumps({"Root": node("/"), "CurrentIndex": 1}).encode(), "contradicts itself"),
        (tree(node("/1", at=10)), "changed behind the end"),
        (tree(node("/1", ends="tomorrow")), "the date 'tomorrow'"),
        (tree(node("/1", ends="1931-02-03T04:05:06Z")), "too early"),
        (tree(node("/1", ends="2031-02-33T04:05:06Z")), "the date"),
        (tree(node("/1", children=[node("/2/b")])), "stands at"),
    ],
)
def test_what_contradicts_itself_is_damaged(tmp_path: Path, kept: bytes, words: str) -> None:
    path = save_snapshot(tmp_path, 20, kept)
    with pytest.raises(EtcdFileDamaged, match=words):
        list(read_snapshot(path).nodes())


def test_a_path_that_has_no_place_here_is_refused(tmp_path: Path) -> None:
    name = "/" + "x" * 5000
    path = save_snapshot(tmp_path, 20, tree(node(name)))
    with pytest.raises(EtcdFileRefused, match="too long, or too deep"):
        list(read_snapshot(path).nodes())
