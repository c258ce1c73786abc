"""What must hold of a `store.Keeper`; each check has an empty root for its directories."""

from collections.abc import Callable
from pathlib import Path

from roost.store import Keeper
from roost.store.write_set import encode_put

OpenKeeper = Callable[[Path], Keeper]
KeeperCheck = Callable[[OpenKeeper, Path], None]
TREE = 7
WITHIN_S = 20.0


def _directory(root: Path, name: str = "store") -> Path:
    directory = root / name
    directory.mkdir(mode=0o700)
    return directory


def _put(keeper: Keeper, index: int, value: bytes) -> None:
    keeper.add(index, 1, encode_put(TREE, b"key-%d" % index, value))


def what_is_flushed_is_durable_and_said(open_keeper: OpenKeeper, root: Path) -> None:
    """Once, in order, and with the position in the same transaction."""
    keeper = open_keeper(_directory(root))
    flushed: list[int] = []
    keeper.on_flushed = flushed.append
    reader = keeper.reader()
    for index in (1, 2, 3):
        _put(keeper, index, b"value")
    keeper.flush(2 + 1, 1)
    _put(keeper, 4, b"value")
    keeper.flush(4, 1)
    assert keeper.wait(WITHIN_S)
    assert flushed == [3, 4]
    reader.refresh()
    assert reader.applied() == (4, 1)
    assert reader.get(TREE, b"key-4") == b"value"
    reader.close()
    keeper.close()


def what_is_not_flushed_is_not_there(open_keeper: OpenKeeper, root: Path) -> None:
    """A crash forgets it, so nobody may rest on it."""
    keeper = open_keeper(_directory(root))
    reader = keeper.reader()
    _put(keeper, 1, b"value")
    keeper.send_queued()
    reader.refresh()
    assert reader.applied() == (0, 0)
    assert reader.get(TREE, b"key-1") is None
    reader.close()
    keeper.close()


def another_life_goes_on_where_the_last_one_was(open_keeper: OpenKeeper, root: Path) -> None:
    """What was flushed is there, what was only handed over is not."""
    directory = _directory(root)
    keeper = open_keeper(directory)
    _put(keeper, 1, b"kept")
    keeper.flush(1, 1)
    assert keeper.wait(WITHIN_S)
    _put(keeper, 2, b"forgotten")
    keeper.close()
    keeper = open_keeper(directory)
    reader = keeper.reader()
    assert reader.applied() == (1, 1)
    assert reader.get(TREE, b"key-1") == b"kept"
    assert reader.get(TREE, b"key-2") is None
    reader.close()
    keeper.close()


def a_later_write_wins(open_keeper: OpenKeeper, root: Path) -> None:
    """In one flush and over several."""
    keeper = open_keeper(_directory(root))
    reader = keeper.reader()
    for index, value in enumerate((b"a", b"b", b"c"), 1):
        keeper.add(index, 1, encode_put(TREE, b"key", value))
        if index > 1:
            keeper.flush(index, 1)
    assert keeper.wait(WITHIN_S)
    reader.refresh()
    assert reader.get(TREE, b"key") == b"c"
    reader.close()
    keeper.close()


def a_move_takes_everything_along(open_keeper: OpenKeeper, root: Path) -> None:
    """It goes on in the new directory."""
    keeper = open_keeper(_directory(root))
    moved: list[tuple[int, int]] = []
    keeper.on_moved = lambda index, term: moved.append((index, term))
    reader = keeper.reader()
    _put(keeper, 1, b"value")
    keeper.flush(1, 1)
    keeper.move(root / "moved")
    assert keeper.wait(WITHIN_S)
    assert moved == [(1, 1)]
    after = keeper.moved_reader()
    assert after.get(TREE, b"key-1") == b"value"
    _put(keeper, 2, b"value")
    keeper.flush(2, 1)
    assert keeper.wait(WITHIN_S)
    after.refresh()
    assert after.applied() == (2, 1)
    after.close()
    del reader
    keeper.close()


KEEPER: tuple[KeeperCheck, ...] = (
    what_is_flushed_is_durable_and_said,
    what_is_not_flushed_is_not_there,
    another_life_goes_on_where_the_last_one_was,
    a_later_write_wins,
    a_move_takes_everything_along,
)
