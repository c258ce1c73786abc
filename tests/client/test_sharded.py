"""Series over several clusters answer as if they were in one."""

import math
import random
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

import roost
from roost.client.errors import BadEndpoint
from roost.client.series import BadPoint, sharded
from roost.client.series.answers import Answer, Table
from roost.client.series.blocking import Connection
from roost.client.series.merging import home_of, merged, needed
from roost.client.series.questions import Asked
from roost.client.series.sharded import Sharded

DAY = 24 * 3600 * 10**9
T0 = int(datetime(2024, 3, 30, tzinfo=UTC).timestamp()) * 10**9
SUMMED = ("count", "sum", "mean", "min", "max", "range", "stddev", "increase", "rate")
NAMES = [f'heat{{room={it % 3},host="h {it}"}}' for it in range(9)] + ["heat", "rain", "wind"]


class Story:
    """The same points in one store and over three."""

    def __init__(self, stack: ExitStack, dice: random.Random) -> None:
        self.dice = dice
        self.alone, *parts = (self._connected(stack) for _ in range(4))
        self.both = Sharded(dict(zip("abc", parts, strict=True)))
        stack.callback(self.both.close)

    def _connected(self, stack: ExitStack) -> Connection:
        db = stack.enter_context(roost.open(None))
        return stack.enter_context(db.series.connect(wait_for_server_flush=True))

    def write(self) -> None:
        for name in NAMES:
            count = self.dice.choice([0, 1, 40, 300])
            times = [T0 + self.dice.randrange(3 * DAY) for _ in range(count)]
            values = [self.dice.choice([1e6, 0.0]) + self.dice.gauss(0, 5) for _ in range(count)]
            for it in (self.alone, self.both):
                it.add_many(name, times, values)
        for it in (self.alone, self.both):
            it.flush()

    def asked(self) -> Asked:
        dice = self.dice
        start, stop = sorted(T0 + dice.randrange(4 * DAY) for _ in range(2))
        names = tuple(dice.sample(["heat", "rain", "wind", "none"], dice.randint(0, 3)))
        tags = (f"room={dice.randrange(3)}",) if not names or dice.random() < 0.3 else ()
        given = {"names": names, "tags": tags, "start": str(start), "stop": str(stop + 1)}
        if dice.random() < 0.2:
            return Asked(**given)  # type: ignore[arg-type]  # they are its fields
        group = dice.choice(["", "room", "host", "none"])
        known = SUMMED if group else (*SUMMED, "first", "last", "median", "p95")
        return Asked(
            **given,  # type: ignore[arg-type]  # they are its fields
            width=dice.choice(["7h", "15m", "1d", "1mo", "auto"]),
            tz=dice.choice(["", "Europe/Prague", "Asia/Kathmandu"]),
            aggregates=tuple(dice.sample(known, dice.randint(1, 4))),
            filling=dice.choice(["", "none", "null", "previous", "linear"]),
            group=group,
            points=dice.choice([0, 50]),
        )


def check(found: Answer, expected: Answer) -> None:
    """The same series, windows and numbers; sums differ in the last digits by their order."""
    ours = {it.name: it for it in found.tables}
    theirs = {it.name: it for it in expected.tables}
    assert ours.keys() == theirs.keys()
    for name, table in theirs.items():
        assert (ours[name].times, ours[name].labels) == (table.times, table.labels)
        assert ours[name].columns.keys() == table.columns.keys()
        for column, values in table.columns.items():
            pairs = list(zip(ours[name].columns[column], values, strict=True))
            for mine, other in pairs:
                is_same = mine == other or (
                    mine is not None
                    and other is not None
                    and math.isclose(mine, other, rel_tol=1e-9, abs_tol=1e-6)
                )
                assert is_same, (name, column, mine, other)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_sharded_equals_unsharded(seed: int) -> None:
    with ExitStack() as stack:
        story = Story(stack, random.Random(seed))
        story.write()
        homes = {id(story.both.home(it)) for it in NAMES}
        assert len(homes) == 3, "each cluster has some"
        asked_count = 0
        while asked_count < 40:
            asked = story.asked()
            check(story.both.fetch(asked), story.alone.fetch(asked))
            asked_count += 1
        listed = [it["name"] for it in story.alone.listed()]
        assert [it["name"] for it in story.both.listed()] == sorted(listed)
        assert story.both.last(tag="room=1") == story.alone.last(tag="room=1")


