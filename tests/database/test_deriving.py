"""Derived trees, held against what is made anew of their source: exact after whatever happens."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.database import deriving, deriving_tree, dirty
from roost.database.errors import DerivedLost
from roost.store import InlineKeeper, Keeper, StoreBroken, StoreError
from tests.database.deriving_story import Step, Story
from tests.samples import SAMPLES

ALL_KEYS = [b"", b"k", b"k\0", b"k1", b"k2", b"m", b"m1", b"z"]
KEYS = st.sampled_from(ALL_KEYS)
VALUES = st.sampled_from([b"", b"x", b"y", b"xy", b"xyz", b"wxyz"])
TREES = st.sampled_from(["a", "a", "b"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), TREES, KEYS, VALUES),
        st.tuples(st.just("delete"), TREES, KEYS, st.just(b"")),
        st.tuples(st.just("range"), TREES, KEYS, KEYS),
    ),
    min_size=1,
    max_size=6,
)
DEATHS = ["crash", "crash", "lose", "close", "version", "prefix", "forget"]


@dataclass(frozen=True)
class Kill:
    """An end: how many turns before it, what is made durable then, and what happens."""

    turns: int
    derived_is_durable: bool
    is_durable: bool
    how: str


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), STEPS),
        st.tuples(st.just("turn"), st.sampled_from([1, 1, 2, 50])),
        st.tuples(
            st.sampled_from(["flush", "flush derived", "tick", "apply", "trim", "damage"]),
            st.just(0),
        ),
        st.tuples(
            st.just("kill"),
            st.builds(
                Kill,
                st.sampled_from([0, 1, 2, 50]),
                st.booleans(),
                st.booleans(),
                st.sampled_from(DEATHS),
            ),
        ),
    ),
    max_size=30,
)


async def kill(story: Story, act: Kill) -> None:
    """End, and come back."""
    member, environment = story.member, story.hub._environment
    for _ in range(act.turns):
        story.hub._turn()
    if act.derived_is_durable and environment:
        environment.store.flush()
    if act.is_durable:
        member.store.flush()
    if act.how == "close":
        await story.hub.close()
    story.crash(member.lose if act.how == "lose" else member.crash)
    story.version += act.how == "version"
    if act.how == "prefix":
        story.prefix = None if story.prefix else b"k"
    if act.how == "forget":
        shutil.rmtree(member.data_dir / "derived")
    await story.open()


async def play(path: Path, acts: list[tuple[str, Any]]) -> None:
    story = Story(path)
    await story.open()
    for act, how in acts:
        member = story.member
        match act:
            case "write":
                story.write(how)
            case "turn":
                for _ in range(how):
                    story.hub._turn()
            case "apply":
                member.apply_next()
            case "flush":
                member.store.flush()
            case "flush derived" if story.hub._environment:
                story.hub._environment.store.flush()
            case "tick":
                story.hub._tick()
            case "trim":
                member.first_index = max(member.first_index, member.store.durable_index - 1)
            case "damage":
                story.hub._on_failure(StoreError("a test wants it"))
                while story.hub._environment is None and story.tree.error is None:
                    await asyncio.sleep(0)
                if story.tree.error is not None:
                    story.crash(member.crash)
                    await story.open()
            case "kill":
                await kill(story, how)
        story.check()
    story.finish()
    story.hub.abandon()
    story.member.store.abandon()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test comes to."""
    monkeypatch.setattr(deriving_tree, "SLICE_UNITS", 5)
    monkeypatch.setattr(deriving_tree, "PAST_BYTES", 50)
    monkeypatch.setattr(deriving, "KEEP_ENTRIES", 2)
    monkeypatch.setattr(deriving, "PAUSE_PARTS", 0)
    monkeypatch.setattr(dirty, "KEYS_MAX", 5)
    monkeypatch.setattr(dirty, "RANGES_MAX", 2)


@pytest.mark.usefixtures("small")
@settings(max_examples=100 * SAMPLES)
@given(ACTS)
def test_what_is_derived_is_what_is_made_of_the_source_whatever_happens(
    acts: list[tuple[str, Any]],
) -> None:
    with TemporaryDirectory() as place:
        asyncio.run(play(Path(place), acts))


