"""Objects of a text, wherever it is cut, and each piece of it looked at once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.server import json_values
from roost.server.json_text import BadJson
from roost.server.json_values import JsonValues, TooLong

LEAVES = st.one_of(st.text('ab"\\{}[]', max_size=5), st.integers(), st.none())
OBJECTS = st.dictionaries(
    st.text('ab"\\{}', max_size=3),
    st.recursive(LEAVES, lambda it: st.lists(it, max_size=2) | st.dictionaries(st.just("k"), it)),
    max_size=3,
)


@given(st.lists(OBJECTS, max_size=4), st.integers(1, 30), st.sampled_from(["", " ", "\r\n\t "]))
def test_objects_are_what_they_were_wherever_the_text_is_cut(
    objects: list[dict[str, object]], size: int, between: str
) -> None:
    text = between.join(map(json.dumps, objects)) + between
    values = JsonValues(10_000)
    found = []
    for begin in range(0, len(text), size):
        found += values.feed(text[begin : begin + size])
    assert [json.loads(it) for it in found] == objects
    assert not values.is_within


@pytest.mark.parametrize("text", ["[]", "1", "null", '"a"', "{}]", "{},{}", "x"])
def test_what_is_no_object_is_refused_at_once(text: str) -> None:
    with pytest.raises(BadJson):
        JsonValues(100).feed(text)


def test_an_object_has_so_many_characters_and_no_more() -> None:
    values = JsonValues(100)
    assert values.feed('{"a":"' + "x" * 92) == []
    assert values.is_within
    assert len(values.feed('"} {')[0]) == 100
    with pytest.raises(TooLong):
        values.feed(" " * 100)


def test_a_piece_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte that came made the whole text be read again."""
    looked = 0
    pass_mark = JsonValues._pass_mark

    def count(self: JsonValues, piece: str, offset: int) -> int:
        nonlocal looked
        looked += len(piece) - offset
        return pass_mark(self, piece, offset)

    monkeypatch.setattr(json_values.JsonValues, "_pass_mark", count)
    values = JsonValues(1 << 20)
    values.feed('{"a":[')
    for _ in range(1000):
        values.feed("1,")
    assert looked < 3000
