"""What TLS is spoken with, as the settings say: to clients, and to other members.

A side that has no https URL speaks in the clear.  One that has needs a certificate, which is
given, or made here when that is asked for.
"""

from dataclasses import dataclass

from roost.settings.ciphers import ciphers_of, versions_of
from roost.settings.settings import BadSetting, Settings, Texts
from roost.settings.urls import parse_urls
from roost.tls import TlsFiles

_YEAR_DAYS = 365


def is_secure(url: str) -> bool:
    """Whether a URL is spoken to by TLS."""
    return url.startswith(("https://", "unixs://"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Those whom a member speaks to, and what is set for them."""

    # As flags have it, and the directory of what is made here.
    prefix: str
    directory: str
    # The flag of the URLs that are listened on, and those URLs.
    listens: str
    heard: Texts
    makes_own: bool
    # What to say when there is no certificate.
    needs: str
    cert_file: str
    key_file: str
    ca_file: str
    crl_file: str
    needs_certificate: bool
    allowed_name: str
    allowed_host: str


def _clients(settings: Settings) -> _Side:
    return _Side(
        prefix="",
        directory="client",
        listens="listen-client-urls",
        heard=settings.listen_client_urls,
        makes_own=settings.auto_tls,
        needs="https client URLs need --cert-file and --key-file, or --auto-tls",
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        ca_file=settings.trusted_ca_file,
        crl_file=settings.client_crl_file,
        needs_certificate=settings.client_cert_auth,
        allowed_name="",
        allowed_host=settings.client_cert_allowed_hostname,
    )


def _peers(settings: Settings) -> _Side:
    return _Side(
        prefix="peer-",
        directory="peer",
        listens="listen-peer-urls",
        heard=settings.listen_peer_urls,
        makes_own=settings.peer_auto_tls,
        needs="https peer URLs need --peer-cert-file, or --peer-auto-tls",
        cert_file=settings.peer_cert_file,
        key_file=settings.peer_key_file,
        ca_file=settings.peer_trusted_ca_file,
        crl_file=settings.peer_crl_file,
        needs_certificate=settings.peer_client_cert_auth,
        allowed_name=settings.peer_cert_allowed_cn,
        allowed_host=settings.peer_cert_allowed_hostname,
    )


def client_tls(settings: Settings, *, makes: bool = True) -> TlsFiles | None:
    """What clients are served with on https URLs; None when there are none.

    Without `makes` a certificate that would be made here is only named.

    Raises:
        BadSetting: an https URL without a certificate, or half of one; or the other way round.

    """
    urls = (*settings.listen_client_urls, *settings.listen_metrics_urls)
    has_secure = any(map(is_secure, urls))
    return _files(settings, _clients(settings), has_secure=has_secure, makes=makes)


def peer_tls(settings: Settings, *, makes: bool = True) -> TlsFiles | None:
    """What members talk to each other with; None when that is in the clear.

    Without `makes` a certificate that would be made here is only named.

    Raises:
        BadSetting: https URLs without a certificate, or some https and some not.

    """
    heard, told = settings.listen_peer_urls, settings.initial_advertise_peer_urls
    has_secure = any(map(is_secure, (*heard, *told)))
    if has_secure:
        for name, urls in (("listen-peer-urls", heard), ("initial-advertise-peer-urls", told)):
            for url in urls:
                if not is_secure(url):
                    text = f"peer URLs are all https, or none of them is: --{name}={url}"
                    raise BadSetting(text)
    return _files(settings, _peers(settings), has_secure=has_secure, makes=makes)


def tls_files(settings: Settings) -> list[TlsFiles]:
    """What both sides are spoken to with, where that is by TLS.

    Raises:
        BadSetting: see `client_tls` and `peer_tls`.

    """
    return [it for it in (client_tls(settings), peer_tls(settings)) if it is not None]


def unused_certificates(settings: Settings) -> list[str]:
    """A line for each certificate that nobody is shown, because no URL is https (as etcd)."""
    clients, peers = _clients(settings), _peers(settings)
    pairs = ((clients, (*clients.heard, *settings.listen_metrics_urls)), (peers, peers.heard))
    return [
        f"--{side.prefix}cert-file={side.cert_file} is not used: --{side.listens} has no https URL"
        for side, urls in pairs
        if side.cert_file and not any(map(is_secure, urls))
    ]


def _files(settings: Settings, side: _Side, *, has_secure: bool, makes: bool) -> TlsFiles | None:
    if not has_secure:
        if side.makes_own:
            text = f"write https:// in --{side.listens}, or leave it out"
            raise BadSetting(f"--{side.prefix}auto-tls protects nobody: {text}")
        return None
    if not side.cert_file:
        if not side.makes_own:
            raise BadSetting(side.needs)
        return _self_signed(settings, side, makes=makes)
    oldest, newest = versions_of(settings)
    return TlsFiles(
        cert_file=side.cert_file,
        key_file=side.key_file,
        ca_file=side.ca_file,
        crl_file=side.crl_file,
        needs_certificate=side.needs_certificate,
        allowed_name=side.allowed_name,
        allowed_host=side.allowed_host,
        ciphers=ciphers_of(settings),
        oldest=oldest,
        newest=newest,
    )


def _self_signed(settings: Settings, side: _Side, *, makes: bool) -> TlsFiles:
    from roost.self_signed import files_in, make_self_signed  # slow to import, and seldom needed

    # Whoever listens on all addresses is reached by these, at least from the same machine.
    hosts = [it.host for it in parse_urls(side.listens, side.heard) if it.host]
    hosts += ["localhost", "127.0.0.1", "::1"]
    valid_days = settings.self_signed_cert_validity * _YEAR_DAYS
    directory = settings.directory / "fixtures" / side.directory
    if not makes:
        return files_in(directory)
    return make_self_signed(directory, hosts, valid_days=valid_days)
