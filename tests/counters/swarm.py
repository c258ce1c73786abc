"""Members that count while everything goes wrong, in virtual time; one seed is one run.

Stores, links and joining are production's.  What is simulated: a disk on which a step takes time,
and is there or not after a power cut; a network that delays, loses, doubles, reorders and cuts; the
replicated store, whose facts each member learns at a time of its own.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from roost.counters import reading, registry, upkeep
from roost.counters.changing import delete, increment
from roost.counters.environment import MemoryTrees
from roost.counters.errors import PurgeRefused
from roost.counters.exchange import Exchange, Letter
from roost.counters.joining import Phase
from roost.counters.registry import Registered, Report
from roost.counters.requests import Request
from roost.counters.store import Step, Store
from tests.counters.truth import Delete, Increment, Truth, delete_of, increments_of

NAMES = [f"counter/{it}" for it in range(12)]
TICK_S = 0.04


@dataclass(slots=True)
class Fact:
    """Something of the replicated store: what a member does when it learns of it."""

    carry_out: Callable[["Machine"], None]


@dataclass(slots=True)
class Machine:
    """A machine and the member on it."""

    number: int
    world: "World"
    trees: MemoryTrees = field(default_factory=MemoryTrees)
    store: Store | None = None
    exchange: Exchange | None = None
    step: Step | None = None
    step_ends_s: float = 0.0
    up_at_s: float = 0.0
    is_dead: bool = False
    fact_count: int = 0
    # What is counted in each step, and the requests whose answer waits for it.
    pending: dict[int, list[Increment | Delete]] = field(default_factory=dict)
    waiting: dict[int, list[tuple[bytes, list[tuple[str, int]]]]] = field(default_factory=dict)
    unanswered: list[tuple[bytes, list[tuple[str, int]]]] = field(default_factory=list)

    @property
    def epoch(self) -> bytes:
        return self.world.epochs[self.number]

    def start(self) -> None:
        self.store = Store.open(self.trees, self.world.dice.randbytes)
        self.world.epochs.setdefault(self.number, self.store.epoch)
        assert self.store.epoch == self.epoch, "an epoch outlives its member's restarts"
        self.exchange = Exchange(self.store, self.world.dice.random)
        self.fact_count = 0
        for other in self.world.sources_of(self.number):
            self.exchange.link(other, self.world.now_s)
        self.exchange.seed = self.world.seeds.get(self.number, 0)
        if self.world.relayed_by(self.number):
            self.store.passing.begin({it: of.version for it, of in self.store.heard.items()})

    def relay(self) -> None:
        """Have those told of others whom this one relays to; nobody of itself."""
        assert self.exchange is not None
        assert self.store is not None
        for other in self.world.relayed_by(self.number):
            if other not in self.exchange.links:
                continue
            for owner, epoch in self.store.owners.epochs.items():
                is_new = self.exchange.relays.get(other, epoch) is None
                if is_new and owner != self.store.own and epoch != self.world.epochs.get(other):
                    self.exchange.relay(other, owner, self.world.now_s)

    def kill(self, *, is_step_kept: bool) -> None:
        """The power goes; a step under way is there as a whole, or not."""
        if self.step is not None and is_step_kept:
            self.trees.commit(self.step.writes)
            self.world.truth.add(self.pending.pop(self.step.number, []))
        for requests in self.waiting.values():
            self.unanswered += requests
        self.step = self.store = self.exchange = None
        self.pending.clear()
        self.waiting.clear()

    def look_at_disk(self) -> None:
        store = self.store
        assert store is not None
        if self.step is not None and self.world.now_s >= self.step_ends_s:
            store.write(self.step)
            store.finish(self.step)
            self.world.truth.add(self.pending.pop(self.step.number, []))
            self.world.acknowledged += len(self.waiting.pop(self.step.number, []))
            self.step = None
        if self.step is None:
            self.step = store.take_step()
            slow = self.world.dice.random() < 0.1
            self.step_ends_s = self.world.now_s + self.world.dice.random() * (0.5 if slow else 0.03)
        store.invariants()

    @property
    def serves(self) -> bool:
        return self.exchange is not None and self.exchange.joining.phase is Phase.READY

    def count(self, key: bytes, changes: list[tuple[str, int]]) -> None:
        store = self.store
        assert store is not None
        before = store.version
        answer = increment(store, changes, Request(key, len(changes), self.world.now_s))
        self.pending.setdefault(answer.step, []).extend(increments_of(store, before, changes))
        self.waiting.setdefault(answer.step, []).append((key, changes))

    def delete(self, name: str) -> None:
        store = self.store
        assert store is not None
        key, seen = delete_of(store, name, self.world.folds)
        answer = delete(store, [name])
        if answer.values[0] is not None:
            fact = Delete(key, store.epoch, store.version, seen)
            self.pending.setdefault(answer.step, []).append(fact)


@dataclass(slots=True)
class World:
    """All of them, the network between them, and the truth."""

    seed: object
    count: int = 3
    # Who sends to whom; empty = everybody to everybody.
    routes: set[tuple[int, int]] = field(default_factory=set)
    # Who tells whom of others, too; each has a route.
    relays: set[tuple[int, int]] = field(default_factory=set)
    losses: float = 0.05
    now_s: float = 0.0
    acknowledged: int = 0
    truth: Truth = field(default_factory=Truth)
    dice: random.Random = field(init=False)
    machines: dict[int, Machine] = field(default_factory=dict)
    epochs: dict[int, bytes] = field(default_factory=dict)
    seeds: dict[int, int] = field(default_factory=dict)
    cuts: set[tuple[int, int]] = field(default_factory=set)
    facts: list[Fact] = field(default_factory=list)
    folds: dict[bytes, list[bytes]] = field(default_factory=dict)
    purged: dict[bytes, int] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)
    _letters: list[tuple[float, int, int, Letter]] = field(default_factory=list)
    _letter_count: int = 0
    _request_count: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(str(self.seed))
        for number in range(1, self.count + 1):
            self.machines[number] = Machine(number, self)
        for machine in self.machines.values():
            machine.start()

    def say(self, word: str) -> None:
        self.said[word] = self.said.get(word, 0) + 1

    def sources_of(self, number: int) -> list[int]:
        """Whom a member sends to."""
        alive = [it.number for it in self.machines.values() if not it.is_dead]
        among = [it for it in alive if it != number]
        return [it for it in among if not self.routes or (number, it) in self.routes]

    def relayed_by(self, number: int) -> list[int]:
        return [two for one, two in sorted(self.relays) if one == number]

    def alive(self) -> list[Machine]:
        return [it for it in self.machines.values() if not it.is_dead]

    def up(self) -> list[Machine]:
        return [it for it in self.alive() if it.store is not None]

    def known(self) -> list[Registered]:
        return [
            Registered(f"m{number}", self.epochs[number], machine.is_dead)
            for number, machine in self.machines.items()
        ]

    # Time passes.

    def run(self, duration_s: float, act: Callable[[], None] = lambda: None) -> None:
        end = self.now_s + duration_s
        while self.now_s < end:
            self.now_s += TICK_S
            act()
            self._deliver()
            for machine in self.alive():
                self._turn(machine)

    def _turn(self, machine: Machine) -> None:
        if machine.store is None:
            if self.now_s < machine.up_at_s:
                return
            machine.start()
            for other in self.up():
                assert other.exchange is not None
                if machine.number in other.exchange.links:
                    other.exchange.links[machine.number].on_up(self.now_s)
        assert machine.exchange is not None
        assert machine.store is not None
        machine.look_at_disk()
        if machine.fact_count < len(self.facts) and self.dice.random() < 0.2:
            self.facts[machine.fact_count].carry_out(machine)
            machine.fact_count += 1
        sources = [self.epochs[it.number] for it in self.alive() if self._sends(it, machine)]
        machine.exchange.joining.look(sources)
        machine.relay()
        for letter in machine.exchange.take_messages(self.now_s):
            self._post(machine.number, letter)

    def _sends(self, source: Machine, target: Machine) -> bool:
        return target.number in self.sources_of(source.number)

    def _post(self, source: int, letter: Letter) -> None:
        copies = 1 + (self.dice.random() < self.losses) - (self.dice.random() < self.losses)
        for _copy in range(copies):
            late = self.dice.random() < self.losses
            delay = self.dice.random() * (3.0 if late else 0.05)
            self._letter_count += 1
            heapq.heappush(self._letters, (self.now_s + delay, self._letter_count, source, letter))

    def _deliver(self) -> None:
        while self._letters and self._letters[0][0] <= self.now_s:
            _at, _count, source, letter = heapq.heappop(self._letters)
            machine = self.machines[letter.partner]
            is_cut = (source, letter.partner) in self.cuts or self.machines[source].is_dead
            if machine.exchange is not None and not is_cut:
                machine.exchange.on_message(source, letter.data, self.now_s)

    # What clients and operators do.

    def client(self) -> None:
        """Somebody counts, or deletes, or tries again what was not answered."""
        machine = self.dice.choice(self.alive())
        if not machine.serves:
            return
        if machine.unanswered:
            machine.count(*machine.unanswered.pop())
            self.say("retry")
            return
        kind = self.dice.random()
        if kind < 0.06:
            machine.delete(self.dice.choice(NAMES))
            self.say("delete")
            return
        self._request_count += 1
        names = self.dice.sample(NAMES, self.dice.randint(1, 3))
        changes = [(it, self.dice.randint(-5, 9)) for it in names]
        machine.count(b"request %d" % self._request_count, changes)

    def nemesis(self) -> None:
        kind = self.dice.random()
        machines = self.up()
        if kind < 0.008 and machines:
            machine = self.dice.choice(machines)
            machine.kill(is_step_kept=self.dice.random() < 0.5)
            machine.up_at_s = self.now_s + self.dice.random() * 3
            self.say("kill")
        elif kind < 0.016:
            one, two = self.dice.sample(sorted(self.machines), 2)
            self.cuts |= {(one, two), (two, one)} if kind < 0.012 else {(one, two)}
            self.say("cut")
        elif kind < 0.024:
            self.cuts.clear()

    def reports(self) -> dict[bytes, Report]:
        """What members report that are up; what is durable with them."""
        found = {}
        for machine in self.up():
            assert machine.exchange is not None
            found[machine.epoch] = machine.exchange.report()
        return found

    def purge(self) -> bool:
        """Have everything purged that everybody knows of; False = not now."""
        try:
            proof = registry.purge_proof(self.known(), self.reports())
        except PurgeRefused:
            return False

        def carry_out(machine: Machine) -> None:
            after: bytes | None = b""
            while after is not None:
                assert machine.store is not None
                after = upkeep.purge_slice(machine.store, proof, after).after

        self.purged = {it: max(version, self.purged.get(it, 0)) for it, version in proof.items()}
        self.facts.append(Fact(carry_out))
        self.say("purge")
        return True

    def join(self, *, is_silent: bool = False) -> Machine:
        """One more, fed by one that is up."""
        number = max(self.machines) + 1
        machine = self.machines[number] = Machine(number, self)
        self.seeds[number] = self.dice.choice(self.up()).number
        machine.start()
        assert machine.exchange is not None
        machine.exchange.joining.begin(is_silent=is_silent)
        for other in self.up():
            if other is not machine:
                assert other.exchange is not None
                other.exchange.link(number, self.now_s)
        self.say("join")
        return machine

    def heal(self) -> None:
        self.cuts.clear()
        self.losses = 0.0
        for machine in self.alive():
            machine.up_at_s = self.now_s

    def is_quiet(self) -> bool:
        """Everybody has everything, durably."""
        if len(self.up()) < len(self.alive()):
            return False
        for machine in self.up():
            store, exchange = machine.store, machine.exchange
            assert store is not None
            assert exchange is not None
            links = [*exchange.links.values(), *(it for _, it in exchange.relays.items())]
            is_level = all(it.is_level for it in links)
            if not is_level or store.version > store.durable_heard[store.own]:
                return False
            if machine.step is not None or machine.fact_count < len(self.facts):
                return False
        return True

    def calm(self, seconds_max: float = 120.0) -> None:
        """Everything works again; wait until everybody has everything."""
        self.heal()
        end = self.now_s + seconds_max
        while not self.is_quiet():
            assert self.now_s < end, "nobody gets on"
            self.run(0.2)

    def heard_by(self, machine: Machine) -> set[bytes]:
        """Whose counts come to a machine: its own, those sent to it, and those of the dead."""
        alive = [it.number for it in self.alive()]
        heard = {it: {it} for it in alive}
        for _hop in alive:
            for source, target in ((one, two) for one in alive for two in alive):
                if self._sends(self.machines[source], self.machines[target]):
                    is_relayed = (source, target) in self.relays
                    heard[target] |= heard[source] if is_relayed else {source}
        numbers = heard[machine.number]
        dead = [it.number for it in self.machines.values() if it.is_dead]
        return {self.epochs[it] for it in (machine.number, *numbers, *dead)}

    def check(self) -> None:
        """Everybody reads the truth, and nothing besides."""
        for machine in self.alive():
            assert machine.store is not None
            wanted = self.truth.readings(self.heard_by(machine))
            found = dict(reading.search(machine.store).rows)
            assert {it.encode(): what for it, what in found.items()} == wanted, machine.number
