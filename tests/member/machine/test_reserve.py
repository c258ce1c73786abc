"""Space set aside: taken when there is plenty, given up when nothing else is left."""

from pathlib import Path

import pytest

from roost.member.machine.reserve import Reserve

SIZE = 1 << 20


class Space:
    """What a file system says of itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = self.total = 1 << 30
        module = "roost.member.machine.reserve._space"
        monkeypatch.setattr(module, lambda _path: (self.free, self.total))


def is_held(root: Path) -> bool:
    return Reserve(root, SIZE).is_held


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Space:
    return Space(monkeypatch)


def test_it_is_held_while_there_is_plenty_and_really_there(tmp_path: Path, space: Space) -> None:
    reserve = Reserve(tmp_path, SIZE)
    assert not is_held(tmp_path)
    reserve.look()
    assert is_held(tmp_path)
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= SIZE
    assert reserve.free_bytes() == space.free


def test_it_is_given_up_when_little_is_left_and_not_taken_before_there_is_plenty(
    tmp_path: Path, space: Space
) -> None:
    """Or it would be taken and given up in turn."""
    reserve = Reserve(tmp_path, SIZE)
    reserve.look()
    space.free = SIZE // 2
    reserve.look()
    assert is_held(tmp_path)
    space.free = SIZE // 2 - 1
    reserve.look()
    assert not is_held(tmp_path)
    space.free += SIZE
    reserve.look()
    assert not is_held(tmp_path)
    space.free = 3 * SIZE + 1
    reserve.look()
    assert is_held(tmp_path)


def test_a_small_disk_has_a_small_reserve(tmp_path: Path, space: Space) -> None:
    space.total = 8 * SIZE
    assert Reserve(tmp_path, SIZE).size_bytes == SIZE // 2


def test_it_is_given_up_once(tmp_path: Path, space: Space) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.look()
    reserve.release()
    reserve.release()
    assert not is_held(tmp_path)
    assert space.free > 0
