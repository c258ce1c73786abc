"""Who passes for whom: what the ports let anybody do, and the certificates that are shown there."""

import datetime as dt
import ssl
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from roost.certified import Certified, is_for, read_certificates, read_chain
from roost.cli.doctor.row import Row, State, failed, ok, skipped, warned
from roost.cli.insecurity import CLIENTS, MEMBERS, Insecurity
from roost.errors import RoostError
from roost.peer.certificate import ShownCertificate
from roost.settings.urls import Url, is_local
from roost.tls import (
    BadCertificate,
    Certificate,
    TlsFiles,
    check_peer,
    client_context,
    list_good_until,
    reason_of,
    server_context,
)

# Somebody has to be asked for another, and then it has to be brought in.
NEAR = dt.timedelta(days=30)
_TURNS_MAX = 8
_RENEW = "have it signed anew; files are read again while the member runs"


def _is_here(url: Url) -> bool:
    return isinstance(url.place, Path) or is_local(url.host)


def trust_rows(
    found: Sequence[Insecurity], clients: Sequence[Url], peers: Sequence[Url]
) -> Iterator[Row]:
    """What anybody on the network could do, by the rules of a start."""
    for of, urls, check in ((CLIENTS, clients, "client port"), (MEMBERS, peers, "peer port")):
        mine = [it for it in found if it.of == of]
        if mine and all(map(_is_here, urls)):
            facts = "; ".join(it.fact for it in mine)
            yield ok(check, f"only this machine reaches it ({facts})")
            continue
        for it in mine:
            yield warned(check, it.fact, it.end)
        if not mine:
            yield ok(check, "nobody reads what is said there, or passes for somebody else")


