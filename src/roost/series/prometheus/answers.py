"""Answers of Prometheus' HTTP API, as its clients read them.

    {"status": "success", "data": {"resultType": "matrix", "result": [{"metric", "values"}, ...]}}
    {"status": "error", "errorType": "bad_data", "error": TEXT}

Moments are seconds with up to three digits behind the point, numbers are texts, as Go writes them.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from roost.errors import CallerFault, ModelRefused, NotExecuted, OutcomeUnknown, RoostError
from roost.exchange import JSON, Answer, Streaming
from roost.series.asked import RETRY, status_of
from roost.series.extra import Floats, Ints
from roost.series.prometheus.asked import MILLISECOND_NS
from roost.series.prometheus.errors import (
    NotInSubset,
    QueryFailed,
    QueryTimeout,
    QueryTooLarge,
)
from roost.series.prometheus.vectors import Labels, Vector

# Cells that are written in one step: a millisecond or two.
STEP_CELLS = 2000


@dataclass(frozen=True, slots=True)
class Points:
    """Points of a series."""

    labels: Labels
    times: Ints
    values: Floats


def number_text(value: float) -> str:
    """A number as Prometheus writes it (util/jsonutil, MarshalFloat)."""
    if value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        return format(Decimal(text), "f")
    return text


def moments(times: Ints) -> list[int | float]:
    """Moments in seconds."""
    found = (times // MILLISECOND_NS).tolist()
    return [it // 1000 if not it % 1000 else it / 1000 for it in found]


def success(data: Any, warnings: Sequence[str] = ()) -> Answer:
    """A whole answer."""
    value: dict[str, Any] = {"status": "success", "data": data}
    if warnings:
        value["warnings"] = list(warnings)
    return Answer(200, msgspec.json.encode(value) + b"\n")


def _kind_of(error: RoostError) -> tuple[int, str]:
    match error:
        case NotInSubset() | QueryFailed() | QueryTooLarge():
            return 422, "execution"
        case QueryTimeout():
            return 503, "timeout"
        case ModelRefused():
            status = status_of(error)
            return status, {401: "unauthorized", 403: "forbidden"}.get(status, "unavailable")
        case NotExecuted() | OutcomeUnknown():
            return 503, "unavailable"
        case CallerFault():
            return 400, "bad_data"
    return 500, "internal"


def failure(error: RoostError) -> Answer:
    """An error as an answer."""
    status, kind = _kind_of(error)
    value = {"status": "error", "errorType": kind, "error": str(error)}
    return Answer(
        status, msgspec.json.encode(value) + b"\n", (JSON, *(RETRY if status == 503 else ()))
    )


def scalar(moment: int | float, value: float | str) -> Answer:
    """A number, or a string, at a moment."""
    kind = "string" if isinstance(value, str) else "scalar"
    text = value if isinstance(value, str) else number_text(value)
    return success({"resultType": kind, "result": [moment, text]})


def streamed(kind: str, rows: Iterator[bytes]) -> Streaming:
    """Rows of a result, as they are made."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"status":"success","data":{"resultType":"%s","result":[' % kind.encode()
        for it in rows:
            yield it
        yield b"]}}\n"

    return Streaming((JSON,), pieces(), lambda: None)


def vector_rows(vector: Vector, moment: int | float) -> Iterator[bytes]:
    """A vector of one step."""
    rows = [
        {"metric": dict(labels), "value": [moment, number_text(value)]}
        for labels, value, is_there in zip(
            vector.labels, vector.values[:, 0].tolist(), vector.is_there[:, 0].tolist(), strict=True
        )
        if is_there
    ]
    for begin in range(0, len(rows), STEP_CELLS // 4):
        body = msgspec.json.encode(rows[begin : begin + STEP_CELLS // 4])[1:-1]
        yield body if not begin else b"," + body


def matrix_rows(vector: Vector, times: Ints) -> Iterator[bytes]:
    """A vector of many steps, its series by their labels."""
    texts = moments(times)
    lead = b""
    for place in sorted(range(len(vector)), key=vector.labels.__getitem__):
        is_there = vector.is_there[place]
        if is_there.any():
            chosen = is_there.nonzero()[0].tolist()
            rows = _series_rows(vector.labels[place], texts, vector.values[place].tolist(), chosen)
            for it in rows:
                yield lead + it
                lead = b""
            lead = b","


def point_rows(series: Sequence[Points]) -> Iterator[bytes]:
    """Points of series, as they are."""
    lead = b""
    for held in series:
        texts, values = moments(held.times), held.values.tolist()
        for it in _series_rows(held.labels, texts, values, range(len(texts))):
            yield lead + it
            lead = b""
        lead = b","


def _series_rows(
    labels: Labels,
    texts: Sequence[int | float],
    values: Sequence[float],
    chosen: Sequence[int],
) -> Iterator[bytes]:
    """One series, in pieces."""
    head = msgspec.json.encode({"metric": dict(labels)})[:-1] + b',"values":['
    for begin in range(0, len(chosen), STEP_CELLS):
        rows = [[texts[it], number_text(values[it])] for it in chosen[begin : begin + STEP_CELLS]]
        body = msgspec.json.encode(rows)[1:-1]
        is_last = begin + STEP_CELLS >= len(chosen)
        yield (b"," if begin else head) + body + (b"]}" if is_last else b"")
