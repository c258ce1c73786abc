"""Who a request is for: tokens that clients send, or the name in their certificate.

A *simple* token is 128 random bits.  Its SHA-256 is written into the replicated tree `tokens`,
so that it holds on every member and a copy of the store lends nobody's rights.  It runs out when
nobody has used it for `token_ttl_s`; the leader keeps that time (`deadlines.py`), members tell it
of the tokens they saw.  A token goes with its user's password, and when authentication ends.

A *JWT* is signed, by one algorithm only, and is checked by whoever knows the key.  It carries
`username`, `revision` and `exp`, and is refused when users or roles have changed since.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jwt
import msgspec

from roost.errors import CallerFault, RoostError
from roost.etcd import errors
from roost.etcd.auth import Auth
from roost.etcd.deadlines import Deadlines
from roost.etcd.ports import Replica
from roost.store import DELETE_FROM, Changes, Txn, View

logger = logging.getLogger(__name__)
TOKEN_TTL_S = 300.0
TOKENS_MAX = 100_000
LOOK_S = 0.5
_ALGORITHMS = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_LEEWAY_S = 60
ADD, TOUCH, EXPIRE = "etcd.token_add", "etcd.token_touch", "etcd.token_expire"


class BadTokenOptions(CallerFault):
    """`--auth-token` cannot be used; the text says why."""


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

    def identify(self, view: View, token: str) -> Identity:
        """Whose token this is.

        Raises:
            Refused: nobody's, or of an older revision.

        """

    def issue(self, user: str, password: bytes, done: Callable[..., None]) -> None:
        """Make a token; `done(token, error)`."""


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
        ttl_s: float = TOKEN_TTL_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Time stands still before `start`."""
        self._replica = replica
        self._auth = auth
        self._ttl_s = ttl_s
        self._deadlines = Deadlines(clock_s)
        self._clock_s = clock_s
        self._term = 0
        # Tokens seen here that the leader was told of, and when; and those it must be told of.
        self._told: dict[bytes, float] = {}
        self._untold: dict[bytes, None] = {}
        self._now_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        replica.register(ADD, self._add)
        replica.register(TOUCH, self._touch)
        replica.register(EXPIRE, self._expire)
        replica.observe(self._on_applied)

    def start(self) -> None:
        """Look at the clock from now on."""
        loop = asyncio.get_running_loop()

        def on_timer() -> None:
            self._timer = loop.call_later(LOOK_S, on_timer)
            self.look()

        on_timer()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def identify(self, view: View, token: str) -> Identity:
        """Whose token this is (see `Tokens`)."""
        digest = digest_of(token)
        user = view.get(self._auth.tokens, digest)
        if user is None:
            raise errors.invalid_auth_token()
        if self._now_s >= self._told.get(digest, 0.0) + self._ttl_s / 4:
            self._untold[digest] = None
        return Identity(user.decode(), digest)

    def issue(self, user: str, password: bytes, done: Callable[..., None]) -> None:
        """Write a new token down (see `Tokens`)."""
        token = secrets.token_urlsafe(16)
        new = msgspec.msgpack.encode(_NewToken(digest_of(token), user, password))
        self._replica.transact_nowait(ADD, new, lambda _, error: done(token, error))

    # --- time -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Tell the leader what was used, and end what was not."""
        self._now_s = clock_s = self._clock_s()
        if self._untold:
            used, self._untold = list(self._untold), {}
            self._told.update((digest, clock_s) for digest in used)
            self._replica.transact_nowait(TOUCH, b"".join(used), _ignore)
        if len(self._told) > TOKENS_MAX:
            self._told.clear()
        if self._leads():
            for digest in self._deadlines.take_due(100):
                self._replica.transact_nowait(EXPIRE, digest, _ignore)

    def _leads(self) -> bool:
        replica = self._replica
        if replica.leader_id != replica.member_id:
            self._term = 0
            self._deadlines.clear()
        elif self._term != replica.term:
            self._term = replica.term
            self._deadlines.clear()
            for digest, _ in replica.view.iterate(self._auth.tokens):
                self._deadlines.extend(digest, self._ttl_s)
        return self._term != 0

    def _on_applied(self, _index: int, changes: Changes) -> None:
        if not self._term:
            return
        for kind, tree_id, digest, user in changes.writes:
            if tree_id == self._auth.tokens:
                if kind == DELETE_FROM:
                    self._deadlines.clear()
                elif user is None:
                    self._deadlines.forget(digest)
                else:
                    self._deadlines.extend(digest, self._ttl_s)

    # --- operations -----------------------------------------------------------------------------

    def _add(self, txn: Txn, body: bytes) -> bytes:
        new = msgspec.msgpack.decode(body, type=_NewToken)
        user = self._auth.user(txn, new.user)
        if not self._auth.is_enabled(txn):
            raise errors.auth_not_enabled()
        if user is None or user.password != new.password:
            raise errors.auth_failed()
        if self._leads() and len(self._deadlines) >= TOKENS_MAX:
            raise errors.too_many_tokens()
        txn.put(self._auth.tokens, new.digest, new.user.encode())
        return b""

    def _touch(self, txn: Txn, body: bytes) -> bytes:
        for start in range(0, len(body), 32):
            digest = body[start : start + 32]
            if self._leads() and txn.get(self._auth.tokens, digest) is not None:
                self._deadlines.extend(digest, self._ttl_s)
        return b""

    def _expire(self, txn: Txn, digest: bytes) -> bytes:
        is_there = txn.get(self._auth.tokens, digest) is not None
        if is_there and self._leads() and self._deadlines.is_due(digest):
            txn.delete(self._auth.tokens, digest)
        return b""


