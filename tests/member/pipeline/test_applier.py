"""Committed entries and the state: in order, each once, however often the store's memory is full.

The model is a list of the entries in their order.  The store is a stub that takes them one after
another and can be full; the core is one too, and what it was told is compared with the list.
"""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.errors import ShortOfMemory
from roost.member.cluster.roster import change_payload
from roost.member.pipeline.applier import BYTES_A_TURN, Applier
from roost.raft import Configuration, Entry, EntryKind, Role

pytestmark = pytest.mark.pure("its core is a fake")

NORMAL, EMPTY, CONFIGURATION = EntryKind.NORMAL, EntryKind.EMPTY, EntryKind.CONFIGURATION
FIRST = 5


class World:
    """Core, store, executor, reads and forwarded requests of one member, all of them stubs.

    The list `said` has what each was told, in order.
    """

    def __init__(self) -> None:
        self.id = 1
        self.role = Role.FOLLOWER
        self.term = 2
        self.configuration = Configuration(voters=(1, 2))
        self.next_configuration = self.configuration
        self.is_backed_up = False
        self.full_at: set[int] = set()
        self.applied_index = FIRST - 1
        # Parts of what the store has dropped.
        self.old_count = 0
        self.written: list[bytes] = []
        self.said: list[tuple[str, int]] = []
        self.changes = 0
        this: Any = self
        # The stubs have what the applier asks of them.
        reads, forwarder, executor, heard = [cast("Any", Part(self, it)) for it in PARTS]
        self.core: Part = heard
        core: Any = Core(self)
        self.turns = self.starved = 0
        # Entries for which there is no memory.
        self.too_large: set[int] = set()
        self.applier = Applier(
            core,
            this,
            executor,
            reads,
            forwarder,
            on_change=self.on_change,
            schedule=self.schedule,
            on_starved=self.starve,
        )

    def on_change(self) -> None:
        self.changes += 1

    def schedule(self) -> None:
        self.turns += 1

    def starve(self) -> None:
        self.starved += 1

    def apply(self, index: int, payload: bytes, term: int, assembled: object = None) -> None:
        """The store's: takes what follows."""
        del assembled
        assert index == self.applied_index + 1
        if index in self.too_large:
            raise ShortOfMemory("an entry could not be read")
        self.applied_index = index
        self.written.append(payload)
        self.said.append(("store", index))
        assert term
        if index in self.full_at:
            self.is_backed_up = True

    def free(self) -> None:
        """The store's: a part is free."""
        self.old_count -= 1

    def heard(self, who: str) -> list[int]:
        return [index for name, index in self.said if name == who]


PARTS = ("reads", "forwarder", "executor", "core")


class Part:
    """Whoever is told of an index."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name

    def on_applied(self, index: int, *term: int) -> None:
        assert index <= self._world.applied_index, "only what can be seen is told"
        assert not term or term[0]
        self._world.said.append((self._name, index))

    def open(self) -> None:
        self._world.said.append(("open", self._world.applied_index))


class Core:
    """The core's face, as far as entries that are applied go."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def applied(self, index: int) -> None:
        self._world.core.on_applied(index)

    def apply_change(self, entry: Entry) -> tuple[Configuration, bytes]:
        self._world.configuration = self._world.next_configuration
        return self._world.configuration, entry.payload


def entry(index: int, kind: EntryKind = NORMAL, term: int = 2) -> Entry:
    return Entry(index, term, kind, b"payload %d" % index)


def entries(first: int, count: int) -> Sequence[Entry]:
    return [entry(it) for it in range(first, first + count)]


