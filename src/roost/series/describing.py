"""What Prometheus says of metrics: of which type each is, what it is for, and its unit.

    tree "series.metrics"        name of a metric -> MessagePack array of a `Described`
    tree "series.metrics_count"  b"" -> u32, how many there are

A description changes nothing in what points mean; it is kept for people who ask, and for the
builders of queries that do so for them.  What is there already is not written again, so it may be
said each minute.

Full?  METRICS_MAX metrics are described; further ones are left out.  Texts are cut.
"""

from collections.abc import AsyncIterator, Iterable

import msgspec

from roost.database import Refused, Transaction
from roost.series.draft import Bytes
from roost.series.errors import BAD_RECORD

METRICS_TREE, COUNT_TREE = "series.metrics", "series.metrics_count"
_COUNT_KEY, _COUNT_BYTES = b"", 4
METRICS_MAX = 10_000
NAME_BYTES_MAX, TEXT_CHARACTERS_MAX = 256, 1024
# That one operation describes: a millisecond or two.
DESCRIBED_MAX = 200
_PAGE_ROWS = 500
# By the numbers of Prometheus' `MetricMetadata.MetricType`.
TYPES = (
    "unknown",
    "counter",
    "gauge",
    "histogram",
    "gaugehistogram",
    "summary",
    "info",
    "stateset",
)


class Described(msgspec.Struct, frozen=True, array_like=True):
    """One metric; `type` is one of TYPES."""

    type: str
    help: str
    unit: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Described).decode


def described(type_number: int, help_text: str, unit: str) -> Described:
    """A description as it is kept."""
    known = 0 <= type_number < len(TYPES)
    return Described(
        TYPES[type_number if known else 0],
        help_text[:TEXT_CHARACTERS_MAX],
        unit[:TEXT_CHARACTERS_MAX],
    )


def describe(txn: Transaction, given: dict[bytes, Described]) -> None:
    """Keep what is said of some metrics, by their names.

    Raises:
        Refused: BAD_RECORD, they are too many at once, or a name is none.

    """
    if len(given) > DESCRIBED_MAX or not all(0 < len(it) <= NAME_BYTES_MAX for it in given):
        raise Refused(f"{DESCRIBED_MAX} metrics with names are described at once", code=BAD_RECORD)
    tree, counts = txn.tree(METRICS_TREE), txn.tree(COUNT_TREE)
    before = count = int.from_bytes(counts.get(_COUNT_KEY) or b"", "big")
    for name, it in sorted(given.items()):
        row, held = _encode(it), tree.get(name)
        if row == held or (held is None and count >= METRICS_MAX):
            continue
        count += held is None
        tree[name] = row
    if count != before:
        counts[_COUNT_KEY] = count.to_bytes(_COUNT_BYTES, "big")


def lots(given: dict[bytes, Described]) -> Iterable[dict[bytes, Described]]:
    """As much of it at a time as one operation takes."""
    rows = sorted(given.items())
    for at in range(0, len(rows), DESCRIBED_MAX):
        yield dict(rows[at : at + DESCRIBED_MAX])


async def descriptions(tree: Bytes, metric: bytes) -> AsyncIterator[tuple[bytes, Described]]:
    """What is known of a metric, or of all, by their names."""
    if metric:
        row = await tree.get(metric)
        if row is not None:
            yield metric, _decode(row)
        return
    async for page in tree.pages(limit=_PAGE_ROWS):
        for name, row in page:
            yield name, _decode(row)