def _ignore(_result: bytes | None, error: RoostError | None) -> None:
    """It is tried again when the token is used, or looked at, again."""
    if error is not None:
        logger.info("the leader could not be told of tokens: %s", error)


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtOptions:
    """What `--auth-token jwt,...` says; keys are PEM, or the secret of an HS algorithm."""

    method: str
    verify_key: bytes
    sign_key: bytes | None
    ttl_s: float


def jwt_options(options: Mapping[str, str], parse_ttl: Callable[[str], float]) -> JwtOptions:
    """Read `sign-method`, `pub-key`, `priv-key` and `ttl` (etcd: auth.jwtOptions).

    Raises:
        BadTokenOptions: they do not fit each other.

    """
    method = options.get("sign-method", "")
    if method not in _ALGORITHMS:
        raise BadTokenOptions(f"sign-method {method!r}: one of {', '.join(_ALGORITHMS)}")
    try:
        public = Path(options["pub-key"]).read_bytes() if options.get("pub-key") else None
        private = Path(options["priv-key"]).read_bytes() if options.get("priv-key") else None
    except OSError as error:
        raise BadTokenOptions(f"a key cannot be read: {error}") from error
    if method.startswith("HS"):
        if private is None:
            raise BadTokenOptions(f"{method} needs priv-key, the secret")
        public = private
    if public is None:
        raise BadTokenOptions(f"{method} needs pub-key")
    ttl_s = parse_ttl(options.get("ttl", "5m"))
    if ttl_s <= 0:
        raise BadTokenOptions("ttl must be positive")
    made = JwtOptions(method=method, verify_key=public, sign_key=private, ttl_s=ttl_s)
    try:
        if private is not None:
            jwt.encode({}, private.decode(), algorithm=method)
    except Exception as error:
        raise BadTokenOptions(f"priv-key does not fit {method}: {error}") from error
    return made


class JwtTokens:
    """Signed tokens; nothing of them is kept."""

    def __init__(self, replica: Replica, auth: Auth, options: JwtOptions) -> None:
        """Sign and check as `options` say."""
        self._replica = replica
        self._auth = auth
        self._options = options
        self._verify_key = options.verify_key.decode()

    def start(self) -> None:
        """There is nothing to look after."""

    def stop(self) -> None:
        """There is nothing to look after."""

    def identify(self, view: View, token: str) -> Identity:
        """Whose token this is (see `Tokens`)."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._verify_key,
                algorithms=[self._options.method],
                leeway=_LEEWAY_S,
                options={"require": ["exp", "username", "revision"]},
            )
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise errors.invalid_auth_token() from None
        user, revision = claims["username"], claims["revision"]
        if not isinstance(user, str) or not user or type(revision) not in (int, float):
            raise errors.invalid_auth_token()
        if int(revision) < self._auth.revision(view):
            raise errors.auth_old_revision()
        return Identity(user, b"", int(revision))

    def issue(self, user: str, password: bytes, done: Callable[..., None]) -> None:
        """Sign a token (see `Tokens`)."""
        del password
        if self._options.sign_key is None:
            done(None, errors.cannot_sign())
            return
        claims = {
            "username": user,
            "revision": self._auth.revision(self._replica.view),
            "exp": int(time.time() + self._options.ttl_s),
        }
        key = self._options.sign_key.decode()
        done(jwt.encode(claims, key, algorithm=self._options.method), None)
