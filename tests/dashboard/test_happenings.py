"""Events in words, each kind, and no more of them than are kept."""

from typing import get_args

import pytest

from roost.dashboard.happenings import COUNT_MAX, Happenings, text_of
from roost.database import events
from roost.database.events import Event

LACKED = "it lacked entries that are no longer in the log"
TOLD: tuple[tuple[Event, str], ...] = (
    (
        events.RoleChanged("follower", "candidate", 3),
        "this member was follower and is candidate in term 3",
    ),
    (events.LeaderChanged(0, "", 4), "nobody is known to lead in term 4"),
    (events.LeaderChanged(26, "m2", 4), "m2 leads in term 4"),
    (events.LeaderChanged(26, "", 4), "1a leads in term 4"),
    (events.TermChanged(3, 4), ""),
    (events.MemberAdded(26, "", ("http://a:1",), True), "1a was added as a learner"),
    (events.MemberAdded(26, "m4", ("http://a:1",), False), "m4 was added as a voter"),
    (events.MemberRemoved(26, "m4"), "m4 was removed"),
    (events.MemberReplaced(26, ("http://a:1",), 27, "m3"), "1a took the place of m3"),
    (events.Committed(9), ""),
    (
        events.SnapshotSent(26, "behind", 4096),
        f"4,096 bytes of a snapshot were sent to 1a: {LACKED}",
    ),
    (
        events.SnapshotReceived(26, "joining", 10),
        "a snapshot of 10 bytes came from 1a: it is joining",
    ),
    (events.HeartbeatLate(26, "m2", 900), "m2, who leads, was silent for 900 ms"),
    (
        events.ConflictTruncated(5, 7),
        "entries 5 to 7 were never committed, and were replaced",
    ),
    (events.DiskSlow(120.4), "the journal's disk took 120 ms, longer than a heartbeat"),
    (
        events.ObserverOverrun("", 3),
        "an observer of all trees is too slow, and has lost changes",
    ),
    (events.AlarmRaised(26, "NOSPACE"), "alarm NOSPACE was raised for 1a"),
    (events.AlarmCleared(26, "NOSPACE"), "alarm NOSPACE of 1a is over"),
    (
        events.CountersAdministered("purge of hits/", "root", "done"),
        "counters: purge of hits/, asked for by root: done",
    ),
)


@pytest.mark.parametrize(("event", "text"), TOLD)
def test_an_event_is_a_sentence(event: Event, text: str) -> None:
    assert text_of(event) == text


def test_every_kind_of_event_is_among_them() -> None:
    assert {type(it) for it, _ in TOLD} == set(get_args(Event))


def test_the_last_are_kept_with_their_numbers_and_no_commit_is_among_them() -> None:
    happenings = Happenings(lambda: 12.5)
    heard: list[int] = []
    happenings.on_news = lambda: heard.append(1)
    for term in range(COUNT_MAX + 5):
        happenings.note(events.LeaderChanged(1, "m1", term))
        happenings.note(events.Committed(term))
    kept = happenings.after(0)
    assert len(kept) == COUNT_MAX
    assert len(heard) == COUNT_MAX + 5
    assert (kept[0].number, kept[-1].number) == (6, COUNT_MAX + 5)
    assert (kept[0].at_s, kept[0].kind) == (12.5, "LeaderChanged")
    assert [it.number for it in happenings.after(COUNT_MAX + 3)] == [COUNT_MAX + 4, COUNT_MAX + 5]
    assert happenings.after(COUNT_MAX + 5) == []
