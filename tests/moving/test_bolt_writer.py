"""What is written is as bbolt itself would leave it; `test_moving` lets bbolt read it."""

import pytest

from roost.moving.bolt import KEY_BYTES_MAX, PAGE, BoltFile
from roost.moving.errors import NotForEtcd
from tests.moving.files import bolt


def test_a_branch_has_two_children_at_least_whatever_the_length_of_their_keys() -> None:
    for count in range(2, 40):
        data = bolt({b"x": [(b"%04d" % it + bytes(1990), b"") for it in range(count)]})
        pages = BoltFile(data, len(data)).meta.page_count
        branches = [
            PAGE.unpack_from(data, it * 4096)
            for it in range(3, pages)
            if PAGE.unpack_from(data, it * 4096)[:2] == (it, 1)
        ]
        assert all(children >= 2 for _, _, children, _ in branches), count


def test_pages_are_one_behind_the_other_and_the_file_ends_with_the_last() -> None:
    data = bolt({b"x": [(b"%04d" % it, bytes(it * 50)) for it in range(300)]})
    number = 0
    while number < len(data) // 4096:
        told, kind, _, overflow = PAGE.unpack_from(data, number * 4096)
        assert (told, kind in (1, 2, 4, 16)) == (number, True)
        number += overflow + 1
    assert number * 4096 == len(data)


def test_what_bbolt_does_not_hold_is_refused() -> None:
    for key in (b"", bytes(KEY_BYTES_MAX + 1)):
        with pytest.raises(NotForEtcd):
            bolt({b"x": [(key, b"")]})
    assert bolt({b"x": [(bytes(KEY_BYTES_MAX), b"")]})
