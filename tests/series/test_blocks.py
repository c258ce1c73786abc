"""Blocks are about a page, say what is in them, and come back; hostile ones are refused."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.series import blocks
from roost.series.blocks import BYTES_MAX, ROWS_MAX, cut, decode, encode, parse
from roost.series.errors import SeriesDamaged
from roost.series.summaries import COLUMN_COUNT, COUNT, deviations, means
from roost.series.tables import TIME_STOP, Table, points

GOLDEN = Path(__file__).parent.parent / "data" / "series_blocks.txt"
SECOND = 10**9
BEGIN = 1_700_000_000 * SECOND


def sensor(count: int, seed: int = 0) -> Table:
    noise = np.random.default_rng(seed).normal(0, 0.1, count)
    values = np.round(20 + 5 * np.sin(np.arange(count) / 500) + noise, 2)
    return points(np.arange(count, dtype=np.int64) * SECOND + BEGIN, values)


def noise(count: int) -> Table:
    dice = np.random.default_rng(1)
    times = np.cumsum(dice.integers(1, 1 << 40, count)) + BEGIN
    return points(times, dice.normal(0, 1, count))


def same(held: Table, wanted: Table) -> bool:
    return (
        held.times.tolist() == wanted.times.tolist()
        and held.columns.tobytes() == wanted.columns.tobytes()
    )


@pytest.mark.parametrize("rows", [sensor(9000), noise(1500), sensor(1), noise(3)])
def test_rows_are_cut_into_blocks_of_a_page(rows: Table) -> None:
    found = list(cut(rows))
    held = [decode(it.body, 1) for it in found]
    assert same(Table(np.concatenate([it.times for it in held]),
                      np.concatenate([it.columns for it in held], axis=1)), rows)  # fmt: skip
    assert all(len(it.body) <= BYTES_MAX for it in found)
    assert all(it.is_full for it in found[:-1])
    assert [it.row_count for it in found] == [len(it) for it in held]


def test_what_takes_no_bytes_has_a_bound_of_rows() -> None:
    count = ROWS_MAX + 10
    found = list(cut(points(np.arange(count, dtype=np.int64), np.zeros(count))))
    assert [it.row_count for it in found] == [ROWS_MAX, 10]


def test_blocks_in_the_middle_are_alike() -> None:
    sizes = [it.row_count for it in cut(noise(600), 10.0, is_even=True)]
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == 2


def test_statistics_are_those_of_the_numbers() -> None:
    rows = sensor(2000)
    rows.values[7] = math.nan
    block = parse(encode(rows), 1)
    assert block.summary is not None
    count, total, _, least, most, first, last = block.summary.columns[:, 0].tolist()
    numbers = rows.values[~np.isnan(rows.values)]
    assert (count, first, last) == (1999, numbers[0], numbers[-1])
    assert (least, most) == (numbers.min(), numbers.max())
    assert math.isclose(total, math.fsum(numbers), rel_tol=1e-12)
    assert math.isclose(float(means(block.summary)[0]), float(numbers.mean()), rel_tol=1e-12)
    assert math.isclose(float(deviations(block.summary)[0]), float(numbers.std()), rel_tol=1e-9)
    assert (block.first, block.last) == (BEGIN, BEGIN + 1999 * SECOND)


def test_small_blocks_have_short_heads_and_nothing_of_only_nans() -> None:
    assert parse(encode(sensor(100)), 1).summary is None
    assert len(encode(sensor(1))) == 28 + 5 + 8
    rows = points(np.arange(300, dtype=np.int64), np.full(300, math.nan))
    assert parse(encode(rows), 1).summary is None
    assert same(decode(encode(rows), 1), rows)


def test_what_is_summed_up_lies_in_blocks_too() -> None:
    dice = np.random.default_rng(2)
    rows = Table(np.arange(200, dtype=np.int64) * 3600 * SECOND, dice.normal(0, 1, (7, 200)))
    rows.columns[COUNT] = 3600
    assert same(decode(encode(rows), COLUMN_COUNT), rows)
    with pytest.raises(SeriesDamaged):
        decode(encode(rows), 1)


@settings(max_examples=100)
@given(st.integers(0, 1 << 32), st.sampled_from([1, COLUMN_COUNT]), st.binary(max_size=120))
def test_hostile_blocks_are_refused_or_are_blocks(seed: int, columns: int, other: bytes) -> None:
    dice = random.Random(seed)
    rows = sensor(300) if columns == 1 else Table(sensor(9).times, np.ones((7, 9)))
    body = bytearray(encode(rows))
    for _ in range(dice.randint(1, 4)):
        body[dice.randrange(min(len(body), dice.choice([30, 90, 1000])))] = dice.randrange(256)
    for hostile in (bytes(body), bytes(body[: dice.randrange(len(body))]), other):
        try:
            held = decode(hostile, columns)
        except SeriesDamaged:
            continue
        assert 1 <= len(held) <= ROWS_MAX
        assert held.columns.shape == (columns, len(held))
        assert (held.times[1:] > held.times[:-1]).all()
        assert held.times[-1] < TIME_STOP


def test_blocks_that_were_written_before_are_read() -> None:
    """What version 1 wrote; whatever comes later reads it."""
    made = [sensor(300), noise(10), Table(sensor(40).times, np.tile(np.arange(40.0), (7, 1)))]
    lines = GOLDEN.read_text().split()
    assert len(lines) == len(made)
    for line, rows in zip(lines, made, strict=True):
        held = decode(bytes.fromhex(line), len(rows.columns))
        assert held.times.tolist() == rows.times.tolist()
        assert np.allclose(held.columns, rows.columns, rtol=1e-15)
    assert blocks.FORMAT == 1
