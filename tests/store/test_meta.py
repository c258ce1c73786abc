"""Whether a file can be LMDB's, before it is mapped: what LMDB writes is, and little else."""

from pathlib import Path

import pytest

from roost.store import InlineKeeper, PageCorrupt, StoreBroken, encode_put
from roost.store.meta import META, PAGE_BYTES_MAX, PAGE_BYTES_MIN, check_file

_FLAGS, _MAGIC, _PAGE_BYTES, _LAST_PAGE = 2, 4, 8, -2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file as LMDB leaves it."""
    keeper = InlineKeeper(tmp_path)
    keeper.add(1, 1, encode_put(7, b"key", bytes(100_000)))
    keeper.flush(1, 1)
    keeper.close()
    return tmp_path / "data.mdb"


def page_bytes(path: Path) -> int:
    return int(META.unpack(path.read_bytes()[: META.size])[_PAGE_BYTES])


def change(path: Path, page: int, field: int, value: int) -> None:
    """Have one number of page 0 or 1 be another."""
    data = bytearray(path.read_bytes())
    at = page * page_bytes(path)
    fields = list(META.unpack(data[at : at + META.size]))
    fields[field] = value
    data[at : at + META.size] = META.pack(*fields)
    path.write_bytes(data)


def test_what_lmdb_leaves_is_its_own(path: Path) -> None:
    check_file(path)


@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize(
    ("field", "value"), [(_FLAGS, 0), (_MAGIC, 0), (_MAGIC, 0xDEC0EFBE), (_LAST_PAGE, 1 << 40)]
)
def test_a_first_page_that_lmdb_would_not_write_is_damage(
    path: Path, page: int, field: int, value: int
) -> None:
    """The last in use among them: the map would reach beyond the file, and end the process."""
    change(path, page, field, value)
    with pytest.raises(PageCorrupt):
        check_file(path)


@pytest.mark.parametrize("value", [0, 1, 3000, PAGE_BYTES_MIN // 2, 2 * PAGE_BYTES_MAX, 1 << 31])
def test_no_page_has_another_size_than_a_power_of_two_within_bounds(path: Path, value: int) -> None:
    change(path, 0, _PAGE_BYTES, value)
    with pytest.raises(PageCorrupt):
        check_file(path)


def test_a_file_that_is_shorter_than_it_says_is_damage_wherever_it_was_cut(path: Path) -> None:
    data, size = path.read_bytes(), page_bytes(path)
    last = max(META.unpack(data[at : at + META.size])[_LAST_PAGE] for at in (0, size))
    needed = (last + 1) * size
    path.write_bytes(data[:needed])
    check_file(path)
    for cut in (needed - 1, needed // 2, size + META.size - 1, size, META.size - 1, 0):
        path.write_bytes(data[:cut])
        with pytest.raises(PageCorrupt):
            check_file(path)


def test_a_file_that_cannot_be_read_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(StoreBroken):
        check_file(tmp_path / "nowhere")
    with pytest.raises(StoreBroken):
        check_file(tmp_path)
