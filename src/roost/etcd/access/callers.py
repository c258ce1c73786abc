"""Who calls: the user that a request is for, by its token or by the name in its certificate."""

from collections.abc import Callable

from roost.call import Caller
from roost.database.model import View
from roost.errors import Refused, RoostError
from roost.etcd import errors
from roost.etcd.access.judge import Judge
from roost.etcd.access.tokens import Identity, Tokens
from roost.etcd.access.users import Auth
from roost.etcd.ports import Replica


class Callers:
    """Finds out who calls, and what they may do."""

    def __init__(self, replica: Replica, auth: Auth, tokens: Tokens) -> None:
        """Look at what is applied at `replica`."""
        self._replica = replica
        self._auth = auth
        self._tokens = tokens

    def identify(
        self,
        caller: Caller,
        then: Callable[[Identity | None], None],
        refused: Callable[[RoostError], None],
    ) -> None:
        """Find out who calls; None when nobody has to say so.

        A token may be newer than what is applied here, so it is looked up again after a barrier.
        """

        def again(error: RoostError | None) -> None:
            if error is not None:
                refused(error)
                return
            try:
                identity = self.identity_of(caller)
            except Refused as refusal:
                refused(refusal)
            else:
                then(identity)

        try:
            identity = self.identity_of(caller)
        except Refused:
            self._replica.read_nowait(again, caller.flow)
        else:
            then(identity)

    def identity_of(self, caller: Caller) -> Identity | None:
        """Who calls, by what is applied here.

        Raises:
            Refused: the token is nobody's, or too old.

        """
        view = self._replica.view
        if not self._auth.is_enabled(view):
            return None
        if caller.token:
            return self._tokens.identify(view, caller.token)
        return Identity(caller.certificate_name)

    def judge(self, view: View, identity: Identity) -> Judge:
        """What somebody may do, by a state.

        Raises:
            Refused: the token has gone or grown old, or it is nobody.

        """
        user, token, revision = identity
        if token and view.get(self._auth.tokens, token) != user.encode():
            raise errors.invalid_auth_token()
        if revision and revision < self._auth.revision(view):
            raise errors.auth_old_revision()
        return Judge(self._auth, view, user)
