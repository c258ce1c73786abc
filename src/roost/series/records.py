"""What is staged, as bytes: points of any number of series as they came, or deletions.  Format 1.

Little-endian; `c` is how a column is written and its bytes (`columns`), u8 and u32:

     0  u8   format, 1
     1  u8   kind: 1 points, 2 deletions, 3 thinnings
    points
     2  u32  points, 1 … POINTS_MAX
     6  u32  series
    10  u32  first series' number, u32 last
    18  u32  points of the first series, u32 of the last
    26  i64  first time, i64 last
    42  4 c  series' numbers in order, points of each, times and values of all
    62       the four columns; points of a series are in the order in which they came
    deletions
     2       each: u32 series, i64 start, i64 stop; 1 … DELETIONS_MAX
    thinnings
     2       each: u32 series, i64 horizon; 1 … DELETIONS_MAX
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError

from roost.series.columns import decode_floats, decode_ints, encode_floats, encode_ints
from roost.series.effects import Deletion, Thinning
from roost.series.errors import BadPoints, SeriesDamaged
from roost.series.extra import Floats, Ints, np
from roost.series.levels import DAY_NS, SID_MAX
from roost.series.tables import TIME_MIN, TIME_STOP, Table, points

FORMAT, POINTS_KIND, DELETIONS_KIND, THINNINGS_KIND = 1, 1, 2, 3
KIND = Struct("<BB")
HEAD = Struct("<IIIIIIqq")
COLUMN = Struct("<BI")
DELETION = Struct("<Iqq")
THINNING = Struct("<Iq")
POINTS_MAX = 16_384
DELETIONS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Points of some series: those of `sids[i]` are from `starts[i]` to before `starts[i + 1]`."""

    sids: Ints
    starts: Ints
    times: Ints
    values: Floats

    def __len__(self) -> int:
        """How many points there are."""
        return len(self.times)

    def of(self, sid: int) -> Table | None:
        """The points of a series, as they came."""
        place = int(np.searchsorted(self.sids, sid))
        if place == len(self.sids) or self.sids[place] != sid:
            return None
        chosen = slice(int(self.starts[place]), int(self.starts[place + 1]))
        return points(self.times[chosen], self.values[chosen])


def batch(sids: Ints, times: Ints, values: Floats) -> Batch:
    """Points as they come, each with the number of its series.

    Raises:
        BadPoints: there are none or too many, or a number or a time is none.

    """
    count = len(sids)
    if not 1 <= count <= POINTS_MAX or len(times) != count or len(values) != count:
        raise BadPoints(f"{count} numbers of series, {len(times)} times and {len(values)} values: "
                        f"give as many of each, 1 to {POINTS_MAX}")  # fmt: skip
    if times.min() < TIME_MIN or times.max() >= TIME_STOP:
        raise BadPoints("times are nanoseconds since 1970, from 1678 to 2261")
    if sids.min() < 1 or sids.max() > SID_MAX:
        raise BadPoints(f"numbers of series go from 1 to {SID_MAX}")
    order = np.argsort(sids, kind="stable")
    sids = sids[order]
    begins = np.flatnonzero(np.append(True, sids[1:] != sids[:-1]))
    return Batch(sids[begins], np.append(begins, count), times[order], values[order])


def encode_batch(given: Batch) -> bytes:
    """Points as a record."""
    counts = np.diff(given.starts)
    ints = [encode_ints(it) for it in (given.sids, counts, given.times)]
    columns = [*ints, encode_floats(given.values)]
    head = HEAD.pack(
        len(given), len(given.sids), int(given.sids[0]), int(given.sids[-1]),
        int(counts[0]), int(counts[-1]), int(given.times[0]), int(given.times[-1]),
    )  # fmt: skip
    table = b"".join(COLUMN.pack(it.codec, len(it.body)) for it in columns)
    return b"".join((KIND.pack(FORMAT, POINTS_KIND), head, table, *(it.body for it in columns)))


def encode_deletions(given: Sequence[Deletion]) -> bytes:
    """Deletions as a record; from 1 to DELETIONS_MAX, or `decode` refuses it."""
    rows = b"".join(DELETION.pack(it.sid, it.start, it.stop) for it in given)
    return KIND.pack(FORMAT, DELETIONS_KIND) + rows


def encode_thinnings(given: Sequence[Thinning]) -> bytes:
    """Thinnings as a record; from 1 to DELETIONS_MAX, or `decode` refuses it."""
    rows = b"".join(THINNING.pack(it.sid, it.horizon) for it in given)
    return KIND.pack(FORMAT, THINNINGS_KIND) + rows


Record = Batch | list[Deletion] | list[Thinning]


def decode(body: bytes) -> Record:
    """What a record holds.

    Raises:
        SeriesDamaged: it is none.

    """
    try:
        form, kind = KIND.unpack_from(body)
        if form == FORMAT and kind == POINTS_KIND:
            return _decode_batch(body)
        if form == FORMAT and kind == DELETIONS_KIND:
            return _decode_deletions(body)
        if form == FORMAT and kind == THINNINGS_KIND:
            return _decode_thinnings(body)
    except StructError as error:
        raise SeriesDamaged(f"{len(body)} bytes are no record") from error
    raise SeriesDamaged(f"a record of format {form} and kind {kind}")


def _decode_deletions(body: bytes) -> list[Deletion]:
    found = [Deletion(*row) for row in DELETION.iter_unpack(body[KIND.size :])]
    is_one = all(
        1 <= it.sid <= SID_MAX and TIME_MIN <= it.start < it.stop <= TIME_STOP for it in found
    )
    if not is_one or not 1 <= len(found) <= DELETIONS_MAX:
        raise SeriesDamaged(f"{len(found)} deletions, or one of no range")
    return found


def _decode_thinnings(body: bytes) -> list[Thinning]:
    found = [Thinning(*row) for row in THINNING.iter_unpack(body[KIND.size :])]
    is_one = all(
        1 <= it.sid <= SID_MAX and TIME_MIN < it.horizon < TIME_STOP and not it.horizon % DAY_NS
        for it in found
    )
    if not is_one or not 1 <= len(found) <= DELETIONS_MAX:
        raise SeriesDamaged(f"{len(found)} thinnings, or one to no day")
    return found


def _decode_batch(body: bytes) -> Batch:
    count, series_count, *ends = HEAD.unpack_from(body, KIND.size)
    if not 1 <= series_count <= count <= POINTS_MAX:
        raise SeriesDamaged(f"a record of {count} points of {series_count} series")
    place = KIND.size + HEAD.size
    end = place + 4 * COLUMN.size
    parts = []
    for codec, size in COLUMN.iter_unpack(body[place:end]):
        parts.append((codec, memoryview(body)[end : end + size]))
        end += size
    if len(parts) != 4 or end != len(body):
        raise SeriesDamaged(f"a record of {len(body)} bytes is said to have {end}")
    sids = decode_ints(*parts[0], series_count, ends[0], ends[1])
    counts = decode_ints(*parts[1], series_count, ends[2], ends[3])
    times = decode_ints(*parts[2], count, ends[4], ends[5])
    values = decode_floats(*parts[3], count)
    is_batch = (
        sids[0] >= 1
        and sids[-1] <= SID_MAX
        and bool((sids[1:] > sids[:-1]).all())
        and bool((counts >= 1).all())
        and bool((counts <= count).all())
        and int(counts.sum()) == count
        and int(times.min()) >= TIME_MIN
        and int(times.max()) < TIME_STOP
    )
    if not is_batch:
        raise SeriesDamaged("a record whose series, points or times are none")
    return Batch(sids, np.append(0, np.cumsum(counts)), times, values)
