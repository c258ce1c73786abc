"""Who a request is for: tokens that clients send, or the name in their certificate.

A *simple* token is 128 random bits.  Its SHA-256 is written into the replicated tree `tokens`,
so that it holds on every member and a copy of the store lends nobody's rights.  It runs out when
nobody has used it for `token_ttl_s`; the leader keeps that time (`deadlines.py`), members tell it
of the tokens they saw.  A token goes with its user's password, and when authentication ends.
"""

import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from roost.database.model import Txn, View
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.access.users import Auth
from roost.etcd.ports import Replica
from roost.etcd.upkeep.deadlines import LeaderDeadlines
from roost.outcome import Done, Outcome
from roost.ticker import Ticker

logger = logging.getLogger(__name__)
TOKENS_MAX = 100_000
LOOK_S = 0.5
DIGEST_BYTES = hashlib.sha256().digest_size
# The leader is told of so many in one operation, which is one step of its loop.
TOUCHED_MAX = 250
ADD, TOUCH, EXPIRE = "etcd.token_add", "etcd.token_touch", "etcd.token_expire"


class Identity(NamedTuple):
    """Who a request is for, as it travels to the leader with the request.

    `token` is the digest of a simple token, which must still be there where the request runs;
    `revision` is that of a JWT, 0 when there is none.
    """

    user: str
    token: bytes = b""
    revision: int = 0


class Tokens(Protocol):
    """A kind of token."""

    def start(self) -> None:
        """Keep their time."""

    def stop(self) -> None:
        """Keep it no more."""

    def identify(self, view: View, token: str) -> Identity:
        """Whose token this is.

        Raises:
            Refused: nobody's, or of an older revision.

        """

    def issue(self, user: str, password: bytes, done: Done) -> None:
        """Make a token; `done` gets it as bytes, or why there is none."""


class _NewToken(msgspec.Struct, frozen=True, array_like=True):
    digest: bytes
    user: str
    # The password as it was checked: it may have changed since.
    password: bytes


def digest_of(token: str) -> bytes:
    """The name of a token in the store."""
    return hashlib.sha256(token.encode()).digest()


class SimpleTokens:
    """Random tokens, kept in the store."""

    def __init__(
        self,
        replica: Replica,
        auth: Auth,
        *,
        ttl_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Time stands still before `start`."""
        self._replica = replica
        self._auth = auth
        self._ttl_s = ttl_s
        self._deadlines = LeaderDeadlines(
            replica, auth.tokens, seconds_of=lambda _user: ttl_s, clock_s=clock_s
        )
        self._clock_s = clock_s
        # Tokens seen here that the leader was told of, and when; and those it must be told of.
        self._told: dict[bytes, float] = {}
        self._untold: dict[bytes, None] = {}
        self._now_s = 0.0
        self._ticker = Ticker(LOOK_S, self.look)
        replica.register(ADD, self._add)
        replica.register(TOUCH, self._touch)
        replica.register(EXPIRE, self._expire)

    def start(self) -> None:
        """Look at the clock from now on."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticker.stop()
        self._deadlines.stop()

    def identify(self, view: View, token: str) -> Identity:
        """Whose token this is (see `Tokens`)."""
        digest = digest_of(token)
        user = view.get(self._auth.tokens, digest)
        if user is None:
            raise errors.invalid_auth_token()
        if self._now_s >= self._told.get(digest, 0.0) + self._ttl_s / 4:
            self._untold[digest] = None
        return Identity(user.decode(), digest)

    def issue(self, user: str, password: bytes, done: Done) -> None:
        """Write a new token down (see `Tokens`)."""
        token = secrets.token_urlsafe(16)
        new = msgspec.msgpack.encode(_NewToken(digest_of(token), user, password))

        def added(outcome: Outcome) -> None:
            done(outcome if isinstance(outcome, RoostError) else token.encode())

        self._replica.transact_nowait(ADD, new, added)

    def look(self) -> None:
        """Tell the leader what was used, and end what was not."""
        self._now_s = now_s = self._clock_s()
        if self._untold:
            used, self._untold = list(self._untold), {}
            self._told.update((digest, now_s) for digest in used)
            for begin in range(0, len(used), TOUCHED_MAX):
                touched = b"".join(used[begin : begin + TOUCHED_MAX])
                self._replica.transact_nowait(TOUCH, touched, _ignore)
        if len(self._told) > TOKENS_MAX:
            self._told.clear()
        self._deadlines.follow_leadership()
        if self._deadlines.is_leading:
            for digest in self._deadlines.take_due(100):
                self._replica.transact_nowait(EXPIRE, digest, _ignore)

    def _add(self, txn: Txn, body: bytes) -> bytes:
        new = msgspec.msgpack.decode(body, type=_NewToken)
        user = self._auth.user(txn, new.user)
        if not self._auth.is_enabled(txn):
            raise errors.auth_not_enabled()
        if user is None or user.password != new.password:
            raise errors.auth_failed()
        if self._deadlines.is_leading and len(self._deadlines) >= TOKENS_MAX:
            raise errors.too_many_tokens()
        txn.put(self._auth.tokens, new.digest, new.user.encode())
        return b""

    def _touch(self, txn: Txn, body: bytes) -> bytes:
        txn.cost += len(body) // DIGEST_BYTES
        for start in range(0, len(body), DIGEST_BYTES):
            digest = body[start : start + DIGEST_BYTES]
            if self._deadlines.is_leading and txn.get(self._auth.tokens, digest) is not None:
                self._deadlines.extend(digest, self._ttl_s)
        return b""

    def _expire(self, txn: Txn, digest: bytes) -> bytes:
        is_there = txn.get(self._auth.tokens, digest) is not None
        if is_there and self._deadlines.is_leading and self._deadlines.is_due(digest):
            txn.delete(self._auth.tokens, digest)
        return b""


def _ignore(outcome: Outcome) -> None:
    """It is tried again when the token is used, or looked at, again."""
    if isinstance(outcome, RoostError):
        logger.info("the leader could not be told of tokens: %s", outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtOptions:
    """What `--auth-token jwt,...` says; keys are PEM, or the secret of an HS algorithm."""

    method: str
    verify_key: bytes
    sign_key: bytes | None
    ttl_s: float
