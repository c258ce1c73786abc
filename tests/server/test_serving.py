"""What a member is served with fits what it may take."""

import pytest

from roost.server.options import AROUND_MAP_BYTES, quota_within
from roost.store.base import MAP_BYTES_FIRST

GIB = 1 << 30


@pytest.mark.parametrize(
    ("quota", "addresses", "expected"),
    [
        (2 * GIB, None, 2 * GIB),
        (0, None, 0),
        (2 * GIB, 2 * GIB, MAP_BYTES_FIRST * 9 // 10),
        (0, 2 * GIB, MAP_BYTES_FIRST * 9 // 10),
        (16 << 20, 2 * GIB, 16 << 20),
        (2 * GIB, 2 * GIB + AROUND_MAP_BYTES, 2 * GIB * 9 // 10),
        (2 * GIB, 100 * GIB, 2 * GIB),
    ],
)
def test_writes_stop_before_the_map_of_the_store_outgrows_the_addresses(
    quota: int, addresses: int | None, expected: int
) -> None:
    """LMDB doubles it; where that fails the member would end."""
    assert quota_within(quota, addresses) == expected
