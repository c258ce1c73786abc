"""What is said at every start of what is not safe, and the secret that members share."""

import os
from pathlib import Path

import pytest

from roost.cli.insecurity import insecurities
from roost.member.settings import peer_secrets
from roost.os_errors import words_of
from roost.peer import Secrets
from roost.settings import BadSetting, Settings
from roost.tls import TlsFiles
from tests.integration.certificates import Authority

OURS = Secrets([b"a secret of members"])


def files(authority: Authority | None = None, **changes: str) -> TlsFiles:
    ca_file = str(authority.path) if authority else ""
    return TlsFiles(cert_file="c", key_file="k", ca_file=ca_file, **changes)  # type: ignore[arg-type]  # texts


def said(client: TlsFiles | None, peer: TlsFiles | None, secrets: Secrets | None = None) -> str:
    return "\n".join(map(str, insecurities([], client, peer, secrets or Secrets())))


def test_members_in_the_clear_are_told_what_that_means() -> None:
    assert "passes for it" in said(None, None)
    assert "members talk in the clear" in said(None, None, OURS)
    assert "passes for it" not in said(None, None, OURS)


def test_members_that_show_no_certificate_are_told_so(tmp_path: Path) -> None:
    for peer in (files(), TlsFiles(cert_file="c", key_file="k", is_self_signed=True)):
        assert "need no certificate" in said(None, peer)
        assert "need no certificate" not in said(None, peer, OURS)
    assert said(None, files(Authority(tmp_path))) == ""


def test_one_authority_for_clients_and_members_is_told_unless_a_name_or_a_secret_helps(
    tmp_path: Path,
) -> None:
    one, other = Authority(tmp_path, "one"), Authority(tmp_path, "other")
    assert "one authority" in said(files(one), files(one))
    assert said(files(one), files(other)) == ""
    assert said(files(one), files(one, allowed_name="member")) == ""
    assert said(files(one), files(one, allowed_host="member")) == ""
    assert said(files(one), files(one), OURS) == ""
    both = tmp_path / "both.pem"
    both.write_bytes(other.path.read_bytes() + one.path.read_bytes())
    bundle = TlsFiles(cert_file="c", key_file="k", ca_file=str(both))
    assert "one authority" in said(files(one), bundle)


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (b"long enough, but all may read it", 0o644, "chmod 600"),
        (b"too short", 0o600, "at least 16"),
        (b"\n\n", 0o600, "one secret a line"),
        (b"\n".join([b"x" * 16] * 9), 0o600, "one secret a line"),
        (None, 0, "No such file"),
    ],
)
def test_a_secret_file_that_protects_nobody_is_refused(
    tmp_path: Path, content: bytes | None, mode: int, why: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(BadSetting, match=f"--peer-secret-file: .*{why}"):
        peer_secrets(Settings(peer_secret_file=str(path)))


def test_a_directory_is_no_secret_file(tmp_path: Path) -> None:
    """It was a traceback: the error has a descriptor's number where a file's name stands."""
    with pytest.raises(BadSetting, match=f"{tmp_path}: Is a directory"):
        peer_secrets(Settings(peer_secret_file=str(tmp_path)))
    with pytest.raises(IsADirectoryError) as caught, os.fdopen(os.open(tmp_path, os.O_RDONLY)):
        pass
    assert words_of(caught.value) == "Is a directory"


def test_a_secret_file_holds_one_secret_a_line_and_never_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"the first of two secrets\n\n  the second of two secrets \n")
    path.chmod(0o640)
    held = peer_secrets(Settings(peer_secret_file=str(path)))
    assert held
    assert "secrets" not in repr(held)
    for secret in (b"the first of two secrets", b"the second of two secrets"):
        mac = Secrets([secret]).sign("dialler", b"x")
        assert held.find(mac, "dialler", b"x")
        assert held.find(mac, "dialler", b"y") is None
    assert not peer_secrets(Settings())