# Four at once are looked at one by one, all eight as a range.
PUTS = [
    [("put", "a", key, value) for key in keys]
    for keys, value in ((ALL_KEYS, b"xy"), (ALL_KEYS[:4], b"yz"), (ALL_KEYS[4:], b"wx"))
]
DELETES = [[("delete", "a", key, b"")] for key in ALL_KEYS[:3]]
STORY: list[list[Step]] = [*PUTS[:1], *DELETES, *PUTS[1:], [("range", "a", b"k", b"m")]]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("is_durable", [True, False])
def test_a_kill_at_any_moment_leaves_what_can_be_gone_on_with(
    tmp_path: Path, *, is_durable: bool
) -> None:
    async def die_after(count: int, path: Path) -> bool:
        """Be killed after so many turns; whether there were so many."""
        story, left = Story(path), count
        await story.open()
        for steps in STORY:
            story.write(steps)
            if steps is PUTS[0]:
                story.member.store.flush()
            for _ in range(4):
                if left == 0:
                    await kill(story, Kill(0, True, is_durable, "crash"))
                    story.check()
                left -= 1
                story.hub._turn()
        story.finish()
        await story.hub.close()
        story.member.store.abandon()
        return left < 0

    async def main() -> None:
        count = 0
        while await die_after(count, make(tmp_path / str(count))):
            count += 1
        assert count > len(STORY) * 3

    asyncio.run(main())


@pytest.mark.usefixtures("small")
def test_whatever_the_second_environment_fails_at_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fail the n-th call of its keeper, for every n until none fails."""

    async def fail_at(count: int, path: Path) -> bool:
        story = Story(path)
        failing = Failing(count)
        story.place.make_keeper = failing.make
        await story.open()
        for steps in STORY:
            story.write(steps)
            for _ in range(4):
                story.hub._turn()
                if story.hub._environment:
                    story.hub._environment.store.flush()
                while story.hub._environment is None:
                    await asyncio.sleep(0)
        story.finish()
        await story.hub.close()
        story.member.store.abandon()
        return failing.has_failed

    async def main() -> None:
        count = 0
        while await fail_at(count, make(tmp_path / str(count))):
            count += 1
        assert count > len(STORY)
        assert "is made anew" in caplog.text

    asyncio.run(main())


def test_an_environment_that_fails_again_and_again_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        story = Story(tmp_path)
        await story.open()
        for _ in range(deriving.RENEWALS_MAX + 1):
            story.hub._on_failure(StoreError("a test wants it"))
            while story.hub._environment is None and story.tree.error is None:
                await asyncio.sleep(0)
        with pytest.raises(DerivedLost):
            story.tree.check()
        story.write([("put", "a", b"k", b"x")])
        await story.hub.close()
        story.member.store.abandon()

    asyncio.run(main())


def test_a_walk_leaves_the_loop_to_writers_and_rows_that_change_do_not_wait(tmp_path: Path) -> None:
    async def main() -> None:
        story, loop = Story(tmp_path), asyncio.get_running_loop()
        story.write([("put", "a", bytes([number]), b"x") for number in range(250)])
        await story.open()
        hub, dirty = story.hub, story.tree.dirty
        hub._turn()
        place = dirty.ranges[0].first
        assert place, "it has begun"
        story.write([("put", "a", b"\0", b"y")])
        hub._pause(-1000)
        assert hub._walk_at_s > loop.time() + 3000, "four times as long as the slice took"
        assert dirty.has_keys
        for _ in range(3):
            hub._turn()
        assert (dirty.has_keys, dirty.ranges[0].first) == (False, place)
        hub._schedule_if_due()
        hub._walk_at_s = 0.0
        hub._pause(-1000)
        assert hub._walk_at_s == 0.0, "nobody has written since"
        story.finish()
        await hub.close()
        story.member.store.abandon()

    asyncio.run(main())


def make(path: Path) -> Path:
    path.mkdir()
    return path


class Failing:
    """Keepers that fail once, at one of their calls."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.has_failed = False

    def make(self, directory: Path) -> Keeper:
        return FailingKeeper(directory, self)


class FailingKeeper(InlineKeeper):
    def __init__(self, directory: Path, failing: Failing) -> None:
        super().__init__(directory, is_synced=False)
        self._failing = failing

    def flush(self, index: int, term: int) -> None:
        failing = self._failing
        failing.left -= 1
        if failing.left == -1:
            failing.has_failed = True
            self.on_failed(StoreBroken("the device failed"))
        else:
            super().flush(index, term)
