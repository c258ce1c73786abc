"""Certificates, keys and lists of revoked ones: what is wrong with a file is said by its name."""

import datetime as dt
import logging
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from roost.tls import (
    BadCertificate,
    Certificate,
    TlsFiles,
    check_peer,
    client_context,
    common_name,
    reason_of,
    server_context,
)
from tests.integration.certificates import Authority

DAY = dt.timedelta(days=1)
ENCODINGS = [serialization.Encoding.PEM, serialization.Encoding.DER]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Let both sides talk by memory until they have agreed, or one of them has had enough."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.slow
def test_what_is_wrong_with_a_file_is_said_by_its_name(
    tmp_path: Path, authority: Authority
) -> None:
    pair, other = authority.sign("server"), authority.sign("other")
    nonsense, missing = tmp_path / "nonsense.pem", tmp_path / "missing.pem"
    nonsense.write_text("no certificate")
    encrypted = tmp_path / "encrypted.key"
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    encrypted.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))
    good, its_key = str(pair.certificate), str(pair.key)
    for cert, key_file, ca, crl, ciphers, words in (
        (str(missing), its_key, "", "", "", f"{missing}: No such file"),
        (good, str(missing), "", "", "", f"{missing}: No such file"),
        (good, "", "", "", "", f"{good}: .*; where is its key"),
        (good, str(other.key), "", "", "", f"{other.key} is not the key of {good}"),
        (str(nonsense), its_key, "", "", "", f"{nonsense}, {its_key}: "),
        (good, str(encrypted), "", "", "", f"{encrypted}: the key is encrypted"),
        ("", its_key, "", "", "", "a key without a certificate"),
        (good, its_key, str(nonsense), "", "", f"{nonsense}: "),
        (good, its_key, str(missing), "", "", f"{missing}: "),
        (good, its_key, "", str(missing), "", f"{missing}: No such file"),
        (good, its_key, "", str(nonsense), "", f"{nonsense} is no list of revoked"),
        (good, its_key, "", "", "nonsense", "no cipher of nonsense"),
    ):
        files = TlsFiles(
            cert_file=cert, key_file=key_file, ca_file=ca, crl_file=crl, ciphers=ciphers
        )
        for make in (server_context, client_context):
            with pytest.raises(BadCertificate, match=words):
                make(files)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=["PEM", "DER"])
@pytest.mark.parametrize("left", [DAY, -DAY], ids=["good", "expired"])
def test_a_list_of_revoked_certificates_counts_in_any_form_and_age(
    tmp_path: Path,
    authority: Authority,
    encoding: serialization.Encoding,
    left: dt.timedelta,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "revoked"
    until = dt.datetime.now(dt.UTC) + left
    authority.revoke(path, 0xABC, encoding=encoding, until=until)
    pair = authority.sign("server")
    files = TlsFiles(
        cert_file=str(pair.certificate), key_file=str(pair.key), crl_file=str(path)
    )  # fmt: skip
    server_context(files)
    assert check_peer(files, {"serialNumber": "0ABC"}) == "certificate serial abc revoked"
    assert check_peer(files, {"serialNumber": "0ABD"}) == ""
    told = [it for it in caplog.messages if "has expired" in it]
    assert len(told) == (left < dt.timedelta())
    authority.revoke(path, 0xABD, until=until)
    assert check_peer(files, {"serialNumber": "0ABC"}) == ""
    assert check_peer(files, {"serialNumber": "0ABD"}) != ""
    path.write_text("nonsense")
    assert check_peer(files, {"serialNumber": "0ABD"}) != ""
    assert "cannot be used" in caplog.text


def test_only_the_versions_that_are_asked_for_are_spoken(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = authority.sign("server")
    files = TlsFiles(cert_file=str(pair.certificate), key_file=str(pair.key), oldest="TLS1.3")
    client = ssl.create_default_context(cafile=str(authority.path))
    shake_hands(client, server_context(files))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError), caplog.at_level(logging.WARNING):
        shake_hands(client, server_context(files))
    assert "a TLS handshake failed: unsupported protocol" in caplog.text


def shown(name: str, *hosts: str) -> Certificate:
    """A certificate as `ssl` tells of it."""
    subject = ((("organizationName", "o"),), (("commonName", name),))
    return {"subject": subject, "subjectAltName": tuple(("DNS", it) for it in hosts)}


@pytest.mark.parametrize(
    ("name", "host", "certificate", "said"),
    [
        ("", "", None, ""),
        ("", "", shown("any"), ""),
        ("m", "", None, "no certificate"),
        ("", "h", None, "no certificate"),
        ("m", "", shown("m"), ""),
        ("m", "", shown("n"), "certificate of 'n', not of 'm'"),
        ("m", "", {}, "certificate of '', not of 'm'"),
        ("", "h", shown("m", "h", "i"), ""),
        ("", "h", shown("h", "i"), "certificate not for 'h'"),  # its subject is nobody's host
        ("", "h", shown("h"), "certificate not for 'h'"),
        ("m", "h", shown("m", "h"), ""),
        ("m", "h", shown("m", "i"), "certificate not for 'h'"),
        ("m", "h", shown("n", "h"), "certificate of 'n', not of 'm'"),
    ],
)
def test_who_may_talk_to_us_is_said_by_name_and_host(
    name: str, host: str, certificate: Certificate | None, said: str
) -> None:
    """etcd: --peer-cert-allowed-cn and --peer-cert-allowed-hostname."""
    files = TlsFiles(cert_file="", key_file="", allowed_name=name, allowed_host=host)
    assert check_peer(files, certificate) == said


def test_a_subject_without_a_common_name_has_an_empty_one() -> None:
    assert common_name(None) == common_name({}) == ""
    assert common_name({"subject": ((("organizationName", "o"),),)}) == ""


def test_certificates_are_renewed_without_a_restart(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """What can be read counts with the next handshake; what cannot leaves the old ones."""
    pair = authority.sign("server")
    files = TlsFiles(cert_file=str(pair.certificate), key_file=str(pair.key))
    context = server_context(files)
    client = ssl.create_default_context(cafile=str(authority.path))
    shake_hands(client, context)
    whole = pair.certificate.read_bytes()
    pair.certificate.write_bytes(b"half of a certifi")
    with caplog.at_level(logging.INFO):
        shake_hands(client, context)
        assert "new certificates cannot be used" in caplog.text
        assert "were read again" not in caplog.text
        pair.certificate.write_bytes(whole)
        other = authority.sign("other", file="server")
        assert (other.certificate, other.key) == (pair.certificate, pair.key)
        shake_hands(client, context)
    assert "certificates were read again" in caplog.text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(2, "No such file or directory"), "no such file or directory"),
        (ValueError("[SSL] PEM lib (_ssl.c:4149)"), "pem lib"),
        (ValueError("WRONG_VERSION_NUMBER"), "wrong version number"),
    ],
)
def test_openssls_words_come_without_its_numbers(error: Exception, said: str) -> None:
    assert reason_of(error) == said
