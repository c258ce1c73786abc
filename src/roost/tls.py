"""TLS from files: contexts that follow the files, and sockets for the links between members.

A listener looks at its files at every handshake and uses what is there now, so certificates are
renewed without a restart (etcd: pkg/transport).  When new files cannot be read the old ones go on,
and the log says so.

A list of revoked certificates is looked at after the handshake, as etcd does it: whoever shows a
certificate with one of its serial numbers is refused.  A list that has expired goes on counting,
and the log says that it is old: OpenSSL would lock everybody out at that second.
"""

import datetime as dt
import logging
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from roost.errors import CallerFault

logger = logging.getLogger(__name__)
# A client that speaks both gets HTTP/1.1, so that the JSON gateway is there for it; gRPC clients
# speak HTTP/2 only.
ALPN = ["http/1.1", "h2"]
# As `ssl` gives it, with tuples of tuples.
Certificate = Mapping[str, object]


class BadCertificate(CallerFault):
    """A certificate, key or list cannot be used; the text names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where everything is; empty paths are not there.

    With `ca_file` or `needs_certificate` whoever connects must have a certificate too.  With
    `is_self_signed` nobody's certificate is checked: the connection is only unreadable to others.
    """

    cert_file: str
    key_file: str
    ca_file: str = ""
    crl_file: str = ""
    needs_certificate: bool = False
    allowed_name: str = ""
    allowed_host: str = ""
    ciphers: str = ""
    # TLS1.2 or TLS1.3; an empty newest one is the newest there is.
    oldest: str = "TLS1.2"
    newest: str = ""
    is_self_signed: bool = False

    @property
    def checks_clients(self) -> bool:
        """Whether whoever connects must have a certificate."""
        return bool(self.ca_file) or self.needs_certificate

    def stamp(self) -> tuple[tuple[int, ...], ...]:
        """Changes when a file does.

        Raises:
            BadCertificate: one is not there.

        """
        paths = (self.cert_file, self.key_file, self.ca_file)
        return tuple(_stamp(path) for path in paths if path)


def _stamp(path: str) -> tuple[int, ...]:
    """What changes when a file does; a file may be replaced by an older one."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise BadCertificate(f"{path}: {error.strerror}") from error
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def server_context(files: TlsFiles, *, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """A context for a listener, which follows its files.

    Raises:
        BadCertificate: a file cannot be used.

    """
    made = _server_context(files, alpn)
    newest = [made, files.stamp()]

    def follow(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        try:
            stamp = files.stamp()
            if stamp != newest[1]:
                newest[:] = [_server_context(files, alpn), stamp]
                logger.info("certificates were read again: %s", files.cert_file)
        except (OSError, BadCertificate) as error:
            logger.warning("new certificates cannot be used: %s", error)
        if newest[0] is not made:
            connection.context = newest[0]  # type: ignore[assignment]  # the first is a context

    made.sni_callback = follow
    return made


def _server_context(files: TlsFiles, alpn: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _ServedConnection
    _load(context, files)
    if files.checks_clients and not files.is_self_signed:
        context.verify_mode = ssl.CERT_REQUIRED
        if not files.ca_file:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # as etcd: the system's
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """A context for those who connect to other members, by files as they are now.

    Raises:
        BadCertificate: a file cannot be used.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if files.is_self_signed:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif not files.ca_file:
        context.load_default_certs()
    _load(context, files)
    return context


class _ServedConnection(ssl.SSLObject):
    """Says why a handshake failed: asyncio tells nobody (etcd: "rejected connection")."""

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            logger.warning("a TLS handshake failed: %s", reason_of(error))
            raise


_SOURCE = re.compile(r"^\[ssl\] | *\( *ssl\.c:\d+\)")


def reason_of(error: Exception) -> str:
    """OpenSSL's words without its numbers, and where in its source that is."""
    verdict = getattr(error, "verify_message", "")
    said = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    words = _SOURCE.sub("", str(said).replace("_", " ").lower())
    return f"{words} ({verdict})" if verdict else words


