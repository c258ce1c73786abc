"""Values of a text, read over steps, against Python's own parser; and what each step costs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.server import json_text
from roost.server.json_text import (
    DEPTH_MAX,
    ESCAPES_MAX,
    OBJECTS_MAX,
    PIECE_CHARS,
    BadJson,
    Fraction,
    check_size,
    read_in_steps,
    read_whole,
)
from tests.steps import Steps, slices_of

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(["{", '\\"[', "]", 0.5]),
)
TREES = st.recursive(
    LEAVES,
    lambda it: st.lists(it, max_size=4) | st.dictionaries(st.text(max_size=4), it, max_size=4),
    max_leaves=15,
)
SPACES = st.sampled_from(["", " ", "\n\t"])
# Lines that run in a step: about two milliseconds.
STEP_STEPS_MAX = 40_000


@contextmanager
def small() -> Iterator[None]:
    """Pieces so short that everything takes some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "WHOLE_CHARS", 0)
        patch.setattr(json_text, "PIECE_CHARS", 6)
        patch.setattr(json_text, "UNITS_A_STEP", 2)
        yield


def plain(value: object) -> str:
    """A value as text, by which those with fractions in them can be compared."""

    def said(it: object) -> str:
        assert isinstance(it, Fraction)
        return f"fraction {it.text}"

    return json.dumps(value, default=said)


def outcome(text: str) -> str:
    try:
        return plain(read_whole(text))
    except BadJson:
        return "refused"


def outcome_in_steps(text: str) -> str:
    try:
        with small():
            return plain(read_all(text))
    except BadJson:
        return "refused"


def read_all(text: str) -> object:
    steps = read_in_steps(text)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@settings(max_examples=60)
@given(TREES, SPACES, st.booleans())
def test_what_is_read_in_steps_is_what_python_reads(
    wanted: object,
    space: str,
    is_ascii: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    separators = (f"{space},{space}", f"{space}:{space}")
    text = space + json.dumps(wanted, separators=separators, ensure_ascii=is_ascii) + space
    assert outcome_in_steps(text) == outcome(text) != "refused"


@settings(max_examples=150)
@given(TREES, st.integers(0, 60), st.text('{}[]",:\\ 1a', max_size=3), st.integers(0, 2))
def test_what_python_does_not_read_is_refused(
    tree: object, place: int, put: str, taken: int
) -> None:
    text = json.dumps(tree)
    text = text[:place] + put + text[place + taken :]
    assert outcome_in_steps(text) == outcome(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":[1,]}', '{"a":1,}', '{"a" 1}', '{"a":}', "{1:2}", '{"a":[1 2]}', '{"a":[}]', "{,}",
        '{"a":NaN}', '{"a":[[[[[[[1,]]]]]]]}', '{"\\x":1}', '{"a":"\n, and more"}', "{[1,2,3]:1}",
        "[,1]", "[1,,2]", '{,"a":1}', "{}{}", "[1]]", "[1", '{"a', "", " ", "{]", '{"a":1}}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(BadJson), small():
        read_all(text)


SHAPES = {
    "objects": '{"a":[' + ",".join(['{"request_put":{"key":"YQ=="}}'] * 10_000) + "]}",
    "numbers": '{"a":[' + ",".join(["1"] * 40_000) + "]}",
    "members": '{"a":{' + ",".join([f'"{it}":[]' for it in range(20_000)]) + "}}",
    "nested": '{"a":' * 400 + '"' + "v" * 100_000 + '"' + "}" * 400,
    "brackets": "[" * 100 + ",".join(["[[],[[]]]"] * 10_000) + "]" * 100,
    "space": '{"a"' + " " * 100_000 + ":[" + " " * 100_000 + "]}",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_step_is_long_whatever_the_text_is(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 14: Python's parser took a text in one step, 30 ms at the bound."""
    text, honest = SHAPES[shape], json_text._DECODER
    given = 0

    class Counting:
        """Says how much Python's parser was given that it may read as brackets."""

        def raw_decode(self, part: str, offset: int = 0) -> tuple[object, int]:
            nonlocal given
            if part is not text:
                given = max(given, len(part))
            return honest.raw_decode(part, offset)

    monkeypatch.setattr(json_text, "_DECODER", Counting())
    counts, value = slices_of(read_in_steps(text))
    assert value == json.loads(text)
    assert max(counts) < STEP_STEPS_MAX
    assert given <= PIECE_CHARS


def test_what_is_nested_too_deep_is_refused_whatever_its_size() -> None:
    for text in ("[" * 100_000, '{"x":' * 100_000, '{"x":' * 100_000 + "1" + "}" * 100_000):
        with pytest.raises(BadJson, match="nested too deep"):
            read_whole(text)
        with pytest.raises(BadJson, match="nested too deep"):
            read_all(text)
    for depth, is_good in ((DEPTH_MAX, True), (DEPTH_MAX + 1, False)):
        text = "[" * depth + " " * 3 * PIECE_CHARS + '"' + "x" * PIECE_CHARS + '"' + "]" * depth
        if is_good:
            read_all(text)
        else:
            with pytest.raises(BadJson, match="nested too deep"):
                read_all(text)


def test_more_than_any_request_has_is_refused_before_it_is_made() -> None:
    a = "YQ=="
    text = json.dumps({"success": [{"requestPut": {"key": a}}] * 45_000})
    with pytest.raises(BadJson, match="at most 40000 JSON objects"), Steps() as steps:
        check_size(text, OBJECTS_MAX)
    assert steps.count < 20
    put = {"key": a, "value": a, "lease": "1", "prev_kv": True}
    check_size(json.dumps({"success": [{"requestPut": put}] * 10_000}), OBJECTS_MAX)
    for many, what in (
        (json.dumps({"x": [0] * 100_000}), "at most 80000 JSON values"),
        ('{"x":"' + "\\n" * (ESCAPES_MAX + 1) + '"}', "at most 400000 JSON escapes"),
    ):
        with pytest.raises(BadJson, match=what), Steps() as steps:
            check_size(many, OBJECTS_MAX)
        assert steps.count < 20
