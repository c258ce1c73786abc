"""TLS and tokens as the settings say."""

from pathlib import Path

from roost import etcd
from roost.cli.ciphers import ciphers_of, versions_of
from roost.cli.settings import BadSetting, Settings, parse_duration
from roost.cli.urls import listened, urls_of
from roost.peer import BadSecret, Secrets, read_secrets
from roost.tls import TlsFiles

_YEAR_DAYS = 365
_IN_VAIN = "--{} protects nobody: write https:// in --{}, or leave it out"
BCRYPT_COST_MIN, BCRYPT_COST_MAX = 4, 31


def is_secure(url: str) -> bool:
    """Whether a URL is spoken to by TLS."""
    return url.startswith(("https://", "unixs://"))


def _are_secure(settings: Settings, *names: str) -> bool:
    return any(is_secure(url) for name in names for url in urls_of(settings, name))


def client_tls(settings: Settings, data_dir: Path) -> TlsFiles | None:
    """What clients are served with on https URLs; None when there are none.

    Raises:
        BadSetting: an https URL without a certificate, or half of one; or the other way round.

    """
    if not _are_secure(settings, "listen-client-urls", "listen-metrics-urls"):
        if settings["auto-tls"]:
            raise BadSetting(_IN_VAIN.format("auto-tls", "listen-client-urls"))
        return None
    if settings["cert-file"]:
        oldest, newest = versions_of(settings)
        return TlsFiles(
            cert_file=settings["cert-file"],
            key_file=settings["key-file"],
            ca_file=settings["trusted-ca-file"],
            crl_file=settings["client-crl-file"],
            needs_certificate=settings["client-cert-auth"],
            allowed_host=settings["client-cert-allowed-hostname"],
            ciphers=ciphers_of(settings),
            oldest=oldest,
            newest=newest,
        )
    if not settings["auto-tls"]:
        raise BadSetting("https client URLs need --cert-file and --key-file, or --auto-tls")
    return _self_signed(settings, data_dir / "fixtures" / "client", "listen-client-urls")


def peer_tls(settings: Settings, data_dir: Path) -> TlsFiles | None:
    """What members talk to each other with; None when that is in the clear.

    Raises:
        BadSetting: https URLs without a certificate, or some https and some not.

    """
    names = ("listen-peer-urls", "initial-advertise-peer-urls")
    if not _are_secure(settings, *names):
        if settings["peer-auto-tls"]:
            raise BadSetting(_IN_VAIN.format("peer-auto-tls", "listen-peer-urls"))
        return None
    for name in names:
        for url in urls_of(settings, name):
            if not is_secure(url):
                raise BadSetting(f"peer URLs are all https, or none of them is: --{name}={url}")
    if settings["peer-cert-file"]:
        oldest, newest = versions_of(settings)
        return TlsFiles(
            cert_file=settings["peer-cert-file"],
            key_file=settings["peer-key-file"],
            ca_file=settings["peer-trusted-ca-file"],
            crl_file=settings["peer-crl-file"],
            needs_certificate=settings["peer-client-cert-auth"],
            allowed_name=settings["peer-cert-allowed-cn"],
            allowed_host=settings["peer-cert-allowed-hostname"],
            ciphers=ciphers_of(settings),
            oldest=oldest,
            newest=newest,
        )
    if not settings["peer-auto-tls"]:
        raise BadSetting("https peer URLs need --peer-cert-file, or --peer-auto-tls")
    return _self_signed(settings, data_dir / "fixtures" / "peer", "listen-peer-urls")


def peer_secrets(settings: Settings) -> Secrets:
    """What members prove to each other that they know; nothing when no file is named.

    Raises:
        BadSetting: the file cannot be used.

    """
    if not settings["peer-secret-file"]:
        return Secrets()
    try:
        return read_secrets(Path(settings["peer-secret-file"]))
    except BadSecret as error:
        raise BadSetting(f"--peer-secret-file: {error}") from error


def unused_certificates(settings: Settings) -> list[str]:
    """A line for each certificate that nobody is shown, because no URL is https (as etcd)."""
    pairs = (("cert-file", ("listen-client-urls", "listen-metrics-urls")),
             ("peer-cert-file", ("listen-peer-urls",)))  # fmt: skip
    return [
        f"--{name}={settings[name]} is not used: --{urls[0]} has no https URL"
        for name, urls in pairs
        if settings[name] and not _are_secure(settings, *urls)
    ]


def _self_signed(settings: Settings, directory: Path, listens: str) -> TlsFiles:
    from roost.self_signed import make_self_signed  # it is slow to import, and seldom needed

    # Whoever listens on all addresses is reached by these, at least from the same machine.
    hosts = [it.host for it in listened(settings, listens) if it.host]
    hosts += ["localhost", "127.0.0.1", "::1"]
    valid_days = settings["self-signed-cert-validity"] * _YEAR_DAYS
    return make_self_signed(directory, hosts, valid_days=valid_days)


def auth_options(settings: Settings) -> etcd.AuthOptions:
    """How users say who they are.

    Raises:
        BadSetting: --auth-token, or what goes with it, cannot be used.

    """
    cost, text = settings["bcrypt-cost"], settings["auth-token"]
    if not BCRYPT_COST_MIN <= cost <= BCRYPT_COST_MAX:
        raise BadSetting(f"--bcrypt-cost={cost}: {BCRYPT_COST_MIN} to {BCRYPT_COST_MAX}")
    kind, *parts = text.split(",")
    jwt = None
    if kind == "jwt":
        from roost.etcd.access.jwt_tokens import BadTokenOptions, jwt_options

        options = dict(part.partition("=")[::2] for part in parts)
        try:
            jwt = jwt_options(options, lambda ttl: parse_duration("auth-token", ttl))
        except BadTokenOptions as error:
            raise BadSetting(f"--auth-token: {error}") from error
    elif kind != "simple":
        raise BadSetting(f"--auth-token={text}: simple or jwt")
    ttl_s = float(settings["auth-token-ttl"])
    return etcd.AuthOptions(
        jwt=jwt,
        token_ttl_s=ttl_s,
        bcrypt_cost=cost,
        password_chars_min=settings["password-length-min"],
    )
