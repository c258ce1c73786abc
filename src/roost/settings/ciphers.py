"""Names of TLS ciphers and versions, as etcd's flags have them, for OpenSSL.

etcd takes Go's names (which are IANA's), comma-separated.  OpenSSL's own, colon-separated, are
taken as they are.  The ciphers of TLS 1.3 are not chosen by name, in Go or here: with none but
them, only TLS 1.3 is left to speak.
"""

import re

from roost.settings.settings import BadSetting, Settings

# Go: crypto/tls, CipherSuites and InsecureCipherSuites; etcd: pkg/tlsutil/cipher_suites.go.
_EXCHANGES = {"RSA": "", "ECDHE_RSA": "ECDHE-RSA-", "ECDHE_ECDSA": "ECDHE-ECDSA-"}
_CIPHERS = {
    "RC4_128_SHA": "RC4-SHA",
    "3DES_EDE_CBC_SHA": "DES-CBC3-SHA",
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
    "AES_128_CBC_SHA256": "AES128-SHA256",
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "CHACHA20_POLY1305": "CHACHA20-POLY1305",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
}
_NEWER = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_GO_NAME = re.compile("TLS_([A-Z_]+)_WITH_([A-Z0-9_]+)")
TLS_1_2, TLS_1_3 = "TLS1.2", "TLS1.3"


def ciphers_of(settings: Settings) -> str:
    """The TLS 1.2 ciphers in OpenSSL's words; empty for its own choice.

    Raises:
        BadSetting: a name is none.

    """
    text = settings.cipher_suites
    if not text.startswith("TLS_"):
        return text
    names = [it.strip() for it in text.split(",") if it.strip()]
    return ":".join(_openssl_name(it) for it in names if it not in _NEWER)


def _openssl_name(name: str) -> str:
    found = _GO_NAME.fullmatch(name)
    exchange, cipher = found.groups() if found else ("", "")
    if exchange not in _EXCHANGES or cipher not in _CIPHERS:
        raise BadSetting(f"--cipher-suites: {name!r} is no cipher of Go's")
    return _EXCHANGES[exchange] + _CIPHERS[cipher]


def versions_of(settings: Settings) -> tuple[str, str]:
    """The oldest and the newest TLS that is spoken; empty for the newest there is.

    Raises:
        BadSetting: one of them is not known, or the oldest is newer than the newest.

    """
    oldest = settings.tls_min_version or TLS_1_2
    newest = settings.tls_max_version
    for name, value in (("tls-min-version", oldest), ("tls-max-version", newest)):
        if value not in ("", TLS_1_2, TLS_1_3):
            raise BadSetting(f"--{name}={value}: {TLS_1_2} or {TLS_1_3}")
    if settings.cipher_suites.startswith("TLS_") and not ciphers_of(settings):
        oldest = TLS_1_3
    if newest and oldest > newest:
        raise BadSetting(f"--tls-max-version={newest}, and the oldest that may be is {oldest}")
    return oldest, newest
