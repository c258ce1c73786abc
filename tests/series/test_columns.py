"""A column comes back bit by bit, is as small as it can be, and hostile bytes end as an error."""

import random
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roost.series.columns import (
    NUMBERS_MAX,
    Codec,
    Column,
    decode_floats,
    decode_ints,
    encode_floats,
    encode_ints,
    is_regular,
)
from roost.series.errors import SeriesDamaged

GOLDEN = Path(__file__).parent.parent / "data" / "series_columns.txt"
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
BITS = st.integers(0, (1 << 64) - 1)


def floats_of(bits: list[int]) -> np.ndarray:
    return np.array(bits, np.uint64).view(np.float64)


def ends(numbers: np.ndarray) -> tuple[int, int]:
    return (int(numbers[0]), int(numbers[-1])) if len(numbers) else (0, 0)


def read_ints(column: Column, numbers: np.ndarray) -> np.ndarray:
    return decode_ints(column.codec, column.body, len(numbers), *ends(numbers))


@given(st.lists(BITS, max_size=300))
@example([0x7FF8000000000001, 0xFFF0000000000000, 0x8000000000000000, 0x7FF0000000000000] * 9)
def test_floats_come_back_bit_by_bit(bits: list[int]) -> None:
    values = floats_of(bits)
    column = encode_floats(values)
    assert decode_floats(column.codec, column.body, len(values)).tobytes() == values.tobytes()
    assert len(column.body) <= 8 * len(values)


@given(st.lists(INT64, max_size=300))
@example([-(1 << 63), (1 << 63) - 1])
@example([0, -(1 << 63), 1])
@example([0, 1 << 62, -(1 << 63), -(1 << 62), 0])
def test_whole_numbers_come_back(given_numbers: list[int]) -> None:
    numbers = np.array(given_numbers, np.int64)
    assert read_ints(encode_ints(numbers), numbers).tolist() == given_numbers


@given(st.integers(-(1 << 61), 1 << 61), st.integers(-(1 << 50), 1 << 50), st.integers(0, 900))
def test_what_is_regular_takes_no_bytes(first: int, step: int, count: int) -> None:
    numbers = np.arange(count, dtype=np.int64) * step + first
    column = encode_ints(numbers)
    assert column == Column(Codec.REGULAR, b"")
    assert read_ints(column, numbers).tolist() == numbers.tolist()


def test_one_time_that_is_late_is_not_regular() -> None:
    numbers = np.arange(100, dtype=np.int64) * 1_000_000_000
    numbers[50] += 1
    assert not is_regular(numbers)
    assert encode_ints(numbers).codec is Codec.PCO
    assert len(encode_ints(numbers).body) < 100


def test_what_a_sensor_says_takes_about_a_byte() -> None:
    count = 4096
    noise = np.random.default_rng(1).normal(0, 0.1, count)
    values = np.round(20 + 5 * np.sin(np.arange(count) / 500) + noise, 2)
    column = encode_floats(values)
    assert column.codec is Codec.PCO
    assert len(column.body) < 1.1 * count


def test_noise_is_kept_as_it_is() -> None:
    dice = random.Random(3)
    values = floats_of([dice.getrandbits(64) for _ in range(50)])
    assert encode_floats(values) == Column(Codec.RAW, values.tobytes())


@pytest.mark.parametrize("count", [-1, NUMBERS_MAX + 1, 1 << 62])
def test_a_column_of_too_many_takes_no_memory(count: int) -> None:
    with pytest.raises(SeriesDamaged):
        decode_floats(Codec.RAW, b"", count)
    with pytest.raises(SeriesDamaged):
        decode_ints(Codec.REGULAR, b"", count, 0, 0)


def test_what_is_no_column_is_refused() -> None:
    for codec, body, count, first, last in [
        (Codec.REGULAR, b"x", 2, 0, 1),
        (Codec.REGULAR, b"", 1, 0, 1),
        (Codec.REGULAR, b"", 0, 0, 1),
        (Codec.REGULAR, b"", 3, 0, 1),
        (Codec.REGULAR, b"", 2, -(1 << 63), (1 << 63) - 1),
        (Codec.RAW, b"1234567", 1, 0, 0),
        (Codec.RAW, struct.pack("<q", 5), 1, 5, 6),
        (Codec.PCO, b"", 5, 0, 0),
        (7, b"", 0, 0, 0),
    ]:
        with pytest.raises(SeriesDamaged):
            decode_ints(codec, body, count, first, last)
    with pytest.raises(SeriesDamaged):
        decode_floats(Codec.REGULAR, b"", 0)
    whole = encode_floats(np.linspace(0, 9, 100))
    for count in (99, 101):
        with pytest.raises(SeriesDamaged):
            decode_floats(whole.codec, whole.body, count)
    with pytest.raises(SeriesDamaged):  # floats are no whole numbers
        decode_ints(whole.codec, whole.body, 100, 0, 0)


@settings(max_examples=300)
@given(st.integers(0, 1 << 32), st.binary(max_size=200))
def test_hostile_bytes_are_refused_or_are_a_column(seed: int, noise: bytes) -> None:
    dice = random.Random(seed)
    numbers = np.cumsum(np.array([dice.randrange(1000) for _ in range(200)], np.int64))
    body = bytearray(encode_ints(numbers).body)
    for _ in range(dice.randint(1, 5)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    for hostile in (bytes(body), bytes(body[: dice.randrange(len(body))]), noise):
        for codec in range(4):
            for find in (
                partial(decode_floats, codec, hostile, 200),
                partial(decode_ints, codec, hostile, 200, *ends(numbers)),
            ):
                try:
                    assert len(find()) == 200
                except SeriesDamaged:
                    continue


def test_columns_that_were_written_before_are_read() -> None:
    """What version 1 wrote, and its numbers: whatever comes later reads it."""
    lines = GOLDEN.read_text().splitlines()
    seen = set()
    for line in lines:
        kind, codec, body, *numbers = line.split()
        seen.add((kind, Codec(int(codec))))
        held = bytes.fromhex(body.removeprefix("-"))
        if kind == "floats":
            wanted = floats_of([int(it, 16) for it in numbers])
            assert decode_floats(int(codec), held, len(wanted)).tobytes() == wanted.tobytes()
        else:
            whole = np.array([int(it) for it in numbers], np.int64)
            assert decode_ints(int(codec), held, len(whole), *ends(whole)).tolist() == (
                whole.tolist()
            )
    assert seen == {
        ("floats", Codec.RAW),
        ("floats", Codec.PCO),
        ("ints", Codec.RAW),
        ("ints", Codec.REGULAR),
        ("ints", Codec.PCO),
    }