_VERSIONS = {"TLS1.2": ssl.TLSVersion.TLSv1_2, "TLS1.3": ssl.TLSVersion.TLSv1_3}


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    context.minimum_version = _VERSIONS[files.oldest]
    if files.newest:
        context.maximum_version = _VERSIONS[files.newest]
    context.options |= ssl.OP_NO_COMPRESSION
    if files.cert_file:
        _load_pair(context, files.cert_file, files.key_file)
    elif files.key_file:
        raise BadCertificate(f"{files.key_file}: a key without a certificate")
    if files.ca_file and not files.is_self_signed:
        try:
            context.load_verify_locations(files.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise BadCertificate(f"{files.ca_file}: {reason_of(error)}") from error
    if files.crl_file:
        _revocations(files.crl_file).read()
    if files.ciphers:
        try:
            context.set_ciphers(files.ciphers)
        except ssl.SSLError as error:
            raise BadCertificate(f"no cipher of {files.ciphers} is known to OpenSSL") from error


def _load_pair(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Load a certificate and its key, and say which of them is not good."""

    def no_password() -> str:
        raise BadCertificate(f"{key_file or cert_file}: the key is encrypted; keep it without")

    for path in filter(None, (cert_file, key_file)):
        _stamp(path)
    try:
        context.load_cert_chain(cert_file, key_file or None, no_password)
    except (OSError, ssl.SSLError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            text = f"{key_file or cert_file} is not the key of {cert_file}"
        elif key_file:
            text = f"{cert_file}, {key_file}: {reason_of(error)}"
        else:
            text = f"{cert_file}: {reason_of(error)}; where is its key?"
        raise BadCertificate(text) from error


class _Revocations:
    """The serial numbers in a list of revoked certificates, PEM or DER, as the file is now."""

    def __init__(self, path: str) -> None:
        """Nothing is read before it is asked for."""
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._serials: frozenset[int] = frozenset()
        self._good_until: dt.datetime | None = None

    def read(self) -> None:
        """Read the file, if it is another than last time.

        Raises:
            BadCertificate: it is no list; what was good goes on.

        """
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        from cryptography import x509  # it is slow to import, and seldom needed

        data = Path(self._path).read_bytes()
        load = x509.load_pem_x509_crl if b"-----BEGIN" in data else x509.load_der_x509_crl
        try:
            held = load(data)
        except ValueError as error:
            raise BadCertificate(f"{self._path} is no list of revoked certificates") from error
        self._stamp = stamp
        self._serials = frozenset(row.serial_number for row in held)
        self._good_until = held.next_update_utc
        logger.info("%d revoked certificates were read: %s", len(self._serials), self._path)

    def hold(self, serial: int) -> bool:
        """Whether a certificate is revoked."""
        try:
            self.read()
        except (OSError, BadCertificate) as error:
            logger.warning("a new list of revoked certificates cannot be used: %s", error)
        self.warn_if_old()
        return serial in self._serials

    def warn_if_old(self) -> None:
        """Say once of a list that somebody should have renewed it."""
        if self._good_until is not None and self._good_until < dt.datetime.now(dt.UTC):
            text = "the list of revoked certificates %s has expired at %s; it goes on counting"
            logger.warning(text, self._path, self._good_until.isoformat())
            self._good_until = None

    @property
    def good_until(self) -> dt.datetime | None:
        """When whoever makes the list should have made another; None when it does not say so."""
        self.read()
        return self._good_until


@cache
def _revocations(path: str) -> _Revocations:
    return _Revocations(path)


def list_good_until(path: str) -> dt.datetime | None:
    """When a list of revoked certificates has expired; None when it does not say so.

    Raises:
        BadCertificate: it is no list.

    """
    return _Revocations(path).good_until


def warn_of_age(files: TlsFiles) -> None:
    """Say in the log what of these files has expired; for when there is a log."""
    if files.crl_file:
        _revocations(files.crl_file).warn_if_old()


def check_peer(files: TlsFiles, certificate: Certificate | None) -> str:
    """Why whoever shows this certificate may not talk to us; empty when it may."""
    if files.crl_file and certificate and "serialNumber" in certificate:
        serial = int(str(certificate["serialNumber"]), 16)
        if _revocations(files.crl_file).hold(serial):
            return f"certificate serial {serial:x} revoked"
    if not files.allowed_name and not files.allowed_host:
        return ""
    if certificate is None:
        return "no certificate"
    if files.allowed_name and common_name(certificate) != files.allowed_name:
        return f"certificate of {common_name(certificate)!r}, not of {files.allowed_name!r}"
    if files.allowed_host:
        names = certificate.get("subjectAltName", ())
        assert isinstance(names, tuple), "ssl says so"
        if files.allowed_host not in {value for _, value in names}:
            return f"certificate not for {files.allowed_host!r}"
    return ""


def common_name(certificate: Certificate | None) -> str:
    """The common name in a certificate's subject; empty when there is none."""
    subject = (certificate or {}).get("subject", ())
    assert isinstance(subject, tuple), "ssl says so"
    for attributes in subject:
        for name, value in attributes:
            if name == "commonName":
                return str(value)
    return ""
