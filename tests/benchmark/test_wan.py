"""Over a long way, entries on their way at once bring what they can (requirements 55, 56)."""

from functools import cache
from pathlib import Path

import pytest
from bench import wan
from bench.page import RAW_WAN
from bench.wan import Point

from roost.member import MemberConfig


@cache
def measured(batch: int, window: int) -> Point:
    return wan.measure(batch, window)


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("window", [2, 8, 32])
def test_a_window_brings_nine_tenths_of_itself_times_stop_and_wait(batch: int, window: int) -> None:
    alone = measured(batch, 1)
    assert measured(batch, window).puts_per_s >= 0.9 * window * alone.puts_per_s


def test_stop_and_wait_is_one_entry_a_round_trip_and_nobody_beats_the_way() -> None:
    for batch, window in [(1, 1), (16, 1), (16, 8)]:
        point = measured(batch, window)
        # Of its clock a turn of the simulator takes a microsecond, so this is not quite 1.
        assert 0.99 * point.bound_per_s <= point.puts_per_s <= 1.001 * point.bound_per_s


def test_entries_and_windows_multiply_to_more_than_two_orders_of_magnitude() -> None:
    most, least = measured(16, 32), measured(1, 1)
    assert most.puts_per_s >= 0.9 * 16 * 32 * least.puts_per_s


def test_the_page_has_what_members_are_shipped_with() -> None:
    shipped = MemberConfig(
        name="m", data_dir=Path(), initial_cluster={}, advertise_peer_urls=(), listen_peer_urls=()
    )
    held = {(it.batch, it.window): it for it in wan.load_points(RAW_WAN)}
    point = held[shipped.batch_count_max, shipped.batch_inflight_max]
    assert point.puts_per_s >= 0.9 * point.bound_per_s
    assert point.puts_per_s >= 1000 * held[1, 1].puts_per_s
