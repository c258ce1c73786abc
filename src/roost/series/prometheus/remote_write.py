"""Prometheus' remote write 1.0: a `WriteRequest` of protobuf in a raw block of Snappy.

A series is the metric's name with its other labels; a sample is a point at its millisecond.  Of two
samples of one moment the later written counts, and late ones are taken, so nothing is refused for
its order.  A stale marker is a NaN of its own kind, and kept as it is.

What can never be taken is told with 400, which Prometheus drops: samples without a name, labels
that no series can have, moments out of range, native histograms.  All others of the request were
taken then.  Exemplars are left out, and counted in a header.  What may be taken later is 503, since
Prometheus drops what was answered with 429, unless it is told not to.

What is said of metrics (metadata: type, help, unit) is kept for those who ask for it.

The labels of a series come as the same bytes again and again: what they come to is kept by them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from roost.errors import CallerFault, ModelRefused, Refused, RoostError
from roost.exchange import Answer, Fields, Request
from roost.proto import prometheus_pb2 as pb
from roost.series.asked import RETRY, status_of
from roost.series.describing import METRICS_MAX, NAME_BYTES_MAX, Described, described
from roost.series.engine import Engine
from roost.series.errors import STAGING_FULL, STALE, BadSeries
from roost.series.extra import np
from roost.series.intake import Intake, Points
from roost.series.names import Info, Tag, check_name, labels
from roost.series.prometheus.asked import MILLISECOND_NS
from roost.series.prometheus.errors import BadQuery
from roost.series.prometheus.packing import packed_kind, unpacked
from roost.series.prometheus.plan import NAME
from roost.series.tables import TIME_MIN, TIME_STOP

FIRST_MS, LAST_MS = -(-TIME_MIN // MILLISECOND_NS), (TIME_STOP - 1) // MILLISECOND_NS
# Of one turn: a series, or what is said of a metric, takes as long as so many samples.
STEP_SAMPLES, SERIES_SAMPLES = 4000, 8
# Labels whose series are kept, some 700 bytes each; then anew.
KNOWN_MAX = 1 << 16
FAULTS_TOLD_MAX = 5


@dataclass(slots=True)
class Written:
    """What a request holds."""

    series: list[Info] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    described: dict[bytes, Described] = field(default_factory=dict)
    refused_count: int = 0
    exemplar_count: int = 0

    def refuse(self, count: int, text: str) -> None:
        """So many samples cannot be taken."""
        self.refused_count += count
        if len(self.faults) < FAULTS_TOLD_MAX and text not in self.faults:
            self.faults.append(text)

    def points(self) -> Points:
        """All that can be taken."""
        times = np.array(self.times_ms, np.int64) * MILLISECOND_NS
        places, values = np.array(self.places, np.int64), np.array(self.values, np.float64)
        return Points(self.series, places, times, values)


class RemoteWrite:
    """Takes what Prometheus writes."""

    def __init__(self, engine: Engine, intake: Intake) -> None:
        """Nothing has come."""
        self._engine = engine
        self._intake = intake
        self._known: dict[tuple[bytes, ...], Info] = {}
        # What was said of metrics, and is kept: it is said again each minute.
        self._described: dict[bytes, Described] = {}
        self.sample_count = self.refused_count = 0

    async def answer(self, request: Request) -> Answer:
        """Take a request; 204 when all of it is durable on a majority."""
        try:
            kind = packed_kind(request)
            if kind not in (b"", b"prometheus.WriteRequest"):
                return _text(415, f"{kind.decode('latin-1')}: remote write 1.0 is taken")
            data = await unpacked(self._engine, request)
            found = Written()
            for _ in self.read(data, found):
                await asyncio.sleep(0)
            points = found.points()
            if len(points):
                await self._intake.add(points)
            await self._describe(found.described)
        except RoostError as error:
            return refusal(error)
        self.sample_count += len(points) + found.refused_count
        self.refused_count += found.refused_count
        return _told(found)

    def read(self, data: bytes, found: Written) -> Iterator[None]:
        """Read a request, some of it with each step.

        Raises:
            BadQuery: it is none.

        """
        try:
            request = pb.WriteRequest.FromString(data)
        except DecodeError as error:
            raise BadQuery(f"the body is no WriteRequest: {error}") from error
        known: dict[tuple[bytes, ...], int] = {}
        left = 0  # what was decoded was a step
        for it in request.timeseries:
            place = self._place(it, known, found)
            left -= SERIES_SAMPLES
            for begin in range(0, 0 if place is None else len(it.samples), STEP_SAMPLES):
                samples = it.samples[begin : begin + STEP_SAMPLES]
                left -= len(samples)
                if left < 0:
                    yield
                    left = STEP_SAMPLES
                _take(samples, place or 0, found)
            if left < 0:
                yield
                left = STEP_SAMPLES
        for said in request.metadata:
            left -= SERIES_SAMPLES
            if left < 0:
                yield
                left = STEP_SAMPLES
            self._read_description(said, found)

    def _read_description(self, it: pb.Described, found: Written) -> None:
        """What is no text in UTF-8, or of no metric, describes nothing, and harms nobody."""
        name = bytes(it.metric_family_name)
        if not 0 < len(name) <= NAME_BYTES_MAX:
            return
        try:
            name.decode()
            said = described(it.type, it.help.decode(), it.unit.decode())
        except UnicodeDecodeError:
            return
        if self._described.get(name) != said:
            found.described[name] = said

    async def _describe(self, given: dict[bytes, Described]) -> None:
        """Have the cluster keep what it has not been told by us."""
        if not given:
            return
        await self._engine.describe(given)
        if len(self._described) + len(given) > METRICS_MAX:
            self._described.clear()
        self._described.update(given)

    def _place(
        self, it: pb.Written, known: dict[tuple[bytes, ...], int], found: Written
    ) -> int | None:
        """Where the series of some samples is; None = they have none, or there are none."""
        if it.histograms:
            found.refuse(len(it.histograms), "native histograms are not kept: write buckets")
        found.exemplar_count += len(it.exemplars)
        if not it.samples:
            return None
        key = tuple(it.labels)
        place = known.get(key)
        if place is None:
            try:
                info = self._info(key)
            except BadSeries as error:
                found.refuse(len(it.samples), str(error))
                return None
            place = known[key] = len(found.series)
            found.series.append(info)
        return place

    def _info(self, given: tuple[bytes, ...]) -> Info:
        info = self._known.get(given)
        if info is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            info = self._known[given] = info_of(given)
        return info


def _take(samples: Sequence[pb.Sample], place: int, found: Written) -> None:
    """Samples of one series."""
    for it in samples:
        time_ms = it.timestamp
        if not FIRST_MS <= time_ms <= LAST_MS:
            found.refuse(1, f"{time_ms} ms is a time out of range: 1678 to 2261")
            continue
        found.places.append(place)
        found.times_ms.append(time_ms)
        found.values.append(it.value)


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
    left_out = ((b"x-roost-exemplars-left-out", b"%d" % found.exemplar_count),)
    headers: Fields = left_out if found.exemplar_count else ()
    if not found.refused_count:
        return Answer(204, b"", headers)
    text = f"{found.refused_count} samples were not taken, the others were: "
    answer = _text(400, text + "; ".join(found.faults))
    return Answer(answer.status, answer.body, (*answer.headers, *headers))
