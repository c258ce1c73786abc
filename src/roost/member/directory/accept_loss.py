"""What a damaged journal would lose, and losing it on purpose, where no peer can help (J22).

A member without peers does not start when an entry is damaged that was durable once.  `inspect`
says exactly what is damaged and what would be dropped; `accept_loss` drops it.  The directory
gets a new incarnation, so that nothing of its old life is taken for its own.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from roost.journal import Identity, Journal, JournalDamaged, load_identity, replace_identity
from roost.member.directory.peek import Peeked, peek_store
from roost.member.errors import NothingToLose
from roost.member.machine.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is damaged; entries from `first_lost` on would be dropped, all zero = nothing.

    `is_tail_lost`: nobody can say how many entries there were behind `last_known`.
    """

    member_id: int
    held_index: int
    first_index: int
    last_known: int
    first_lost: int
    damaged: tuple[int, ...]
    is_tail_lost: bool
    fact: str

    @property
    def lost_count(self) -> int:
        """How many entries whose identity is known would be dropped."""
        return self.last_known + 1 - self.first_lost if self.first_lost else 0


def inspect(data_dir: Path, world: World | None = None) -> Loss:
    """Say what is damaged in a directory that nobody uses, and leave that as it is.

    Raises:
        NothingToLose: there is no member's directory.
        StoreDamaged: the store itself cannot be read.
        DeviceFault: see `roost.journal`.

    """
    world = world or World()
    identity = _identity(data_dir, world)
    seen = peek_store(data_dir, world, identity.member_id)
    try:
        journal = _open(data_dir, identity, seen, world, may_lose_tail=False)
    except JournalDamaged as damage:
        return Loss(
            member_id=identity.member_id,
            held_index=seen.applied[0] if seen.applied else 0,
            first_index=0,
            last_known=0,
            first_lost=0,
            damaged=(),
            is_tail_lost=True,
            fact=damage.fact,
        )
    try:
        damaged = tuple(sorted(journal.damaged))
        return Loss(
            member_id=identity.member_id,
            held_index=seen.applied[0] if seen.applied else 0,
            first_index=journal.first_index,
            last_known=journal.last_index,
            first_lost=journal.first_damaged,
            damaged=damaged,
            is_tail_lost=False,
            fact=journal.damage_at(damaged[0]).fact if damaged else "",
        )
    finally:
        journal.abandon()


def accept_loss(data_dir: Path, first_lost: int, world: World | None = None) -> None:
    """Drop entries from `first_lost` on; with a lost tail, whatever is behind what can be read.

    Raises:
        NothingToLose: that is not where the damage begins.
        DeviceFault: see `roost.journal`.

    """
    world = world or World()
    found = inspect(data_dir, world)
    if not found.is_tail_lost and not found.damaged:
        raise NothingToLose(f"nothing is damaged in {data_dir}")
    if found.is_tail_lost != (first_lost == 0) or found.first_lost != first_lost:
        begins = "at 0: its end is lost" if found.is_tail_lost else f"at {found.first_lost}"
        raise NothingToLose(
            f"the damage of {data_dir} does not begin at {first_lost}, but {begins}"
        )
    identity = _identity(data_dir, world)
    seen = peek_store(data_dir, world, identity.member_id)
    journal = _open(data_dir, identity, seen, world, may_lose_tail=True)
    try:
        if journal.damaged:
            journal.drop_from(journal.first_damaged)
        if journal.is_fenced:
            journal.lift_fence()
    finally:
        journal.close()
    # Newer than every life it had, also where the clock has gone back since.
    newest = identity.incarnation + journal.starts
    incarnation = max(world.new_incarnation(), newest + 1)
    renewed = msgspec.structs.replace(identity, incarnation=incarnation)
    replace_identity(world.disk, data_dir, renewed)


def _identity(data_dir: Path, world: World) -> Identity:
    identity = load_identity(world.disk, data_dir) if world.has_directory(data_dir) else None
    if identity is None:
        raise NothingToLose(f"{data_dir} is no member's directory")
    return identity


def _open(
    data_dir: Path,
    identity: Identity,
    seen: Peeked,
    world: World,
    *,
    may_lose_tail: bool,
) -> Journal:
    return Journal.open(
        data_dir,
        identity=identity,
        disk=world.disk,
        config=world.journal_config,
        held=seen.applied,
        begins_at=seen.begins_at,
        may_lose_tail=may_lose_tail,
    )
