"""bbolt's files: what was written is read, what is damaged is said to be."""

import random
from struct import pack_into

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.moving.bolt import BUCKET_FLAG, PAGE, PAGE_BYTES_MAX, BoltFile, fnv1a
from roost.moving.errors import EtcdFileDamaged, EtcdFileRefused
from tests.moving.files import bolt, everything, read

KEYS = st.builds(
    lambda head, size: head + bytes(size), st.binary(min_size=1, max_size=8), st.integers(0, 9000)
)
VALUES = st.binary(max_size=8) | st.integers(0, 20_000).map(bytes)
ROWS = st.dictionaries(KEYS, VALUES)


@given(ROWS, ROWS)
def test_what_was_written_is_read(one: dict[bytes, bytes], two: dict[bytes, bytes]) -> None:
    found = read(bolt({b"one": sorted(one.items()), b"two": sorted(two.items())}))
    assert {it.key: it.value for it in found[b"one"]} == one
    assert [it.key for it in found[b"two"]] == sorted(two)
    assert not any(it.is_bucket for rows in found.values() for it in rows)


def test_many_rows_stand_in_branches_over_branches() -> None:
    rows = [(b"%0250d" % it, b"v%d" % it) for it in range(5000)]
    data = bolt({b"many": rows})
    assert [(it.key, it.value) for it in read(data)[b"many"]] == rows


def test_fnv1a_is_the_one_that_everybody_has() -> None:
    assert (fnv1a(b""), fnv1a(b"foobar")) == (0xCBF29CE484222325, 0x85944171F73967E8)


def test_a_bucket_may_stand_inside_its_parent() -> None:
    inline = bytes(16) + PAGE.pack(0, 2, 1, 0) + b"\0\0\0\0\x10\0\0\0\x01\0\0\0\x01\0\0\0" + b"kv"
    data = bytearray(bolt({b"x": []}))
    meta = BoltFile(bytes(data), len(data)).meta
    root = meta.root * meta.page_bytes
    body = PAGE.pack(meta.root, 2, 1, 0)
    head = BUCKET_FLAG.to_bytes(4, "little") + b"\x10\0\0\0\x01\0\0\0"
    body += head + len(inline).to_bytes(4, "little") + b"x" + inline
    data[root : root + len(body)] = body
    assert [(it.key, it.value) for it in read(bytes(data))[b"x"]] == [(b"k", b"v")]


def _metas(data: bytearray) -> tuple[int, int]:
    return 16, 4096 + 16


def test_the_newer_of_two_metas_counts_and_the_older_when_that_is_torn() -> None:
    data = bytearray(bolt({b"x": [(b"k", b"v")]}))
    assert BoltFile(bytes(data), len(data)).meta.txid == 1
    data[_metas(data)[1] + 8] ^= 1
    assert BoltFile(bytes(data), len(data)).meta.txid == 0
    whole = bytearray(bolt({b"x": [(b"k", b"v")]}))
    whole[16] ^= 1
    assert BoltFile(bytes(whole), len(whole)).meta.txid == 1
    assert read(bytes(whole))[b"x"][0].value == b"v"


def _with(offset: int, value: int) -> bytes:
    """A file whose metas say something else, and say so well."""
    data = bytearray(bolt({b"x": []}))
    for at in _metas(data):
        pack_into("<I", data, at + offset, value)
        pack_into("<Q", data, at + 56, fnv1a(bytes(data[at : at + 56])))
    return bytes(data)


def test_what_is_no_file_of_bbolts_is_refused() -> None:
    for data in (b"", b"short", bytes(100_000), random.Random(1).randbytes(50_000)):
        with pytest.raises(EtcdFileRefused):
            BoltFile(data, len(data))
    other = _with(4, 3)
    with pytest.raises(EtcdFileRefused, match="version 3"):
        BoltFile(other, len(other))
    for size in (512, 3000, 2 * PAGE_BYTES_MAX):
        odd = _with(8, size)
        with pytest.raises(EtcdFileRefused):
            BoltFile(odd, len(odd))


def test_a_file_that_is_cut_off_is_damaged() -> None:
    data = bolt({b"x": [(b"%d" % it, bytes(100)) for it in range(100, 500)]})
    with pytest.raises(EtcdFileDamaged, match="cut off"):
        BoltFile(data, len(data) - 1)


def test_pages_that_lead_in_a_circle_are_damage() -> None:
    data = bytearray(bolt({b"x": [(b"%05d" % it, bytes(100)) for it in range(500)]}))
    meta = BoltFile(bytes(data), len(data)).meta
    branch = next(
        number
        for number in range(3, meta.page_count)
        if PAGE.unpack_from(data, number * 4096)[1] == 1
    )
    pack_into("<Q", data, branch * 4096 + 16 + 8 + 16, branch)
    with pytest.raises(EtcdFileDamaged, match="met twice"):
        read(bytes(data))


@pytest.mark.slow
def test_a_flipped_bit_is_damage_or_a_value_and_never_anything_else() -> None:
    rows = everything()
    rows[b"key"] = [(b"%016d" % it, b"v" * (it % 200)) for it in range(400)]
    data = bolt(rows)
    dice = random.Random(8)
    damaged = 0
    for _ in range(1000):
        changed = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            # Most of a page is nothing, or values: heads are hit more often.
            at = dice.randrange(len(data) // 4096) * 4096 + int(dice.expovariate(0.01)) % 4096
            changed[at] ^= 1 << dice.randrange(8)
        try:
            read(bytes(changed))
        except EtcdFileRefused:
            damaged += 1
    assert damaged > 150