def login_row(urls: Sequence[Url], files: TlsFiles | None) -> Row:
    """Whether clients have to say who they are, as far as the configuration knows."""
    check = "who clients are"
    if files is not None and files.checks_clients and not files.is_self_signed:
        return ok(check, "they show certificates")
    if all(map(_is_here, urls)):
        return ok(check, "processes on this machine")
    text = "ask it: --endpoints; `roost auth enable` has everybody log in"
    return skipped(check, "whether they have to log in is the cluster's to say", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Whom a certificate is shown to, as whom, and at which hosts they ask for it."""

    check: str
    # What stands before the names of flags.
    prefix: str
    files: TlsFiles
    hosts: tuple[str, ...]
    # Of a member that other members know; empty for those that clients see.
    name: str = ""


def certificate_rows(side: Side, now: dt.datetime) -> Iterator[Row]:
    """All that is to be said of one side's files."""
    files = side.files
    if files.is_self_signed and not Path(files.cert_file).exists():
        yield ok(side.check, f"the first start makes {files.cert_file}")
        return
    try:
        server_context(files)
        held = read_chain(files.cert_file)
        authorities = read_certificates(files.ca_file) if files.ca_file else []
    except RoostError as error:
        text = f"see --{side.prefix}cert-file, --{side.prefix}key-file, --{side.prefix}crl-file"
        yield failed(side.check, str(error), text)
        return
    dated = judge_dates(side.check, files.cert_file, held, now)
    yield dated
    if not files.is_self_signed and dated.state is not State.FAILED:
        yield _name_row(side, held)
    key = files.key_file or files.cert_file
    yield judge_key(side.check, key, stat.S_IMODE(Path(key).stat().st_mode))
    if authorities:
        check = f"{side.check}: authority"
        # As long as one is good, what it has signed is.
        longest = max(authorities, key=lambda it: it.ends)
        yield judge_dates(check, files.ca_file, longest, now)
    if files.crl_file:
        good_until = list_good_until(files.crl_file)
        yield judge_list(f"{side.check}: revoked", files.crl_file, good_until, now)


def judge_key(check: str, path: str, mode: int) -> Row:
    """Whether everybody on the machine may be whom a certificate is for."""
    if mode & stat.S_IRWXO:
        text = f"chmod o-rwx {path}: with it anybody here passes for this member"
        return warned(f"{check}: key", f"{path} is everybody's to read (mode {mode:04o})", text)
    return ok(f"{check}: key", f"{path} is not everybody's to read")


def judge_dates(check: str, path: str, held: Certified, now: dt.datetime) -> Row:
    """Whether a certificate is good now, and stays it for a while."""
    days = (held.ends - now) / dt.timedelta(days=1)
    numbers: dict[str, str | float] = {
        "expires": held.ends.isoformat(),
        "days_left": round(days, 1),
    }
    found = f"{path} ({held.name}) is good until {held.ends:%Y-%m-%d %H:%M} UTC"
    if held.ends <= now:
        found = f"{path} ({held.name}) has expired at {held.ends:%Y-%m-%d %H:%M} UTC"
        return failed(check, found, _RENEW, **numbers)
    if held.begins > now:
        found = f"{path} ({held.name}) is good from {held.begins:%Y-%m-%d %H:%M} UTC on only"
        return failed(check, found, "set the clock right, or wait", **numbers)
    if held.ends - now < NEAR:
        return warned(check, found, _RENEW, **numbers)
    return ok(check, found, **numbers)


def judge_list(check: str, path: str, good_until: dt.datetime | None, now: dt.datetime) -> Row:
    """Whether a list of revoked certificates is new enough."""
    if good_until is None or good_until > now:
        return ok(check, f"{path} is new enough")
    text = "have the authority make another: who was revoked since is let in"
    return warned(check, f"{path} has expired at {good_until:%Y-%m-%d %H:%M} UTC", text)


def _name_row(side: Side, held: Certified) -> Row:
    if side.name:
        return member_row(side, held)
    wrong = [it for it in side.hosts if not is_for(held.hosts, it)]
    check = f"{side.check}: name"
    if wrong:
        text = f"a certificate for {', '.join(wrong)}, or other --advertise-client-urls"
        found = f"it is for {', '.join(held.hosts) or 'no host'}, and clients are told others"
        return warned(check, f"{found}: {', '.join(wrong)}", text)
    return ok(check, f"it is for {', '.join(side.hosts)}")


def member_row(side: Side, held: Certified) -> Row:
    """Whether other members would take this certificate: tried with ourselves in their place."""
    check = f"{side.check}: name"
    hosts = ", ".join(side.hosts)
    for host in side.hosts:
        shown, wrong = shake_hands(side.files, host)
        if not wrong and side.files.checks_clients:
            wrong = check_peer(side.files, shown) or _foreign(side, shown)
        if wrong:
            text = (
                f"a certificate for {hosts}, signed by --{side.prefix}trusted-ca-file, for "
                "servers and clients alike"
            )
            return failed(check, f"another member would refuse it at {host}: {wrong}", text)
    return ok(check, f"other members take it at {hosts or held.name}")


def _foreign(side: Side, shown: Certificate | None) -> str:
    is_allowed = bool(side.files.allowed_name or side.files.allowed_host)
    if is_allowed:
        return ""
    certificate = ShownCertificate(shown or {}, is_allowed=False)
    return certificate.foreign_to([*side.hosts, side.name])


def shake_hands(files: TlsFiles, host: str) -> tuple[Certificate | None, str]:
    """Have a member dial itself at a host, in memory: what it has shown, and what was wrong."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client = client_context(files).wrap_bio(to_client, to_server, server_hostname=host)
        server = server_context(files).wrap_bio(to_server, to_client, server_side=True)
    except BadCertificate as error:
        return None, str(error)
    for _ in range(_TURNS_MAX):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except (ssl.SSLError, ssl.CertificateError) as error:
                return None, reason_of(error)
    return server.getpeercert(), ""


def hosts_of(urls: Iterable[str]) -> tuple[str, ...]:
    """The hosts of URLs by TLS, each once."""
    hosts = (urlsplit(it).hostname or "" for it in urls if it.startswith("https://"))
    return tuple(dict.fromkeys(filter(None, hosts)))
