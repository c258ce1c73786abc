r"""InfluxDB's line protocol, line by line: what is taken, and what is told with which number."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.series.line_heads import HEADS_MAX
from roost.series.line_protocol import (
    FAULTS_MAX,
    LINE_BYTES_MAX,
    LINE_ESCAPES_MAX,
    LINE_FIELDS_MAX,
    STEP_BYTES,
    STEP_LINES,
    Lines,
    Parser,
)
from roost.series.spelling import Precision, series_text
from tests.steps import steps_of

NOW = 1_700_000_000 * 10**9


def read(body: bytes, unit: Precision = Precision.NS, parser: Parser | None = None) -> Lines:
    reading = (parser or Parser()).begin(body, unit, NOW)
    while reading.step():
        continue
    return reading.found


def points(found: Lines) -> list[tuple[str, int, float]]:
    texts = [series_text(it.name, it.labels) for it in found.series]
    held = found.points()
    rows = zip(held.places.tolist(), held.times.tolist(), held.values.tolist(), strict=True)
    return [(texts[place], time, value) for place, time, value in rows]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"m f=1 5", [("m.f", 5, 1.0)]),
        (b"m,b=2,a=1 f=1 5", [("m.f{a=1,b=2}", 5, 1.0)]),
        (b"m f=1,g=2i,h=3u,i=t,j=FALSE 5",
         [("m.f", 5, 1.0), ("m.g", 5, 2.0), ("m.h", 5, 3.0), ("m.i", 5, 1.0), ("m.j", 5, 0.0)]),
        (b"m f=-1.5e-3 -5", [("m.f", -5, -0.0015)]),
        (b"m f=.5", [("m.f", NOW, 0.5)]),
        (b"m   f=1   5  ", [("m.f", 5, 1.0)]),
        (b"m f=1 5\r", [("m.f", 5, 1.0)]),
        (rb"m\ x\,y,k\=1=a\ b f\ g=1 5", [('m x,y.f g{k\\=1="a b"}', 5, 1.0)]),
        (b'm s="a, b=\\"c\\" 5",f=1 5', [("m.f", 5, 1.0)]),
        (b'm f=1,s="x" 5', [("m.f", 5, 1.0)]),
        ("temp,město=Děčín °C=2 5".encode(), [("temp.°C{město=Děčín}", 5, 2.0)]),
    ],
)  # fmt: skip
def test_a_line_is_points(line: bytes, expected: list[tuple[str, int, float]]) -> None:
    found = read(line)
    assert not found.faults
    if "=1=" in line.decode():  # a key with an equals sign has no text of ours: look at the parts
        (info,) = found.series
        assert (info.name, info.labels[0].key, info.labels[0].value) == ("m x,y.f g", "k=1", "a b")
        return
    assert points(found) == expected


@pytest.mark.parametrize(
    "line",
    [b"m", b"m f", b"m f=", b"m =1", b" f=1", b"m, f=1", b"m,a f=1", b"m,a= f=1", b"m,=a f=1",
     b"m,a=1,a=2 f=1", b"m f=1 x", b"m f=1 5 6", b"m f=1,", b"m f=nan", b"m f=inf", b"m f=1e999",
     b"m f=1x", b"m f=0x10", b'm f="a', b'm s="a"', b"m f=1_000", b"m f=1 99999999999999999999",
     b"m f=1 9223372036854775807", b"m\xff f=1", b"m,a=b=c f=1", b"m f=--1", b"m f=1 1.5"],
)  # fmt: skip
def test_what_is_no_line_is_told_with_its_number(line: bytes) -> None:
    found = read(b"good f=1 1\n\n# nothing\n" + line + b"\ngood f=2 2")
    assert [it.line for it in found.faults] == [4]
    assert points(found) == [("good.f", 1, 1.0), ("good.f", 2, 2.0)]
    assert found.line_count == 3


def test_times_count_what_precision_says() -> None:
    for unit in Precision:
        assert points(read(b"m f=1 7", unit)) == [("m.f", 7 * unit.value, 1.0)]


def test_texts_are_counted_and_left_out() -> None:
    found = read(b'm a="x",b=1,c="y" 1\nm b=2 2')
    assert (found.text_field_count, points(found)) == (2, [("m.b", 1, 1.0), ("m.b", 2, 2.0)])


def test_faults_are_told_one_by_one_up_to_a_bound_and_counted_behind_it() -> None:
    found = read(b"bad\n" * (FAULTS_MAX + 5))
    assert (len(found.faults), found.fault_count) == (FAULTS_MAX, FAULTS_MAX + 5)


@pytest.mark.parametrize(
    ("line", "count", "step_max"),
    [
        # A piece ends with the line that it ends in.
        (b"m f=%d %d", STEP_BYTES, STEP_BYTES // len(b"m f=1 1\n") + 1),
        (b'm f=%d,s="" %d', STEP_LINES + 1, STEP_LINES),
        (b"m f=%d  %d", STEP_LINES + 1, STEP_LINES),
    ],
)
def test_a_step_reads_so_much_and_the_next_goes_on_behind_it(
    line: bytes, count: int, step_max: int
) -> None:
    body = b"\n".join(line % (it, it) for it in range(count))
    reading = Parser().begin(body, Precision.NS, NOW)
    counts = [0]
    while reading.step():
        counts.append(reading.found.point_count)
    assert len(counts) > 1
    assert max(after - before for before, after in pairwise(counts)) <= step_max
    assert points(reading.found) == [("m.f", it, float(it)) for it in range(count)]


TEXTS = b"m s=" + b'"x\\"y",t=' * 3000


@pytest.mark.parametrize(
    ("body", "series_count", "fault_count"),
    [
        (b"m f=1\n" + TEXTS * 10 + b"1 5\nm g=1\n", 2, 1),
        (TEXTS + b"1 5", 0, 1),
        (b"m " + b",".join(b"f%d=1" % it for it in range(LINE_FIELDS_MAX)), LINE_FIELDS_MAX, 0),
        (b"m " + b",".join(b"f%d=1" % it for it in range(LINE_FIELDS_MAX + 1)) + b" 5", 0, 1),
        (b"\n".join(b"m%d,a=b f=1 5" % it for it in range(5000)), 5000, 0),
        (b"\n".join(b"m%d,a=b f=1 5" % it for it in range(2000)) + b"\nm f=x 5", 2000, 1),
        (b"\n".join(b"m f%d=1 5" % it for it in range(4000)), 4000, 0),
        (b"\\" * (LINE_BYTES_MAX - 100) + b" f=1", 0, 1),
        (b"m" + b",a=b" * 10_000 + b" f=1", 0, 1),
        ((b"m " + b"\\ " * 30_000 + b"=1\n") * 20, 0, 20),
    ],
    ids=range(10),
)
def test_no_step_is_long_whatever_a_body_has_many_of(
    body: bytes, series_count: int, fault_count: int
) -> None:
    """Issue 14: a body of 32 MiB in one line, or of new series alone, was read in long steps."""
    reading, steps, more = Parser().begin(body, Precision.NS, NOW), list[int](), list[bool]()
    names = set[str]()
    while not more or more[-1]:
        steps.append(steps_of(lambda: more.append(reading.step())))
        if reading.is_full or not more[-1]:
            series, columns = reading.take()
            assert not len(columns.places) or int(columns.places.max()) < len(series)
            names.update(series_text(it.name, it.labels) for it in series)
    assert len(names) == series_count
    assert reading.found.fault_count == fault_count
    assert max(steps) < 60_000


def test_escapes_of_a_line_have_a_bound_and_take_the_time_of_lines() -> None:
    """They are read sign by sign, out of sight of who counts lines: 64 KiB of them took 18 ms."""
    text = b'm f=1,s="' + b'\\"' * LINE_ESCAPES_MAX + b'" 5'
    assert points(read(text)) == [("m.f", 5, 1.0)]
    found = read(text.replace(b"s=", b"s\\ ="))
    assert [it.line for it in found.faults] == [1]
    assert "backslashes" in found.faults[0].text
    reading, step_count = Parser().begin((text[:9000] + b'" 5\n') * 10, Precision.NS, NOW), 1
    while reading.step():
        step_count += 1
    assert step_count >= 5, "one line of so many is a third of a step"


def test_what_is_kept_of_heads_has_a_bound() -> None:
    parser = Parser()
    body = b"\n".join(b"m%d f=1 1" % it for it in range(HEADS_MAX + 10))
    found = read(body, parser=parser)
    assert len(found.series) == HEADS_MAX + 10
    assert len(parser._heads) <= HEADS_MAX
    assert points(read(b"m1 f=2 2", parser=parser)) == [("m1.f", 2, 2.0)]


plain = st.from_regex(r"[^,= \\\"\x00-\x1f#]+", fullmatch=True).filter(lambda it: it == it.strip())


@given(
    plain,
    st.dictionaries(plain, plain, max_size=3),
    st.dictionaries(plain, st.floats(allow_nan=False, allow_infinity=False), min_size=1),
    st.integers(-(2**61), 2**61),
)
def test_what_was_written_is_read(
    name: str, tags: dict[str, str], fields: dict[str, float], time: int
) -> None:
    head = ",".join([name, *(f"{key}={value}" for key, value in tags.items())])
    line = f"{head} {','.join(f'{key}={value!r}' for key, value in fields.items())} {time}"
    found = read(line.encode())
    if found.faults:  # names have a longest length, and that alone is a fault here
        assert len(line) > 250
        return
    held = found.points()
    assert held.values.tolist() == list(fields.values())
    assert set(held.times.tolist()) == {time}
    assert {it.name for it in found.series} == {f"{name}.{it}" for it in fields}


@given(st.binary(max_size=200))
@example(b"a,b=\\ c=\\")
@example(b'\\,\\ f="\\" 1')
def test_any_bytes_are_lines_or_faults(body: bytes) -> None:
    found = read(body)
    lines = [it.strip(b" \r\t") for it in body.split(b"\n")]
    said = [it for it in lines if it and not it.startswith(b"#")]
    assert found.line_count == len(said)
    held = found.points()
    assert len(held.places) == len(held.times) == len(held.values) == found.point_count


def test_new_fields_behind_lines_with_texts_lose_no_line() -> None:
    """Columns that went on in the next step were taken to end where that step did."""
    lines = [b'log,h=a m="hello",n=1 %d' % it for it in range(200)]
    lines += [b"cpu,host=h%03d usage=1 %d" % (it % 120, it) for it in range(3000)]
    reading, count, is_more = Parser().begin(b"\n".join(lines), Precision.NS, NOW), 0, True
    while is_more:
        is_more = reading.step()
        if reading.is_full or not is_more:
            count += len(reading.take()[1].places)
    assert (count, reading.found.fault_count) == (len(lines), 0)