@given(
    st.lists(st.integers(1, 4), max_size=8),
    st.sets(st.integers(FIRST, FIRST + 20)),
    st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_every_entry_is_applied_once_and_in_order_however_full_the_memory_is(
    batches: list[int], full_at: set[int], has_room_now: list[bool]
) -> None:
    """What was handed over while memory was full waits, and so does all behind it."""
    world = World()
    world.full_at = full_at
    handed = FIRST
    room = iter(has_room_now)

    def look() -> None:
        world.is_backed_up = world.is_backed_up and not next(room)
        was_full, before = world.is_backed_up, world.applied_index
        world.applier.apply_rest()
        assert world.applied_index == before or not was_full
        assert world.applied_index == handed - 1 or world.is_backed_up

    for count in batches:
        before, was_full = world.applied_index, world.is_backed_up
        world.applier.apply(entries(handed, count))
        handed += count
        assert world.applied_index == (before if was_full else handed - 1)
        look()
    while world.is_backed_up or world.applied_index < handed - 1:
        world.is_backed_up = False
        world.applier.apply_rest()
    assert world.written == [b"payload %d" % it for it in range(FIRST, handed)]
    assert world.heard("executor") == list(range(FIRST, handed)), "each, so that none waits on"
    for who in ("core", "reads", "forwarder"):
        heard = world.heard(who)
        assert heard == sorted(set(heard)), who
        assert heard[-1:] == ([handed - 1] if batches else []), who
    assert world.heard("core") == world.heard("reads") == world.heard("forwarder")


def test_the_core_hears_of_a_batch_when_all_of_it_is_applied() -> None:
    """It hands out more then: before that, nothing would bound what is applied in one turn."""
    world = World()
    world.applier.apply(entries(FIRST, 3))
    assert world.heard("core") == [FIRST + 2]
    order = [name for name, _ in world.said]
    assert order == ["store", "executor"] * 3 + ["core", "reads", "forwarder"]


def test_nothing_overtakes_what_waits() -> None:
    """There is room again, but the older ones have not been taken yet."""
    world = World()
    world.is_backed_up = True
    world.applier.apply(entries(FIRST, 1))
    world.is_backed_up = False
    world.applier.apply(entries(FIRST + 1, 1))
    assert world.written == []
    world.applier.apply_rest()
    assert world.applied_index == FIRST + 1


def test_what_waits_is_applied_only_while_there_is_room() -> None:
    world = World()
    world.is_backed_up = True
    world.applier.apply(entries(FIRST, 4))
    world.is_backed_up = False
    world.full_at = {FIRST + 1}
    world.applier.apply_rest()
    assert world.applied_index == FIRST + 1
    assert world.heard("reads") == [FIRST, FIRST + 1], "readers need not wait for the rest"


@pytest.mark.parametrize(
    ("role", "kind", "term", "opens"),
    [
        (Role.LEADER, EMPTY, 2, True),
        (Role.LEADER, EMPTY, 1, False),
        (Role.FOLLOWER, EMPTY, 2, False),
        (Role.CANDIDATE, EMPTY, 2, False),
        (Role.LEADER, NORMAL, 2, False),
    ],
)
def test_a_leader_begins_with_the_first_entry_of_its_own_term(
    role: Role, kind: EntryKind, term: int, *, opens: bool
) -> None:
    """Thesis §6.4: before it, of what is committed "it may not know which those are"."""
    world = World()
    world.role = role
    world.applier.apply([entry(FIRST, kind, term), entry(FIRST + 1)])
    assert world.heard("open") == ([FIRST] if opens else [])


def test_an_entry_without_content_writes_nothing() -> None:
    world = World()
    world.applier.apply([entry(FIRST, EMPTY)])
    assert world.written == [b""]


def test_a_change_and_the_record_of_it_are_one_write_set() -> None:
    """A crash between two would leave a member without an address, or an address without one."""
    world = World()
    world.next_configuration = Configuration(version=FIRST, voters=(2, 3))
    assert not world.applier.is_learner
    world.applier.apply([entry(FIRST, CONFIGURATION)])
    assert world.written == [change_payload(b"payload 5", world.next_configuration)]
    assert world.changes == 1
    assert world.applier.is_learner, "it has no vote any more"


def test_only_a_change_is_told_as_one() -> None:
    world = World()
    world.applier.apply([*entries(FIRST, 2), entry(FIRST + 2, EMPTY)])
    assert world.changes == 0


def test_a_snapshot_takes_the_place_of_what_waits() -> None:
    world = World()
    world.is_backed_up = True
    world.applier.apply(entries(FIRST, 3))
    world.applier.forget_waiting()
    world.is_backed_up = False
    world.applied_index = 50
    world.configuration = Configuration(version=40, voters=(2, 3))
    world.applier.on_installed(50)
    assert (world.heard("reads"), world.heard("forwarder")) == ([50], [50])
    assert world.applier.is_learner, "the snapshot's configuration counts"
    world.applier.apply_rest()
    assert world.written == []
    world.applier.apply(entries(51, 1))
    assert world.applied_index == 51


def test_an_entry_out_of_its_order_is_a_bug_of_ours() -> None:
    for wrong in (FIRST - 1, FIRST + 1):
        with pytest.raises(AssertionError, match="each once, in the order of the log"):
            World().applier.apply(entries(wrong, 1))


def test_a_turn_applies_a_bounded_part_of_many_and_the_next_goes_on() -> None:
    world = World()
    payload = bytes(BYTES_A_TURN // 2)
    large = [Entry(it.index, it.term, it.kind, payload) for it in entries(FIRST, 5)]
    world.applier.apply(large)
    assert world.heard("store") == [FIRST, FIRST + 1]
    assert world.turns == 1
    world.applier.apply(entries(FIRST + 5, 1))
    assert world.heard("store") == [FIRST, FIRST + 1], "nothing overtakes them"
    world.applier.go_on()
    world.applier.go_on()
    assert world.heard("store") == list(range(FIRST, FIRST + 6))
    assert world.turns == 2
    world.applier.go_on()
    assert world.turns == 2, "nothing is left"


def test_what_the_store_has_dropped_is_freed_a_part_a_turn_and_turns_follow() -> None:
    world = World()
    world.applier.tick()
    world.applier.go_on()
    assert world.turns == 0, "there is nothing"
    world.old_count = 3
    world.applier.tick()
    assert (world.old_count, world.turns) == (3, 1)
    for left, turns in ((2, 2), (1, 3), (0, 4), (0, 4)):
        world.applier.go_on()
        assert (world.old_count, world.turns) == (left, turns)
    world.old_count = 2
    world.is_backed_up = True
    world.applier.apply(entries(FIRST, 1))
    world.applier.go_on()
    assert world.old_count == 1, "whatever else waits"


def test_an_entry_for_which_there_is_no_memory_waits_for_the_next_tick_and_so_do_those_behind() -> (
    None
):
    world = World()
    world.too_large = {FIRST + 1}
    world.applier.apply(entries(FIRST, 3))
    assert (world.heard("store"), world.heard("core")) == ([FIRST], [FIRST])
    assert (world.starved, world.turns) == (1, 0)
    world.applier.apply(entries(FIRST + 3, 1))
    world.applier.apply_rest()
    world.applier.go_on()
    assert (world.heard("store"), world.starved) == ([FIRST], 1), "not before"
    world.applier.tick()
    world.applier.go_on()
    assert (world.heard("store"), world.starved) == ([FIRST], 2), "still none"
    world.too_large = set()
    world.applier.tick()
    assert world.turns == 2
    world.applier.go_on()
    assert world.heard("store") == list(range(FIRST, FIRST + 4))
    world.applier.tick()
    assert world.turns == 2, "nobody waits any more"


def test_a_change_of_members_that_is_in_force_and_cannot_be_written_ends_the_member() -> None:
    """The core goes by it already; what is applied would not have it."""
    world = World()
    world.too_large = {FIRST}
    with pytest.raises(MemoryError):
        world.applier.apply([entry(FIRST, CONFIGURATION)])
