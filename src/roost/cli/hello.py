"""What a member says of itself when it starts: where it is, what it waits for, what to try next.

Standard output has it for people; systemd has it by `sd_notify` (a unit with Type=notify is
"started" when the member serves: when there is a leader, as with etcd).
"""

import os
import shlex
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from roost.certified import hosts_of
from roost.os_errors import words_of
from roost.places import describe
from roost.settings.urls import Url
from roost.tls import TlsFiles

_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - how to reach them


def say(text: str) -> None:
    """A line for people, at once."""
    click.echo(text)
    sys.stdout.flush()


def say_error(error: Exception | str) -> None:
    """Why a member does not start, or has ended."""
    text = words_of(error) if isinstance(error, OSError) else error
    click.echo(f"roost: {text}", err=True)


def notify(*lines: str) -> None:
    """Tell the supervisor that asked for it (systemd: sd_notify(3)); it may be gone."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto("\n".join(lines).encode(), address)
    except OSError:
        pass  # nobody listens, so nobody waits


def command_to_try(url: Url, tls: TlsFiles | None) -> str:
    """A command that works on this machine when it is pasted."""
    words = ["roost", "put", "greeting", "hello"]
    if isinstance(url.place, Path):
        path = url.place.absolute()
        if not url.is_secure or tls is None:
            return shlex.join([*words, "--endpoints", f"unix://{path}"])
        more, _ = _secure_words(tls, "localhost")
        return shlex.join([*words, "--endpoints", f"unixs://{path}", *more])
    host, port = url.place
    host = _ALL_ADDRESSES.get(host, host)
    if not url.is_secure or tls is None:
        return shlex.join([*words, "--endpoints", describe((host, port))])
    more, host = _secure_words(tls, host)
    return shlex.join([*words, "--endpoints", f"https://{describe((host, port))}", *more])


def page_to_open(urls: Sequence[Url]) -> str:
    """Where a browser on this machine finds the dashboard; empty where no port is served."""
    for url in urls:
        if not isinstance(url.place, Path):
            host, port = url.place
            scheme = "https" if url.is_secure else "http"
            return f"{scheme}://{describe((_ALL_ADDRESSES.get(host, host), port))}/dashboard/"
    return ""


def _secure_words(tls: TlsFiles, host: str) -> tuple[list[str], str]:
    """The options for TLS, and a host that the server's certificate is for."""
    from cryptography import x509  # it is slow to import, and seldom needed

    held = x509.load_pem_x509_certificate(Path(tls.cert_file).read_bytes())
    hosts = hosts_of(held)
    if hosts and host not in hosts:
        host = next((it for it in ("localhost", "127.0.0.1", "::1") if it in hosts), hosts[0])
    words: list[str] = []
    is_of_clients_authority = bool(tls.ca_file) and held.issuer in _subjects(tls.ca_file)
    if held.issuer == held.subject:
        words += ["--cacert", tls.cert_file]
    elif is_of_clients_authority:
        words += ["--cacert", tls.ca_file]
    if tls.checks_clients and not tls.is_self_signed:
        # The member's own pair, where that can be a client's; else whose it is to have one.
        is_clients = is_of_clients_authority and _may_be_a_clients(held)
        pair = (tls.cert_file, tls.key_file) if is_clients else ("CLIENT.pem", "CLIENT.key")
        words += ["--cert", pair[0], "--key", pair[1]]
    return words, host


def _subjects(path: str) -> set[object]:
    from cryptography import x509

    return {it.subject for it in x509.load_pem_x509_certificates(Path(path).read_bytes())}


def _may_be_a_clients(certificate: object) -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    assert isinstance(certificate, x509.Certificate), "it was loaded"
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage
