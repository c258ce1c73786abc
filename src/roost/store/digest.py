"""The state digest: one number for everything in a store, kept up to date with each change (J39).

It is the sum, modulo 2^128, of XXH3-128 over every LMDB record but the two that say how far and
with which digest: u16 length of the record's key, the key, the sealed value.  A sum does not care
in which order records were written, so members that hold the same trees at the same log position
have the same digest, however they came by them.

It finds accidents: rot, a lost write, a fault of ours.  It proves nothing to anybody, so its hash
need not withstand whoever chooses what is written (record 0017).

It stands in `$metadata` key `digest`, 16 bytes little-endian, written in the same transaction as
what it stands for.  Members compare theirs at every DIGEST_ENTRIES-th log position.
"""

from typing import Final

from xxhash import xxh3_128_intdigest

DIGEST_BYTES: Final = 16
DIGEST_ENTRIES: Final = 1000
_MODULUS: Final = 1 << (8 * DIGEST_BYTES)
# LMDB's keys have 511 bytes at most.
_LENGTHS = tuple(count.to_bytes(2, "big") for count in range(512))


def record_hash(name: bytes, sealed: bytes) -> int:
    """What one record adds to the digest."""
    return xxh3_128_intdigest(_LENGTHS[len(name)] + name + sealed)


def encode(total: int) -> bytes:
    """A sum of hashes as a digest."""
    return (total % _MODULUS).to_bytes(DIGEST_BYTES, "little")


def decode(digest: bytes) -> int:
    """A digest as a number to add to."""
    return int.from_bytes(digest, "little")
