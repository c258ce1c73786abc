"""Users and roles in a replica of one."""

from google.protobuf.message import Message

from roost import etcd
from roost.errors import ModelRefused
from roost.etcd.access.changes import AuthOperations
from roost.etcd.access.users import Auth
from roost.etcd.errors import status_of
from roost.etcd.model.mvcc import Mvcc
from roost.store import Long
from tests.etcd.replica import LocalReplica


class State:
    """Users and roles in a replica of one, changed by the operations alone."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        etcd.Services(self.replica, self.replica.store)
        self.auth = Auth(self.replica.store)
        # How many changes took more than a turn.
        self.long_count = 0
        self.operations = AuthOperations(self.auth, Mvcc(self.replica.store)).by_name()

    def run(self, name: str, request: Message) -> str:
        """Change something; say why it was refused, nothing when it was done."""
        store = self.replica.store
        txn = store.begin()
        try:
            outcome = self.operations[f"etcd.{name}"](txn, request.SerializeToString())
            if isinstance(outcome, Long):
                assert txn.is_empty, "what is long has written nothing yet"
                self.long_count += 1
                self.replica.run_long(outcome, txn)
                return ""
        except ModelRefused as refusal:
            assert txn.is_empty, "what is refused has written nothing"
            return status_of(refusal).text
        if not txn.is_empty:
            store.apply(store.applied_index + 1, txn.encode())
        return ""

    @property
    def revision(self) -> int:
        return self.auth.revision(self.replica.view)

    def user_names(self) -> list[str]:
        return [name.decode() for name, _ in self.replica.view.iterate(self.auth.users)]

    def role_names(self) -> list[str]:
        return [name.decode() for name, _ in self.replica.view.iterate(self.auth.roles)]

    def token_names(self) -> list[bytes]:
        return [name for _, name in self.replica.view.iterate(self.auth.tokens)]
