"""A secret that the members of a cluster share, so that strangers cannot greet as one of them.

`--peer-secret-file` holds one secret a line.  The first is what we prove ourselves with; any is
believed, so that a secret is changed without a stop: added as a second line everywhere, made the
first everywhere, and the old one removed.

What is proven is that the other side knows a secret, by HMAC-SHA256 over all that was said in the
greeting; both ends add a number that was never used before, so what was heard once is of no use.
It does not hide or protect what is said afterwards: that is what TLS is for.
"""

import hmac
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from roost.errors import CallerFault

SECRET_BYTES_MIN = 16
_SECRETS_MAX = 8
_FILE_BYTES_MAX = 64 << 10


class BadSecret(CallerFault):
    """A secret file cannot be used; the text says why."""


class Secrets:
    """What the members of a cluster share; false when that is nothing."""

    def __init__(self, held: Sequence[bytes] = ()) -> None:
        """The first is ours."""
        self._held = tuple(held)

    def __bool__(self) -> bool:
        """Whether anything must be proven."""
        return bool(self._held)

    def __repr__(self) -> str:
        """Never what they are."""
        return f"Secrets({len(self._held)})"

    def sign(self, role: str, *said: bytes) -> bytes:
        """Prove that we know the secret; b"" without one."""
        return _mac(self._held[0], role, said) if self._held else b""

    def find(self, mac: bytes, role: str, *said: bytes) -> "Secrets | None":
        """The secret that somebody proved to know; None when it is none of ours."""
        for secret in self._held:
            if hmac.compare_digest(mac, _mac(secret, role, said)):
                return Secrets((secret,))
        return None


def _mac(secret: bytes, role: str, said: Sequence[bytes]) -> bytes:
    made = hmac.new(secret, f"roost greeting, {role}".encode(), "sha256")
    for part in said:
        made.update(len(part).to_bytes(4, "big") + part)
    return made.digest()


def read_secrets(path: Path) -> Secrets:
    """Read a secret file.

    Raises:
        BadSecret: it cannot be read, others may read it, or it holds no secret of sixteen bytes.

    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & (stat.S_IRWXO | stat.S_IWGRP):
                text = f"{path} has mode {mode:04o}; others must not read it: chmod 600 {path}"
                raise BadSecret(text)
            lines = [line.strip() for line in file.read(_FILE_BYTES_MAX).splitlines()]
    except OSError as error:
        raise BadSecret(f"{path}: {error.strerror}") from error
    held = [line for line in lines if line]
    if not held or len(held) > _SECRETS_MAX:
        raise BadSecret(f"{path}: one secret a line, {_SECRETS_MAX} at most; there are {len(held)}")
    if any(len(line) < SECRET_BYTES_MIN for line in held):
        text = f"{path}: a secret has at least {SECRET_BYTES_MIN} characters"
        raise BadSecret(f"{text}: head -c 32 /dev/urandom | base64 > {path}")
    return Secrets(held)
