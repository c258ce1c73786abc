"""JSON web tokens (etcd: --auth-token jwt,...): checked by whoever has the key, kept nowhere.

Keys are PEM: private ones in PKCS#1, PKCS#8 or SEC 1, public ones in PKIX or PKCS#1, or within a
certificate; the secret of an HS algorithm is any file.

A token is signed by one algorithm, the one that is configured, and carries `username`, `revision`
and `exp`.  It is refused when users or roles have changed since.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate

from roost.database.model import View
from roost.errors import CallerFault
from roost.etcd import errors
from roost.etcd.access.tokens import Identity, JwtOptions
from roost.etcd.access.users import Auth
from roost.etcd.ports import Replica
from roost.os_errors import words_of
from roost.outcome import Done

_ALGORITHMS = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_LEEWAY_S = 60
_KNOWN_MAX = 10_000
# Of claims: what a revision is counted up to, and the last second of a date.
_REVISION_MAX, _END_S_MAX = (1 << 53) - 1, 1 << 40
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


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
        raise BadTokenOptions(f"a key cannot be read: {words_of(error)}") from error
    if method.startswith("HS") and private is None:
        raise BadTokenOptions(f"{method} needs priv-key, the secret")
    if public is None and private is None:
        raise BadTokenOptions(f"{method} needs pub-key")
    ttl_s = parse_ttl(options.get("ttl", "5m"))
    if ttl_s <= 0:
        raise BadTokenOptions("ttl must be positive")
    verify_key = _verify_key(method, public, private)
    made = JwtOptions(method=method, verify_key=verify_key, sign_key=private, ttl_s=ttl_s)
    _try(made)
    return made


def _verify_key(method: str, public: bytes | None, private: bytes | None) -> bytes:
    """The key that tokens are checked with: a secret, or a PEM of the PKIX form.

    As with etcd, `pub-key` may be a certificate, and may be left out where `priv-key` is given.
    """
    if method.startswith("HS"):
        assert private is not None, "it was asked for"
        return private
    try:
        if public is None:
            assert private is not None, "one of them is there"
            key = serialization.load_pem_private_key(private, None).public_key()
        elif _CERTIFICATE in public:
            key = load_pem_x509_certificate(public).public_key()
        else:
            return public
        return key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except Exception as error:
        name = "priv-key" if public is None else "pub-key"
        raise BadTokenOptions(f"{name} cannot be used: {error}") from error


def _try(options: JwtOptions) -> None:
    """Sign and verify once, so that a key that cannot do it is found before anybody needs it.

    Raises:
        BadTokenOptions: it cannot.

    """
    method, token = options.method, ""
    try:
        if options.sign_key is not None:
            token = jwt.encode({}, options.sign_key, algorithm=method)
    except Exception as error:
        raise BadTokenOptions(f"priv-key does not fit {method}: {error}") from error
    try:
        algorithm = jwt.get_algorithm_by_name(method)
        algorithm.verify(b"", algorithm.prepare_key(options.verify_key), b"")
        if token:
            jwt.decode(token, options.verify_key, algorithms=[method])
    except jwt.InvalidSignatureError as error:
        raise BadTokenOptions("pub-key and priv-key do not belong together") from error
    except Exception as error:
        raise BadTokenOptions(f"pub-key does not fit {method}: {error}") from error


class _Claims(NamedTuple):
    """What a token says; it holds until `end_s`, in seconds since 1970."""

    user: str
    revision: int
    end_s: float


class JwtTokens:
    """Signed tokens; nothing of them is kept."""

    def __init__(self, replica: Replica, auth: Auth, options: JwtOptions) -> None:
        """Sign and check as `options` say."""
        self._replica = replica
        self._auth = auth
        self._options = options
        # Tokens whose signature was good, until they run out: checking one takes longer than a put.
        self._known: dict[str, _Claims] = {}

    def start(self) -> None:
        """There is nothing to look after."""

    def stop(self) -> None:
        """There is nothing to look after."""

    def identify(self, view: View, token: str) -> Identity:
        """Whose token this is (see `Tokens`)."""
        known = self._known.get(token)
        if known is None or known.end_s < time.time():
            known = self._verified(token)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[token] = known
        if known.revision < self._auth.revision(view):
            raise errors.auth_old_revision()
        return Identity(known.user, b"", known.revision)

    def _verified(self, token: str) -> _Claims:
        """What a token says that is ours.

        Raises:
            Refused: it is not, or it has run out.

        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._options.verify_key,
                algorithms=[self._options.method],
                leeway=_LEEWAY_S,
                options={"require": ["exp", "username", "revision"]},
            )
            return _read_claims(claims)
        except Exception:  # noqa: BLE001 - a stranger's bytes may break the library in any way
            raise errors.invalid_auth_token() from None

    def issue(self, user: str, password: bytes, done: Done) -> None:
        """Sign a token (see `Tokens`)."""
        del password
        if self._options.sign_key is None:
            done(errors.cannot_sign())
            return
        claims = {
            "username": user,
            "revision": self._auth.revision(self._replica.view),
            "exp": int(time.time() + self._options.ttl_s),
        }
        token = jwt.encode(claims, self._options.sign_key, algorithm=self._options.method)
        done(token.encode())


def _read_claims(claims: Mapping[str, object]) -> _Claims:
    """Check what a token says; JSON may hold any type, and numbers that are none.

    Raises:
        ValueError: a claim is not of its type, or out of range.

    """
    user, revision, end_s = claims["username"], claims["revision"], claims["exp"]
    if not isinstance(user, str) or not user:
        raise ValueError("username is no name")
    user.encode()  # a lone surrogate is in no name
    return _Claims(user, int(_number(revision, _REVISION_MAX)), _number(end_s, _END_S_MAX))


def _number(value: object, limit: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit:
        raise ValueError(f"{value!r} is no number from 0 to {limit}")
    return value
