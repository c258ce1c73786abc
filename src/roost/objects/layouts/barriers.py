"""Barriers: so many wait, and then all go on.

    tree objects.barriers   name -> `State`, all of it in one row

Each time that all have come is a generation.  Who waits has a place, which is a lease as those of
`lines`: whoever dies is counted no more.  What came of the last generations is kept, for those who
have not looked yet: each looks several times in the time of its lease.
"""

import msgspec

from roost.database import Moment, Refused, Transaction

BARRIERS = "objects.barriers"
# All who wait are in one row, which is written as often as they are many.
PARTIES_MAX = 1000
PAST_MAX = 64


class Waiting(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One who waits: as which, and until when by which clock."""

    who: bytes
    index: int
    ttl_s: float
    clock: int
    until_s: float


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """A generation that is over: all went on, or it was broken."""

    generation: int
    is_broken: bool


class State(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A barrier; whose `is_broken` is so until it is reset."""

    parties: int
    generation: int = 1
    is_broken: bool = False
    waiting: tuple[Waiting, ...] = ()
    past: tuple[Ended, ...] = ()

    def outcome(self, generation: int) -> bool | None:
        """Whether a generation was broken; None while it waits, or when nobody knows any more."""
        return next((it.is_broken for it in self.past if it.generation == generation), None)


class Arrived(msgspec.Struct, frozen=True, array_like=True):
    """Where somebody stands: its generation, as which of them; no generation = nowhere."""

    generation: int
    index: int


def _read(txn: Transaction, name: str, parties: int) -> State:
    state = txn.tree(BARRIERS, key=str, value=State).get(name) or State(parties=parties)
    if state.parties != parties:
        raise Refused(
            f"the barrier {name!r} is for {state.parties}, and was opened for {parties}: all have "
            "to say the same",
            code="parties",
        )
    return state


def _write(txn: Transaction, name: str, state: State) -> None:
    txn.tree(BARRIERS, key=str, value=State)[name] = state


def _alive(state: State, moment: Moment) -> tuple[Waiting, ...]:
    """Those whose lease is not over; those of another clock begin anew."""
    return tuple(
        it if it.clock == moment.clock else _renewed(it, moment)
        for it in state.waiting
        if it.clock != moment.clock or it.until_s > moment.at_s
    )


def _renewed(waiting: Waiting, moment: Moment) -> Waiting:
    until_s = moment.at_s + waiting.ttl_s
    return msgspec.structs.replace(waiting, clock=moment.clock, until_s=until_s)


def _over(state: State, *, is_broken: bool) -> State:
    """The next generation."""
    past = (*state.past, Ended(state.generation, is_broken))[-PAST_MAX:]
    return msgspec.structs.replace(state, generation=state.generation + 1, waiting=(), past=past)


def arrive(txn: Transaction, name: str, parties: int, who: bytes, ttl_s: float) -> Arrived:
    """Wait with the others; the last who comes ends the generation.

    Raises:
        Refused: it is broken, or for another number of parties.

    """
    state, moment = _read(txn, name, parties), txn.moment()
    if state.is_broken:
        raise Refused(f"the barrier {name!r} is broken: reset it", code="broken")
    waiting = _alive(state, moment)
    taken = {it.index for it in waiting}
    index = next(it for it in range(parties) if it not in taken)
    mine = Waiting(who=who, index=index, ttl_s=ttl_s, clock=0, until_s=0)
    waiting = (*waiting, _renewed(mine, moment))
    arrived = Arrived(state.generation, index)
    state = msgspec.structs.replace(state, waiting=waiting)
    _write(txn, name, _over(state, is_broken=False) if len(waiting) == parties else state)
    return arrived


def look(txn: Transaction, name: str, parties: int, who: bytes) -> bool:
    """Look after a place; whether it is there still."""
    state, moment = _read(txn, name, parties), txn.moment()
    waiting = _alive(state, moment)
    is_there = any(it.who == who for it in waiting)
    if is_there:
        waiting = tuple(_renewed(it, moment) if it.who == who else it for it in waiting)
        _write(txn, name, msgspec.structs.replace(state, waiting=waiting))
    return is_there


def leave(txn: Transaction, name: str, parties: int, who: bytes) -> None:
    """Wait no more, without breaking it."""
    state = _read(txn, name, parties)
    kept = tuple(it for it in state.waiting if it.who != who)
    if len(kept) < len(state.waiting):
        _write(txn, name, msgspec.structs.replace(state, waiting=kept))


def abort(txn: Transaction, name: str, parties: int, generation: int | None) -> bool:
    """Break it until it is reset; with a `generation` only if that is waiting still."""
    state = _read(txn, name, parties)
    if generation not in (None, state.generation):
        return False
    _write(txn, name, msgspec.structs.replace(_over(state, is_broken=True), is_broken=True))
    return True


def reset(txn: Transaction, name: str, parties: int) -> None:
    """Have it empty, and not broken; whoever waits is told that it broke."""
    state = _read(txn, name, parties)
    if state.waiting:
        state = _over(state, is_broken=True)
    _write(txn, name, msgspec.structs.replace(state, is_broken=False))


def count(txn: Transaction, name: str, parties: int) -> int:
    """How many wait."""
    return len(_alive(_read(txn, name, parties), txn.moment()))
