"""A store of Roost's, made of one of etcd's: what the first members of a new cluster begin with."""

import uuid
from collections.abc import Callable
from pathlib import Path

from roost.moving.source import EtcdStore
from roost.moving.taking import Taken, Taking
from roost.store import InlineKeeper, Store, StoreConfig, Txn


class EtcdOrigin:
    """Makes the same store of the same data of etcd's; see `roost.member.begin_with`."""

    def __init__(self, source: EtcdStore, bootstrap: Callable[[Txn], None]) -> None:
        """`bootstrap` makes the trees of a new store, as members do."""
        self._source = source
        self._bootstrap = bootstrap
        self.taken: Taken | None = None

    @property
    def name(self) -> str:
        """The digest of the file."""
        return f"etcd:{self._source.digest}"

    def make_store(self, directory: Path) -> Store:
        """Make it in an empty directory.

        Raises:
            EtcdFileDamaged: the file is not as etcd leaves it.
            EtcdFileRefused: the log of a directory asks for what cannot be done here.

        """
        store = Store.open(config=StoreConfig(), keeper=InlineKeeper(directory))
        try:
            # Whose database it is, is written by the entry that makes it a cluster.
            store.bootstrap(self._bootstrap, guid=uuid.UUID(int=0))
            self.taken = Taking(store, self._bootstrap, directory).take(self._source)
        except BaseException:
            store.close()
            raise
        return store
