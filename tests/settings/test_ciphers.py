"""Ciphers and versions as etcd's flags have them, in OpenSSL's words, which knows each of them."""

import ssl
from dataclasses import replace

import pytest

from roost.settings import BadSetting, Settings
from roost.settings.ciphers import ciphers_of, versions_of

GO_NAMES = {
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
}
NEWER = "TLS_AES_128_GCM_SHA256"


def told(**changes: str) -> Settings:
    return replace(Settings(), **changes)  # type: ignore[arg-type]  # a test's fields


@pytest.mark.parametrize(("name", "openssl"), GO_NAMES.items())
def test_a_name_of_gos_is_one_of_openssls(name: str, openssl: str) -> None:
    assert ciphers_of(told(cipher_suites=name)) == openssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(openssl)
    assert openssl in {it["name"] for it in context.get_ciphers()}


def test_several_are_in_their_order_and_those_of_1_3_are_not_chosen_by_name() -> None:
    first, second, *_ = GO_NAMES
    said = ciphers_of(told(cipher_suites=f"{first}, {NEWER},{second},"))
    assert said == f"{GO_NAMES[first]}:{GO_NAMES[second]}"


def test_openssls_own_words_are_taken_as_they_are() -> None:
    for text in ("", "ECDHE+AESGCM:!aNULL"):
        assert ciphers_of(told(cipher_suites=text)) == text


NO_NAMES = (
    "TLS_",
    "TLS_AES_128_CCM_SHA256",
    "TLS_RSA_WITH_NULL_SHA",
    "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
)


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_none_of_gos_is_refused(name: str) -> None:
    with pytest.raises(BadSetting, match="--cipher-suites"):
        ciphers_of(told(cipher_suites=name))


@pytest.mark.parametrize(
    ("oldest", "newest", "spoken"),
    [("", "", ("TLS1.2", "")), ("TLS1.3", "", ("TLS1.3", "")),
     ("TLS1.2", "TLS1.2", ("TLS1.2", "TLS1.2")), ("", "TLS1.3", ("TLS1.2", "TLS1.3"))],
)  # fmt: skip
def test_versions_are_from_the_oldest_to_the_newest(
    oldest: str, newest: str, spoken: tuple[str, str]
) -> None:
    assert versions_of(told(tls_min_version=oldest, tls_max_version=newest)) == spoken


def test_with_ciphers_of_1_3_alone_nothing_older_is_spoken() -> None:
    assert versions_of(told(cipher_suites=NEWER)) == ("TLS1.3", "")
    with pytest.raises(BadSetting, match="--tls-max-version"):
        versions_of(told(cipher_suites=NEWER, tls_max_version="TLS1.2"))


@pytest.mark.parametrize(
    ("oldest", "newest"), [("TLS1.1", ""), ("", "TLS1.4"), ("1.2", ""), ("TLS1.3", "TLS1.2")]
)
def test_versions_that_cannot_be_are_refused(oldest: str, newest: str) -> None:
    with pytest.raises(BadSetting, match="--tls-m"):
        versions_of(told(tls_min_version=oldest, tls_max_version=newest))
