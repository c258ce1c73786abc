"""JSON web tokens (etcd: --auth-token jwt,...): checked by whoever has the key, kept nowhere.

A token is signed by one algorithm, the one that is configured, and carries `username`, `revision`
and `exp`.  It is refused when users or roles have changed since.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt

from roost.errors import CallerFault
from roost.etcd import errors
from roost.etcd.auth import Auth
from roost.etcd.identity import Identity, JwtOptions
from roost.etcd.ports import Replica
from roost.store import View

_ALGORITHMS = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_LEEWAY_S = 60
_KNOWN_MAX = 10_000


class BadTokenOptions(CallerFault):
    """`--auth-token` cannot be used; the text says why."""


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
        # Tokens whose signature was good, until they run out: checking one takes longer than a put.
        self._known: dict[str, tuple[str, int, float]] = {}

    def start(self) -> None:
        """There is nothing to look after."""

    def stop(self) -> None:
        """There is nothing to look after."""

    def identify(self, view: View, token: str) -> Identity:
        """Whose token this is (see `Tokens`)."""
        known = self._known.get(token)
        if known is None or known[2] < time.time():
            known = self._verified(token)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[token] = known
        user, revision, _ = known
        if revision < self._auth.revision(view):
            raise errors.auth_old_revision()
        return Identity(user, b"", revision)

    def _verified(self, token: str) -> tuple[str, int, float]:
        """User, revision and end of a token that is ours.

        Raises:
            Refused: it is not, or it has run out.

        """
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
        return user, int(revision), float(claims["exp"])

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