@pytest.mark.slow
def test_what_is_written_goes_where_it_is_and_deletions_go_everywhere() -> None:
    with ExitStack() as stack:
        story = Story(stack, random.Random(1))
        both = story.both
        both.add("heat{a=1,b=2}", T0, 1.0)
        both.add('heat{b="2",a=1}', T0 + 1, 2.0)
        both.add_frame(_Frame({"time": [T0], "x": [3.0]}), prefix="more.")
        both.flush()
        (table,) = both.query("heat").fetch().tables
        assert table.columns["value"] == [1.0, 2.0], "one series, however its labels stand"
        assert both.tag("heat{a=1,b=2}", add=["temp:C"]) == {"temp": "C"}
        assert both.query().by_tag("temp:C").window("1d").aggregate("count").fetch()[0].columns
        assert both.delete("heat", T0, T0 + 2, dry_run=True) == 2
        assert both.delete("heat", T0, T0 + 2) == 2
        assert both.query("more.x").fetch()[0].columns["value"] == [3.0]
        both.delete_series("more.x")
        both.dedup("most.x", "max")
        both.add_many("most.x", [T0, T0], [2.0, 1.0])
        both.flush()
        assert both.last("most.x") == {"most.x": (T0, 2.0)}
        both.delete_series("most.x")
        both.retain("30d", tag="temp:C")
        assert [it["name"] for it in both.listed()] == ["heat{a=1,b=2}"]


class _Frame:
    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = list(columns)
        self._held = columns

    def __getitem__(self, name: str) -> Any:
        return self._held[name]


def test_a_cluster_more_takes_its_part_and_moves_nothing_else() -> None:
    names = [f"sensor{it}.heat" for it in range(2000)]
    before = {it: home_of(it, ["a", "b", "c"]) for it in names}
    after = {it: home_of(it, ["d", "c", "b", "a"]) for it in names}
    moved = [it for it in names if before[it] != after[it]]
    assert {after[it] for it in moved} == {"d"}
    assert 400 < len(moved) < 600
    assert min(list(before.values()).count(it) for it in "abc") > 550


def test_a_series_has_one_home_however_it_is_written() -> None:
    """With a space before a label it was looked for, and written to, in another cluster."""
    for it in range(20):
        ways = (
            f"heat{it}{{b=2 c,a=1}}", f"heat{it}{{a=1, b = 2 c }}", f'heat{it}{{ a="1" ,b="2 c"}}',
        )  # fmt: skip
        assert len({home_of(way, "abcdef") for way in ways}) == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"group": "room", "width": "1d", "aggregates": ("p95",)}, "made of sums"),
        ({"group": "room", "width": "1d", "aggregates": ("first",)}, "made of sums"),
        ({"width": "auto", "points": 100}, "between"),
        ({"width": "1d", "filling": "linear"}, "between"),
    ],
)
def test_what_cannot_be_merged_is_refused_before_anybody_is_asked(given: Any, text: str) -> None:
    with pytest.raises(BadPoint, match=text):
        needed(Asked(names=("a",), **given))


def test_a_series_that_was_elsewhere_once_is_one_series() -> None:
    one = Answer([Table("a", {}, [1, 3], {"value": [1.0, 3.0]})])
    two = Answer([Table("a", {}, [2, 3], {"value": [2.0, 3.5]})])
    (table,) = merged(Asked(names=("a",)), [one, two]).tables
    assert (table.times, table.columns["value"]) == ([1, 2, 3], [1.0, 2.0, 3.5])


def test_clusters_are_some_and_have_addresses() -> None:
    with pytest.raises(BadPoint):
        sharded.connect({})
    with pytest.raises(BadEndpoint):
        sharded.connect({"a": "127.0.0.1:1", "b": ""})
