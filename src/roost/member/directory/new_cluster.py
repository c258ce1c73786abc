"""A new cluster from one survivor, when a majority is lost for good (etcd: --force-new-cluster).

The survivor keeps everything it has, also what it does not know to be committed: somebody may
have been told so.  What only the lost members had is lost.  In this order:

    1  the directory gets a new cluster id: none of the others will be listened to again, and none
       of them listens to us, whatever they come back with
    2  the rest of the log is applied
    3  an entry behind it makes this member the only one, and the others removed

A crash in between leaves a member that nobody listens to and that cannot lead; asked again, it
begins again.  A member that is alone already is left as it is, so the flag may stay.
"""

import logging
import uuid
from collections.abc import Callable

import msgspec

from roost.journal import Identity, load_identity, replace_identity
from roost.member.cluster.roster import Roster, change_payload, write_set_of
from roost.member.config import MemberConfig
from roost.member.directory.home import Home, open_home
from roost.member.machine.world import World
from roost.raft import Configuration, Entry, EntryKind, HardState, encode_change
from roost.store import GUID_KEY, METADATA_ID, Txn

logger = logging.getLogger(__name__)
_PAGE_BYTES = 4 << 20


def found_new_cluster(
    config: MemberConfig, bootstrap: Callable[[Txn], None], world: World | None = None
) -> Identity | None:
    """Make the member of a directory the only one of a new cluster, before it starts.

    Returns the new identity; None when there was nothing to do: the directory is new, or its
    member is alone already.

    Raises:
        MemberRemoved: the member was removed; what it holds is not the cluster's any more.
        DeviceFault: see `roost.journal` and `roost.store`.

    """
    world = world or World()
    exists = world.has_directory(config.data_dir)
    held = load_identity(world.disk, config.data_dir) if exists else None
    if held is None:
        return None
    home = open_home(config, bootstrap, world=world, on_store_failure=_fail)
    try:
        if _is_alone(home, held.member_id):
            return None
        identity = msgspec.structs.replace(
            held,
            cluster_id=1 + world.dice.below(2**64 - 1),
            journal_id=held.journal_id or held.cluster_id,
        )
        replace_identity(world.disk, config.data_dir, identity)
        home.identity = identity
        _apply_rest(home)
        _leave_others(home)
    finally:
        home.close_files()
    text = "member %x is a cluster of its own now, %x, from entry %d; it was of %x"
    logger.warning(
        text, held.member_id, identity.cluster_id, home.store.applied_index, held.cluster_id
    )
    return identity


def _fail(error: BaseException) -> None:
    raise error


def _is_alone(home: Home, own_id: int) -> bool:
    is_applied = home.store.applied_index == home.journal.last_index
    return is_applied and home.configuration.all_nodes() == (own_id,)


def _apply_rest(home: Home) -> None:
    """Apply all of the log, committed or not."""
    journal, store = home.journal, home.store
    while store.applied_index < journal.last_index:
        first = store.applied_index + 1
        for entry in journal.entries(first, journal.last_index + 1, _PAGE_BYTES):
            store.apply(entry.index, write_set_of(entry), entry.term)
            if store.is_backed_up:
                home.keeper.wait()


def _leave_others(home: Home) -> None:
    """Append and apply the entry after which this member is the only one."""
    journal, store, own_id = home.journal, home.store, home.identity.member_id
    roster, txn = Roster(store, store.view), store.begin()
    for record in roster.records():
        if record.id != own_id:
            roster.remove(txn, record.id)
    txn.put(METADATA_ID, GUID_KEY, uuid.UUID(int=home.identity.cluster_id).bytes)
    index, term = journal.last_index + 1, journal.hard_state.term + 1
    configuration, context = Configuration(version=index, voters=(own_id,)), txn.encode()
    payload = encode_change(configuration, context)
    entry = Entry(index, term, EntryKind.CONFIGURATION, payload)
    journal.persist(HardState(term, own_id, index, term), [entry])
    store.apply(index, change_payload(context, configuration), term)
