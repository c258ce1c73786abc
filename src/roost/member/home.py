"""The data directory of one member: opened and checked, or made new.

    <data-dir>/            0700; the journal's files lie here, see `roost.journal`
               db/         the store, see `roost.store`

A directory without an identity is new: the member's id comes from the initial cluster.  A
directory with one keeps it, and the initial cluster is not read again, as with etcd.  The store
is bootstrapped before the identity is written, so a crash in between starts over.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from roost.journal import Identity, Journal, OsDisk, load_identity
from roost.member.config import MemberConfig
from roost.member.errors import NotAMember, StoreBehindJournal
from roost.member.roster import (
    MemberRecord,
    bootstrap_roster,
    cluster_id_of,
    initial_records,
    read_configuration,
)
from roost.raft import Configuration
from roost.store import ProcessKeeper, Store, StoreConfig, Txn


@dataclass(slots=True)
class Home:
    """The open files of one member."""

    identity: Identity
    journal: Journal
    store: Store
    keeper: ProcessKeeper
    configuration: Configuration

    def watch_keeper(self, loop: asyncio.AbstractEventLoop, on_news: Callable[[], None]) -> None:
        """Have the loop call `on_news` after each answer of the keeper."""

        def on_readable() -> None:
            self.keeper.on_readable()
            on_news()

        loop.add_reader(self.keeper.fileno(), on_readable)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Flush and close everything; the directory is clean afterwards."""
        loop.remove_reader(self.keeper.fileno())
        self.store.close()
        self.journal.close()


def open_home(
    config: MemberConfig,
    bootstrap: Callable[[Txn], None],
    *,
    on_store_failure: Callable[[BaseException], None],
) -> Home:
    """Open the member's directory, or make it.

    Raises:
        NotAMember: the directory is new, and name and URLs are not in the initial cluster.
        StoreBehindJournal: entries between the store and the journal are gone.
        DeviceFault: see `roost.journal` and `roost.store`.

    """
    records = initial_records(config.initial_cluster, config.initial_cluster_token)
    identity = load_identity(OsDisk(), config.data_dir) if config.data_dir.exists() else None
    if identity is None:
        identity = _new_identity(config, records)
    journal = Journal.open(config.data_dir, identity=identity)
    try:
        directory = config.data_dir / "db"
        OsDisk().make_directory(directory)
        keeper = ProcessKeeper(directory)
        store = Store.open(
            config=StoreConfig(layer_bytes_max=config.store_layer_bytes_max),
            keeper=keeper,
        )
    except BaseException:
        journal.close()
        raise
    store.on_failure = on_store_failure
    if store.is_new:
        if journal.last_index:
            raise StoreBehindJournal(f"{directory} is empty, the journal is not")

        def write(txn: Txn) -> None:
            bootstrap_roster(txn, records)
            bootstrap(txn)

        store.bootstrap(write, guid=uuid.UUID(int=identity.cluster_id))
    if store.applied_index < journal.first_index - 1:
        text = f"the store has entry {store.applied_index}, the journal begins at"
        raise StoreBehindJournal(f"{text} {journal.first_index}")
    return Home(identity, journal, store, keeper, read_configuration(store.view))


def _new_identity(config: MemberConfig, records: Sequence[MemberRecord]) -> Identity:
    """Find ourselves in the initial cluster, as etcd does: by name and peer URLs."""
    own = next((record for record in records if record.name == config.name), None)
    if own is None:
        text = f'couldn\'t find local name "{config.name}" in the initial cluster configuration'
        raise NotAMember(text)
    if sorted(own.peer_urls) != sorted(config.advertise_peer_urls):
        declared = ",".join(own.peer_urls)
        raise NotAMember(
            f"--initial-cluster has {config.name}={declared} but missing from "
            f"--initial-advertise-peer-urls={','.join(config.advertise_peer_urls)}"
        )
    return Identity(
        cluster_id=cluster_id_of(record.id for record in records),
        member_id=own.id,
        incarnation=time.time_ns(),
        created=time.time(),
    )
