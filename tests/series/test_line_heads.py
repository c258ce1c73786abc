"""Heads of lines: what is known of them has a bound, and so has what is looked at in a step."""

import pytest

from roost.series.errors import BadSeries
from roost.series.line_heads import FIELDS_MAX, HEADS_MAX, EnoughNew, Heads, Places, shown
from roost.series.names import TAGS_MAX, Info


def test_what_is_known_of_heads_has_a_bound_and_the_oldest_goes() -> None:
    heads = Heads()
    first = heads.info(b"m0", b"f")
    for number in range(1, HEADS_MAX + 10):
        heads.info(b"m%d" % number, b"f")
    assert len(heads) == HEADS_MAX
    again = heads.info(b"m0", b"f")
    assert (again, again is first) == (first, False)
    for number in range(FIELDS_MAX + 5):
        heads.info(b"m", b"f%d" % number)
    assert len(heads._known[b"m"]) <= FIELDS_MAX


def test_only_so_many_are_looked_at_for_the_first_time_and_those_stay_known() -> None:
    heads, series = Heads(), list[Info]()
    places = Places(heads, series)
    heads.new_left = 2
    pairs = [(b"m", b"%d" % it) for it in range(3)]
    with pytest.raises(EnoughNew):
        list(map(places.__getitem__, pairs))
    assert len(series) == 2
    heads.new_left = 1
    assert list(map(places.__getitem__, pairs)) == [0, 1, 2]
    places.forget(1)
    assert [it.name for it in series] == ["m.0"]
    heads.new_left = 0
    assert places[pairs[2]] == 1, "it is known"


def test_of_a_head_of_very_many_tags_only_so_many_are_read() -> None:
    with pytest.raises(BadSeries, match=f"{TAGS_MAX} tags at most"):
        Heads().info(b"m" + b"".join(b",t%d=v" % it for it in range(10_000)), b"f")
    assert shown(b"a" * 100) == repr("a" * 60)
