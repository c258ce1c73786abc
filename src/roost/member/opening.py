"""One door that opens a member, whatever has to be done to its directory first.

    it joins a cluster                     the cluster's content is fetched (`joining`)
    a signal ended its last life           the store is read by a process of its own: LMDB does not
                                           survive every damage, and would end this life as well
    a majority is lost for good            it goes on alone, when asked to (`new_cluster`)
    its store is damaged, or lost          another is fetched from a peer (`rebuild`)

A suspicion that reading does not confirm is dropped, but not often: what ends the keeper may lie
where only writing looks, in the list of free pages.  Then the store counts as damaged.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from roost.journal import load_identity, lock_directory
from roost.member.config import MemberConfig
from roost.member.directory.fetching import others_of
from roost.member.directory.joining import join_cluster
from roost.member.directory.new_cluster import found_new_cluster
from roost.member.directory.peek import is_alone_in
from roost.member.directory.rebuild import mark_damaged, mark_suspect, no_way_out, rebuild_store
from roost.member.directory.store_record import StoreRecord, change_record, read_record
from roost.member.errors import CannotRebuild, StoreDamaged
from roost.member.machine.world import World
from roost.member.member import Member
from roost.store import StoreSuspect, Txn
from roost.store.crash import forget_note, read_note

logger = logging.getLogger(__name__)
# How many suspicions are dropped before a store counts as damaged: without peers that is the end.
TRIALS_MAX, TRIALS_ALONE_MAX = 1, 5
REBUILDS_MAX = 3


async def open_member(
    config: MemberConfig,
    *,
    bootstrap: Callable[[Txn], None],
    on_fatal: Callable[[BaseException], None],
    world: World | None = None,
    joins: bool = False,
    is_forced: bool = False,
) -> Member:
    """Open a member's directory, after what has to be done to it first; see `Member`.

    With `joins` a new directory is filled by the cluster; with `is_forced` an old one goes on
    alone, as a new cluster.

    Raises:
        CannotJoin, CannotRebuild: nobody sends what is needed.
        BadMemberConfig, DeviceFault: see `Member`.

    """
    world = world or World()
    if joins and _is_new(config, world):
        await join_cluster(config, world)
    await _heed_last_life(config, world)
    if is_forced:
        try:
            found_new_cluster(config, bootstrap, world)
        except StoreDamaged as damage:
            raise CannotRebuild(no_way_out(config, str(damage))) from damage
    rebuilds = 0
    while True:
        try:
            return Member(config, bootstrap=bootstrap, on_fatal=on_fatal, world=world)
        except StoreDamaged as damage:
            if (rebuilds := rebuilds + 1) > REBUILDS_MAX:
                raise
            logger.warning("the store is damaged, and fetched anew: %s", damage)
            mark_damaged(config, str(damage), world)
            await rebuild_store(config, world)
        except StoreSuspect as suspicion:
            mark_suspect(config, str(suspicion), world)
            if not await _heed_last_life(config, world):
                raise


def _is_new(config: MemberConfig, world: World) -> bool:
    """Whether nobody has lived in the directory so far."""
    data_dir = config.data_dir
    return not world.has_directory(data_dir) or load_identity(world.disk, data_dir) is None


async def _heed_last_life(config: MemberConfig, world: World) -> bool:
    """Read the store first if there is reason to; False when it could not be read."""
    data_dir = config.data_dir
    identity = load_identity(world.disk, data_dir) if world.has_directory(data_dir) else None
    if identity is None:
        return True
    lock = lock_directory(world.disk, data_dir)
    try:
        record, note = read_record(world.disk, data_dir), read_note(data_dir)
        if note:
            logger.error("a signal ended this member's last life:\n%s", note)
        reason = record.damage or record.suspicion or note.partition("\n")[0]
        has_store = (data_dir / record.directory).exists()
        if not reason or not has_store or (record.damage and others_of(config, record.peers)):
            return True  # there is nothing to read, or nothing left to find out
        return await _try_store(data_dir, record, reason, identity.member_id, world)
    except StoreDamaged:
        return True  # whoever opens it next says so
    finally:
        lock.close()


async def _try_store(
    data_dir: Path, record: StoreRecord, reason: str, own_id: int, world: World
) -> bool:
    """Have a process of its own read the store, and keep what that says; False when it cannot."""
    logger.warning("the store is read before it is used: %s", reason)
    directory = data_dir / record.directory
    report = await world.scrub(directory, is_awaited=True)
    if report is None:
        logger.error("the store could not be read to its end")
        return False
    if report.fault:
        change_record(world.disk, data_dir, damage=report.fault, suspicion="")
    else:
        logger.warning("nothing is wrong with its %d records", report.record_count)
        _acquit(data_dir, record, reason, is_alone=is_alone_in(directory, own_id), world=world)
    forget_note(data_dir)
    return True


def _acquit(
    data_dir: Path, record: StoreRecord, reason: str, *, is_alone: bool, world: World
) -> None:
    """Nothing was found: believe that, unless it was believed too often."""
    if record.damage and not is_alone:
        return  # the others found it, by comparing
    trials = record.trials + bool(record.suspicion or record.damage)
    if trials > (TRIALS_ALONE_MAX if is_alone else TRIALS_MAX):
        damage = f"{reason}, {trials} times"
        change_record(world.disk, data_dir, damage=damage, suspicion="", trials=trials)
    else:
        change_record(world.disk, data_dir, damage="", suspicion="", trials=trials)
