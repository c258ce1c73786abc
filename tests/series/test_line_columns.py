"""Pieces of bodies that are read as columns say what they say line by line, faults and all."""

import math
import random
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roost.series import line_protocol
from roost.series.line_columns import columns_of
from roost.series.line_protocol import FAULTS_MAX, Parser
from roost.series.names import Info
from roost.series.spelling import Precision

NOW = 1_700_000_000 * 10**9


def told(body: bytes, unit: Precision, parser: Parser | None = None) -> list[object]:
    reading = (parser or Parser()).begin(body, unit, NOW)
    while reading.step():
        continue
    found, held = reading.found, reading.found.points()
    return [
        found.series, held.places.tolist(), held.times.tolist(), bits(held.values.tolist()),
        [(it.line, it.text) for it in found.faults],
        found.fault_count, found.line_count, found.text_field_count,
    ]  # fmt: skip


def expected(body: bytes, unit: Precision) -> list[object]:
    """The same of a body whose lines are read one by one, numbered and put together here."""
    parser, series = Parser(), list[Info]()
    # By the identity of a series, which the parser has once for each head and field.
    known: dict[int, int] = {}
    places: list[int] = []
    times: list[int] = []
    values: list[float] = []
    faults: list[tuple[int, str]] = []
    line_count = text_field_count = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_protocol, "COLUMNS_BYTES_MIN", 1 << 60)
        for number, line in enumerate(body.split(b"\n"), start=1):
            reading = parser.begin(line, unit, NOW)
            assert not reading.step(), "a line is read in one step"
            found, held = reading.found, reading.found.points()
            faults += [(number, it.text) for it in found.faults]
            line_count += found.line_count
            text_field_count += found.text_field_count
            # A line that is refused brings no series, so only those are there that have points.
            for info in [found.series[it] for it in held.places.tolist()]:
                if id(info) not in known:
                    known[id(info)] = len(series)
                    series.append(info)
                places.append(known[id(info)])
            times += held.times.tolist()
            values += held.values.tolist()
    return [
        series, places, times, bits(values),
        faults[:FAULTS_MAX], len(faults), line_count, text_field_count,
    ]  # fmt: skip


def bits(values: list[float]) -> list[bytes]:
    return [pack("<d", it) for it in values]


HEADS = (b"cpu,host=a", b"cpu,host=b", b"cpu", b"mem,host=a,core=0", b"cpu,core=0,host=a")
FIELDS = (b"f=1", b"usage=21.25", b"n=12i", b"u=7u", b"up=t", b"a=1,b=2.5", b"a=-1e-3,b=5i,c=F")
ODD_HEADS = (b"", b"m,", b"m,a", b"m,a=", b"m\\ x", b"#m", b"m,a=1,a=2", b"m\xff", b"\xc3\xa9",
             b"m" * 600, b"m=1", b"m\x0b", b'm"')  # fmt: skip
ODD_FIELDS = (b"", b"f", b"f=", b"=1", b"f=1,", b",f=1", b"f=1=2", b"f=nan", b"f=inf", b"f=1e999",
              b"f=1_0", b"f=--1", b"f=1.5i", b"f=1i2", b"f=i", b"f=123456789012345678901i",
              b"f=9007199254740993i", b"f=0x1", b"f=.", b"f=1.", b"f=.5", b"f=+1.e2", b'f="x"',
              b'f="a b",g=1', b"\xff=1", b"a=1,\xff=2", b"f=e", b"f=TRUE", b"f=T1",
              b"n\x00=1")  # fmt: skip
ODD_TIMES = (b"", b"-5", b"+5", b"x", b"1.5", b"9223372036854775807", b"9999999999999999999",
             b"00000000000000000001", b"0", b"9218868437227405311", b"9218868437227405312",
             b"5 6")  # fmt: skip


def body_of(seed: int) -> bytes:
    """Lines that are mostly plain, and now and then are not."""
    dice = random.Random(seed)
    oddness = dice.choice([0.0, 0.0, 0.01, 0.3])

    def part(plain: tuple[bytes, ...], odd: tuple[bytes, ...]) -> bytes:
        return dice.choice(odd if dice.random() < oddness else plain)

    def time() -> bytes:
        digits = dice.choice([1, 10, 10, 13, 19])
        return b"%d" % dice.randrange(10 ** (digits - 1), min(10**digits, 9 * 10**18))

    lines = []
    for _ in range(dice.randint(1, 40)):
        times = part((b"",), ODD_TIMES) or time()
        space = b"  " if dice.random() < oddness / 4 else b" "
        line = space.join((part(HEADS, ODD_HEADS), part(FIELDS, ODD_FIELDS), times))
        lines.append(line.rstrip(b" ") if dice.random() < oddness else line)
    end = dice.choice([b"\n", b"\n", b"\r\n", b"\n\n"]) if oddness else b"\n"
    return end.join(lines) + dice.choice([b"", end])


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are of a few lines: what is odd in one changes nothing of the next."""
    monkeypatch.setattr(line_protocol, "STEP_BYTES", 150)
    monkeypatch.setattr(line_protocol, "STEP_LINES", 4)
    monkeypatch.setattr(line_protocol, "COLUMNS_BYTES_MIN", 30)


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_bodies_say_what_they_say_line_by_line(first: int) -> None:
    for seed in range(first, first + 100):
        body = body_of(seed)
        unit = random.Random(seed).choice([Precision.NS, Precision.NS, Precision.S])
        parser = Parser()
        assert told(body, unit, parser) == expected(body, unit), seed
        # What the parser keeps of a body says nothing else the second time.
        assert told(body, unit, parser) == expected(body, unit), seed


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.text('abf=,i. 019-+eE\\"#\n\t\r_n', max_size=25).map(str.encode),
            st.builds(
                lambda head, fields, time: b" ".join((head, fields, time)),
                st.sampled_from(HEADS + ODD_HEADS),
                st.sampled_from(FIELDS + ODD_FIELDS),
                st.sampled_from((b"1", b"17", *ODD_TIMES)),
            ),
        ),
        max_size=8,
    )
)
@example([b"m a=1,\xff=2 5", b"m b=1 5"])
@example([b"m f=1 1", b"m f=1 99999999999999999999"])
def test_any_lines_say_what_they_say_line_by_line(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    assert told(body, Precision.NS) == expected(body, Precision.NS)


def test_what_agents_send_is_read_as_columns() -> None:
    """Or all of this would hold of a parser that never does it."""
    for fields in FIELDS:
        piece = b"".join(b"cpu,host=a %s %d\n" % (fields, NOW + it) for it in range(5))
        columns = columns_of(piece, 1)
        assert columns is not None
        assert columns.line_count == 5
        assert len(list(columns.pairs())) == 5 * (fields.count(b",") + 1)
        assert not math.isnan(columns.values.sum())
    for line in (b'm f="x" 1', b"m f=1", b"m f=1 -1", b"m\\ x f=1 1", b"m  f=1 1", b"# f=1 1"):
        assert columns_of(line + b"\n", 1) is None
