"""Who hears of totals that change: each name by its prefix, over turns of the loop."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from roost.counters import names, watching
from roost.counters.desk import Desk
from roost.counters.watching import OFFERED_NAMES, OFFERS_A_TURN, Hub, Watcher
from roost.sim.members.loop import run_virtually, until_idle


class Source:
    """A desk of which only the news is asked."""

    def __init__(self) -> None:
        self.observers: list[Callable[[list[bytes]], None]] = []
        desk: Any = SimpleNamespace(counting=self)
        self.hub = Hub(cast("Desk", desk))

    def say(self, *found: str) -> None:
        for it in self.observers:
            it([names.encode(name) for name in found])


def heard(watcher: Watcher) -> list[str]:
    return sorted(names.decode(it) for it in watcher._changed)


def test_each_hears_of_what_begins_with_its_prefix() -> None:
    async def story() -> None:
        source = Source()
        prefixes = ("", "b", "b/2", "c", "bb")
        watchers = [source.hub.watch(it, has_missed=False) for it in prefixes]
        source.say("c", "b/2", "a", "b", "b/1", "b/22", "ba")
        await until_idle()
        assert [heard(it) for it in watchers] == [
            ["a", "b", "b/1", "b/2", "b/22", "ba", "c"],
            ["b", "b/1", "b/2", "b/22", "ba"],
            ["b/2", "b/22"],
            ["c"],
            [],
        ]

    run_virtually(story())


def test_many_names_are_offered_to_many_over_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 14: all names of a step were held against all watchers at once."""
    offers = 0
    honest = Watcher.note

    def counting(self: Watcher, keys: list[bytes]) -> None:
        nonlocal offers
        offers += 1
        assert len(keys) <= OFFERED_NAMES
        honest(self, keys)

    monkeypatch.setattr(Watcher, "note", counting)

    async def story() -> None:
        source = Source()
        watchers = [source.hub.watch(f"{it:03}", has_missed=False) for it in range(300)]
        everything = source.hub.watch("", has_missed=False)
        found = [f"{it % 300:03}/{it}" for it in range(4 * OFFERED_NAMES)]
        source.say(*found[:900])
        source.say(*found[900:])
        most, last = offers, offers
        while len(everything._changed) < len(found):
            await asyncio.sleep(0)
            most, last = max(most, offers - last), offers
        await until_idle()
        assert most <= OFFERS_A_TURN
        assert heard(everything) == sorted(found)
        assert heard(watchers[7]) == sorted(it for it in found if it.startswith("007"))

    run_virtually(story())


def test_when_too_much_waits_to_be_offered_all_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "UNOFFERED_MAX", 5)

    async def story() -> None:
        source = Source()
        watchers = [source.hub.watch("", has_missed=False) for _ in range(3)]
        source.say(*"abcdef")
        assert source.hub.watchers == {}
        assert all(it._is_over for it in watchers)
        again = source.hub.watch("", has_missed=False)
        source.say("a")
        await until_idle()
        assert heard(again) == ["a"]

    run_virtually(story())
