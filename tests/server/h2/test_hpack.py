"""Header blocks against the `hpack` library, against garbage, and without end."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.server.h2.hpack import Decoder, HpackError, decode_huffman
from tests.server.h2.pairs import FIELDS


@given(st.lists(st.tuples(FIELDS, st.booleans()), max_size=6))
def test_header_blocks_decode_as_the_library_encoded_them(
    blocks: list[tuple[list[tuple[bytes, bytes]], bool]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder()
    for fields, is_huffman in blocks:
        found, _ = decoder.decode(encoder.encode(fields, huffman=is_huffman))
        assert found == fields


@given(st.binary(max_size=80))
def test_any_header_block_decodes_as_with_the_library_or_is_refused(block: bytes) -> None:
    ours: list[tuple[bytes, bytes]] | None
    try:
        ours, _ = Decoder().decode(block)
    except HpackError:
        ours = None
    library = hpack.Decoder()
    library.max_allowed_table_size = 4096
    try:
        theirs = [(bytes(name), bytes(value)) for name, value in library.decode(block, raw=True)]
    except hpack.HPACKError:
        return  # we may be more lenient nowhere, but need not agree on what is refused first
    assert ours is None or ours == theirs


@given(st.binary(max_size=60))
def test_huffman_strings_decode_as_the_library_encoded_them(data: bytes) -> None:
    from hpack.huffman import HuffmanEncoder
    from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

    encoded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(data)
    assert decode_huffman(encoded) == data


def test_what_nobody_reads_of_a_large_list_is_bounded() -> None:
    many = [(b"x", b"v" * 4000)] * 100
    block = b"".join(b"\x40\x01x\x7f\xa1\x1e" + value for _, value in many)
    with pytest.raises(HpackError, match="far too many"):
        Decoder().decode(block)


def test_a_list_without_end_of_fields_that_nobody_keeps_is_refused() -> None:
    decoder = Decoder()
    decoder.feed(b"\x82" * 600)
    decoder.feed(b"\x82" * (1 << 20))  # fields that stand in the table cost a look
    with pytest.raises(HpackError, match="far too many"):
        decoder.feed(b"\0\0\0" * 5000)


@given(st.lists(FIELDS, max_size=4), st.integers(1, 40))
def test_a_block_means_the_same_in_whatever_parts_it_comes(
    lists: list[list[tuple[bytes, bytes]]], size: int
) -> None:
    encoder, whole, parts = hpack.Encoder(), Decoder(), Decoder()
    for fields in lists:
        block = encoder.encode(fields)
        for at in range(0, len(block), size):
            parts.feed(block[at : at + size])
        assert parts.end() == whole.decode(block)
