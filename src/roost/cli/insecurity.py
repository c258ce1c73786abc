"""What anybody on the network could read or do: said at every start."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from roost.peer import Secrets
from roost.settings.urls import Url
from roost.tls import TlsFiles

_END, _BEGIN = "-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"


CLIENTS, MEMBERS = "clients", "members"


@dataclass(frozen=True, slots=True)
class Insecurity:
    """What somebody could do, to whom it happens, and what ends that."""

    of: str
    fact: str
    end: str

    def __str__(self) -> str:
        """Both in a line."""
        return f"{self.fact}: {self.end}"


def insecurities(
    clients: Iterable[Url],
    client_tls: TlsFiles | None,
    peer_tls: TlsFiles | None,
    secrets: Secrets,
) -> list[Insecurity]:
    """All that is not safe."""
    found = []
    if any(not it.is_secure for it in clients):
        text = "https:// in --listen-client-urls ends that, with --cert-file or --auto-tls"
        found.append(Insecurity(CLIENTS, "clients are served in the clear", text))
    found += _of_peers(peer_tls, secrets)
    if peer_tls is not None and not secrets and _is_one_authority(client_tls, peer_tls):
        fact = (
            "one authority signs for clients and for members: a client whose certificate has a "
            "member's host or name passes for that member, and may do anything"
        )
        text = "another --peer-trusted-ca-file, --peer-cert-allowed-cn or --peer-secret-file"
        found.append(Insecurity(MEMBERS, fact, f"{text} end that"))
    sides = (("", CLIENTS, client_tls), ("peer-", MEMBERS, peer_tls))
    for prefix, of, files in sides:
        if files is not None and files.is_self_signed:
            text = f"--{prefix}cert-file with one of an authority ends that"
            found.append(Insecurity(of, "the certificate made here is checked by nobody", text))
    return found


def _of_peers(tls: TlsFiles | None, secrets: Secrets) -> list[Insecurity]:
    """What the peer port takes for a member."""
    is_address = "whoever has a member's address passes for it, and may do anything"
    if tls is None and secrets:
        text = "https:// in all peer URLs ends that, with --peer-cert-file or --peer-auto-tls"
        return [Insecurity(MEMBERS, "members talk in the clear", text)]
    if tls is None:
        ends = (
            "--peer-secret-file ends the latter; https:// in all peer URLs both, with "
            "--peer-cert-file and --peer-trusted-ca-file"
        )
        return [Insecurity(MEMBERS, f"members talk in the clear, and {is_address}", ends)]
    if not secrets and (tls.is_self_signed or not tls.checks_clients):
        text = "--peer-trusted-ca-file or --peer-secret-file end that"
        return [Insecurity(MEMBERS, f"other members need no certificate, and {is_address}", text)]
    return []


def _is_one_authority(client_tls: TlsFiles | None, peer_tls: TlsFiles) -> bool:
    """Whether what a client is given a certificate by may also say who is a member."""
    if client_tls is None or peer_tls.allowed_name or peer_tls.allowed_host:
        return False
    shared = _authorities(client_tls.ca_file) & _authorities(peer_tls.ca_file)
    return bool(shared)


def _authorities(path: str) -> set[bytes]:
    """The certificates in a file; none where it cannot be read, which is told elsewhere."""
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace") if path else ""
        blocks = [it.partition(_BEGIN)[2] for it in text.split(_END)[:-1]]
        return {ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{it}{_END}\n") for it in blocks if it}
    except (OSError, ValueError):
        return set()
