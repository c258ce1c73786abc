"""Prometheus' remote write 1.0: a `WriteRequest` of protobuf in a raw block of Snappy.

A series is the metric's name with its other labels; a sample is a point at its millisecond.  Of two
samples of one moment the later written counts, and late ones are taken, so nothing is refused for
its order.  A stale marker is a NaN of its own kind, and kept as it is.

What can never be taken is told with 400, which Prometheus drops: samples without a name, labels
that no series can have, moments out of range, native histograms.  All others of the request were
taken then.  Exemplars are left out, and counted in a header.  What may be taken later is 503, since
Prometheus drops what was answered with 429, unless it is told not to.

What is said of metrics (metadata: type, help, unit) is kept for those who ask for it, texts cut
however long they come.  What describes nothing, as for a name that is none, is counted in a header.

The labels of a series come as the same bytes again and again: what they come to is kept by them.

A request may have 32 MiB: it is decoded, read and appended in parts, and no part takes long, nor
takes it long to forget one.  One that is found to be none after a part was appended is refused all
the same, as one that the member's end has cut.
"""

import asyncio
import codecs
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import DecodeError

from roost.errors import CallerFault, ModelRefused, Refused, RoostError
from roost.exchange import Answer, Fields, Request
from roost.proto import prometheus_pb2 as pb
from roost.series.asked import RETRY, status_of
from roost.series.describing import (
    METRICS_MAX,
    NAME_BYTES_MAX,
    TEXT_CHARACTERS_MAX,
    Described,
    described,
)
from roost.series.engine import Engine
from roost.series.errors import STAGING_FULL, STALE, BadSeries
from roost.series.extra import np
from roost.series.intake import Intake, Points
from roost.series.names import Info, Tag, check_name, labels
from roost.series.prometheus.asked import MILLISECOND_NS
from roost.series.prometheus.errors import BadQuery
from roost.series.prometheus.packing import packed_kind, parts_of, unpacked
from roost.series.prometheus.plan import NAME
from roost.series.records import POINTS_MAX
from roost.series.tables import TIME_MIN, TIME_STOP

FIRST_MS, LAST_MS = -(-TIME_MIN // MILLISECOND_NS), (TIME_STOP - 1) // MILLISECOND_NS
# Of one turn: what a series takes, a label of one that is new, and what is said of a metric, is as
# long as so many samples, and so is a part of the request that is decoded.
STEP_SAMPLES, SERIES_SAMPLES, LABEL_SAMPLES, PART_SAMPLES = 1500, 6, 6, 400
SLICE_SAMPLES = 500
# With so many series, or samples, what has come of a request is appended before more is read.
SERIES_MAX, SAMPLES_MAX = 2000, POINTS_MAX
# Fields of a request, and of a series.
TIMESERIES, METADATA, EXEMPLARS, HISTOGRAMS = 1, 3, 3, 4
# As many as a text that is kept may have.
TEXT_BYTES_MAX = 4 * TEXT_CHARACTERS_MAX
# More than any series has, since empty ones are none.
LABELS_GIVEN_MAX = 256
# Labels whose series are kept, some 700 bytes each; then the oldest goes.
KNOWN_MAX = 1 << 16
FAULTS_TOLD_MAX = 5
M = TypeVar("M", pb.WriteRequest, pb.Written, pb.Described)


@dataclass(slots=True)
class Written:
    """What a request holds."""

    series: list[Info] = field(default_factory=list)
    # Where the series are that have come since something was appended.
    known: dict[tuple[bytes, ...], int] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    # Those before them.
    columns: list[Points] = field(default_factory=list)
    sample_count: int = 0
    faults: list[str] = field(default_factory=list)
    described: dict[bytes, Described] = field(default_factory=dict)
    refused_count: int = 0
    exemplar_count: int = 0
    undescribed_count: int = 0

    def refuse(self, count: int, text: str) -> None:
        """So many samples cannot be taken."""
        self.refused_count += count
        if len(self.faults) < FAULTS_TOLD_MAX and text not in self.faults:
            self.faults.append(text)

    def place(self, key: tuple[bytes, ...], info: Info) -> int:
        """Where a series is among those that have come."""
        place = self.known.get(key)
        if place is None:
            place = self.known[key] = len(self.series)
            self.series.append(info)
        return place

    def note_left_out(self, exemplar_count: int, histogram_count: int) -> None:
        """So many of either came, which are not kept."""
        self.exemplar_count += exemplar_count
        if histogram_count:
            self.refuse(histogram_count, "native histograms are not kept: write buckets")

    def take(self, samples: Sequence[pb.Sample], place: int) -> None:
        """Samples of one series."""
        for it in samples:
            time_ms = it.timestamp
            if not FIRST_MS <= time_ms <= LAST_MS:
                self.refuse(1, f"{time_ms} ms is a time out of range: 1678 to 2261")
                continue
            self.places.append(place)
            self.times_ms.append(time_ms)
            self.values.append(it.value)
        if len(self.times_ms) >= STEP_SAMPLES:
            self._pack()

    @property
    def is_full(self) -> bool:
        """Whether it is time to append what has come."""
        return len(self.series) >= SERIES_MAX or self.sample_count >= SAMPLES_MAX

    def _pack(self) -> None:
        """Make columns of samples: of thousands at once that takes long."""
        times = np.array(self.times_ms, np.int64) * MILLISECOND_NS
        places, values = np.array(self.places, np.int64), np.array(self.values, np.float64)
        self.columns.append(Points(self.series, places, times, values))
        self.sample_count += len(times)
        self.places, self.times_ms, self.values = [], [], []

    def take_points(self) -> Points:
        """All that can be taken, and has come since this was asked."""
        self._pack()
        found = Points(
            self.series,
            np.concatenate([it.places for it in self.columns]),
            np.concatenate([it.times for it in self.columns]),
            np.concatenate([it.values for it in self.columns]),
        )
        self.series, self.known, self.columns, self.sample_count = [], {}, [], 0
        return found


class RemoteWrite:
    """Takes what Prometheus writes."""

    def __init__(self, engine: Engine, intake: Intake) -> None:
        """Nothing has come."""
        self._engine = engine
        self._intake = intake
        self._known: OrderedDict[tuple[bytes, ...], Info] = OrderedDict()
        # What was said of metrics, and is kept: it is said again each minute.
        self._described: dict[bytes, Described] = {}
        self.sample_count = self.refused_count = self.undescribed_count = 0

    async def answer(self, request: Request) -> Answer:
        """Take a request; 204 when all of it is durable on a majority."""
        try:
            kind = packed_kind(request)
            if kind not in (b"", b"prometheus.WriteRequest"):
                return _text(415, f"{kind.decode('latin-1')}: remote write 1.0 is taken")
            data = await unpacked(self._engine, request)
            found, point_count = Written(), 0
            for _ in self.read(data, found):
                if found.is_full:
                    point_count += await self._append(found)
                await asyncio.sleep(0)
            point_count += await self._append(found)
            await self._describe(found.described)
        except RoostError as error:
            return refusal(error)
        self.sample_count += point_count + found.refused_count
        self.refused_count += found.refused_count
        self.undescribed_count += found.undescribed_count
        return _told(found)

    async def _append(self, found: Written) -> int:
        points = found.take_points()
        if len(points):
            await self._intake.add(points)
        return len(points)

    def read(self, data: bytes, found: Written) -> Iterator[None]:
        """Read a request, some of it with each step.

        Raises:
            BadQuery: it is none.

        """
        left = STEP_SAMPLES
        for cost in self._steps(memoryview(data), found):
            left -= cost
            if left < 0:
                yield
                left = STEP_SAMPLES

    def _steps(self, data: memoryview, found: Written) -> Iterator[int]:
        """Steps that say what they have cost, in samples."""
        for number, part in parts_of(data):
            yield PART_SAMPLES
            if number == TIMESERIES:
                yield from self._long_series(part, found)
            if number == METADATA:
                yield from self._long_description(part, found)
            if number:
                continue
            request = _decoded(pb.WriteRequest, part)
            for it in request.timeseries:
                found.note_left_out(len(it.exemplars), len(it.histograms))
                yield from self._series(it.labels, deque([it.samples]), found)
            for said in request.metadata:
                self._read_description(said, found)
                yield SERIES_SAMPLES

    def _long_series(self, data: memoryview, found: Written) -> Iterator[int]:
        """A series of many bytes: what it is called may stand behind all else."""
        given, taken = list[bytes](), deque[Sequence[pb.Sample]]()
        for number, part in parts_of(data):
            match number:
                case 0:
                    it = _decoded(pb.Written, part)
                    found.note_left_out(len(it.exemplars), len(it.histograms))
                    given += it.labels[: max(0, LABELS_GIVEN_MAX + 1 - len(given))]
                    taken.append(it.samples)
                    yield PART_SAMPLES
                case 1:
                    given.append(bytes(part[:1]))  # which is none, and told to be none
                case 2:
                    raise BadQuery(f"the body is no WriteRequest: a sample of {len(part)} bytes")
                case _:
                    found.note_left_out(number == EXEMPLARS, number == HISTOGRAMS)
        yield from self._series(given, taken, found)

    def _series(
        self, given: Sequence[bytes], taken: deque[Sequence[pb.Sample]], found: Written
    ) -> Iterator[int]:
        """The samples of one series; of none they are refused."""
        yield SERIES_SAMPLES
        key, count = tuple(given[: LABELS_GIVEN_MAX + 1]), sum(map(len, taken))
        if not count:
            return
        if key not in self._known:
            yield LABEL_SAMPLES * len(key)
        try:
            if len(key) > LABELS_GIVEN_MAX:
                raise BadSeries(f"more than {LABELS_GIVEN_MAX} labels")
            info = self._info(key)
        except BadSeries as error:
            found.refuse(count, str(error))
            return
        while taken:
            samples = taken.popleft()  # they go one by one
            for begin in range(0, len(samples), SLICE_SAMPLES):
                some = samples[begin : begin + SLICE_SAMPLES]
                # What was there may have been appended meanwhile.
                found.take(some, found.place(key, info))
                yield len(some)

    def _long_description(self, data: memoryview, found: Written) -> Iterator[int]:
        """What is said of a metric in many bytes, of which no more is kept than of any other."""
        said = pb.Described()
        for number, part in parts_of(data):
            match number:
                case 0:
                    said.MergeFrom(_decoded(pb.Described, part))
                case 2:
                    said.metric_family_name = bytes(part[: NAME_BYTES_MAX + 1])
                case 4:
                    said.help = bytes(part[: TEXT_BYTES_MAX + 1])
                case 5:
                    said.unit = bytes(part[: TEXT_BYTES_MAX + 1])
            yield PART_SAMPLES
        self._read_description(said, found)

    def _read_description(self, it: pb.Described, found: Written) -> None:
        """What is no text in UTF-8, or of no metric, describes nothing, and is counted."""
        name = bytes(it.metric_family_name)
        try:
            name.decode()
            said = described(it.type, _text_of(it.help), _text_of(it.unit))
        except UnicodeDecodeError:
            found.undescribed_count += 1
            return
        if not 0 < len(name) <= NAME_BYTES_MAX:
            found.undescribed_count += 1
        elif self._described.get(name) != said:
            found.described[name] = said

    async def _describe(self, given: dict[bytes, Described]) -> None:
        """Have the cluster keep what it has not been told by us."""
        if not given:
            return
        await self._engine.describe(given)
        if len(self._described) + len(given) > METRICS_MAX:
            self._described.clear()
        self._described.update(given)

    def _info(self, given: tuple[bytes, ...]) -> Info:
        info = self._known.get(given)
        if info is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.popitem(last=False)  # one by one: all at once that takes 25 ms
            info = self._known[given] = info_of(given)
        return info


def _decoded(kind: type[M], part: memoryview) -> M:
    """A part of a message, which is a message as well."""
    try:
        return kind.FromString(bytes(part))
    except DecodeError as error:
        raise BadQuery(f"the body is no WriteRequest: {error}") from error


def _text_of(given: bytes) -> str:
    """As much of a text as is kept; a character at the end may be cut."""
    is_whole = len(given) <= TEXT_BYTES_MAX
    return codecs.utf_8_decode(given[:TEXT_BYTES_MAX], "strict", is_whole)[0]


def info_of(given: Sequence[bytes]) -> Info:
    """The series of some labels, each of them a `Label`.

    Raises:
        BadSeries: there is none of such labels.

    """
    name, found = "", []
    for it in given:
        try:
            label = pb.Label.FromString(it)
            key, value = label.name.decode(), label.value.decode()
        except (DecodeError, UnicodeDecodeError) as error:
            raise BadSeries(f"a label is none: {error}") from error
        if key == NAME:
            name = value
        elif value:  # an empty label is none
            found.append(Tag(key, value))
    if not name:
        raise BadSeries(f"a series has a name: the label {NAME}")
    return Info(check_name(name), labels(found))


def refusal(error: RoostError) -> Answer:
    """An error as remote write reads it: 5xx is sent again, anything else is dropped."""
    match error:
        case ModelRefused():
            status = status_of(error)
        case Refused():
            status = 503 if getattr(error, "code", "") in (STAGING_FULL, STALE) else 400
        case _:
            status = status_of(error)
            if status == 429 or (status != 500 and not isinstance(error, CallerFault)):
                status = 503
    return _text(status, str(error))


def _text(status: int, text: str) -> Answer:
    headers = ((b"content-type", b"text/plain; charset=utf-8"), *(RETRY if status == 503 else ()))
    return Answer(status, text.encode() + b"\n", headers)


def _told(found: Written) -> Answer:
    counts = (
        (b"x-roost-exemplars-left-out", found.exemplar_count),
        (b"x-roost-descriptions-left-out", found.undescribed_count),
    )
    headers: Fields = tuple((name, b"%d" % count) for name, count in counts if count)
    if not found.refused_count:
        return Answer(204, b"", headers)
    text = f"{found.refused_count} samples were not taken, the others were: "
    answer = _text(400, text + "; ".join(found.faults))
    return Answer(answer.status, answer.body, (*answer.headers, *headers))
