"""How a machine of the swarm is retired: as an operator would have it done, step by step."""

from collections.abc import Callable

from roost.counters import registry, upkeep
from roost.counters.errors import RetireRefused
from roost.counters.store import Store
from tests.counters.swarm import Fact, Machine, World


def retire(world: World, number: int, act: Callable[[], None] = lambda: None) -> None:
    """A machine is away for good: its parts are exchanged, and become a fold's."""
    dead = world.machines[number]
    if dead.store is not None:
        dead.kill(is_step_kept=False)
    dead.is_dead = True
    epoch, fold = world.epochs[number], world.dice.randbytes(16)
    end_s = world.now_s + 300

    def wait(is_reached: Callable[[], bool]) -> None:
        while not is_reached():
            assert world.now_s < end_s, "they get on"
            world.run(0.2, act)

    def forget(machine: Machine) -> None:
        assert machine.exchange is not None
        machine.exchange.retired.add(epoch)
        machine.exchange.unlink(number)
        others = [it.number for it in world.alive() if it is not machine]
        machine.exchange.unite(epoch, others)

    world.facts.append(Fact(forget))
    wait(lambda: _have_pulled(world) and _may_begin(world, epoch))
    stores = [it.store for it in world.up() if it.store is not None]
    world.truth.lose(epoch, stores, world.purged.get(epoch, 0))
    _fold(world, fold, epoch, wait)
    world.say("retire")


def _fold(
    world: World, fold: bytes, epoch: bytes, wait: Callable[[Callable[[], bool]], None]
) -> None:
    """Have a fold begin, end and be forgotten, each when everybody is so far."""
    barrier: dict[bytes, int] = {}

    def begin(store: Store) -> None:
        upkeep.begin_fold(store, fold, [epoch])

    def finish(store: Store) -> None:
        while not upkeep.end_fold_slice(store, fold):
            pass

    def has_begun() -> bool:
        try:
            barrier.update(registry.fold_barrier(world.known(), fold, world.reports()))
        except RetireRefused:
            return False
        return True

    def has_ended() -> bool:
        try:
            registry.may_forget_fold(world.known(), fold, world.reports())
        except RetireRefused:
            return False
        return True

    world.facts.append(fact_of(begin))
    wait(has_begun)
    wait(lambda: not registry.lacking(world.known(), world.reports(), barrier))
    world.folds[fold] = [epoch]
    world.facts.append(fact_of(finish))
    wait(has_ended)
    world.facts.append(fact_of(lambda it: upkeep.forget_fold(it, fold)))


def fact_of(act: Callable[[Store], None]) -> Fact:
    """A fact that is carried out in the store."""

    def carry_out(machine: Machine) -> None:
        assert machine.store is not None
        act(machine.store)

    return Fact(carry_out)


def _have_pulled(world: World) -> bool:
    machines = world.alive()
    if any(it.exchange is None or it.fact_count < len(world.facts) for it in machines):
        return False
    pulls = [pull for it in machines if it.exchange for pull in it.exchange.pulls.values()]
    return all(it.is_done for it in pulls)


def _may_begin(world: World, epoch: bytes) -> bool:
    try:
        registry.may_begin_fold(world.known(), [epoch], world.reports())
    except RetireRefused:
        return False
    return True
