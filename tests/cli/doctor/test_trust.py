"""Who passes for whom, and the certificates that are shown."""

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from roost.certified import Certified
from roost.cli.doctor.row import Row, State
from roost.cli.doctor.trust import (
    Side,
    certificate_rows,
    hosts_of,
    judge_dates,
    judge_key,
    judge_list,
    login_row,
    trust_rows,
)
from roost.cli.insecurity import CLIENTS, MEMBERS, Insecurity, insecurities
from roost.peer import Secrets
from roost.settings.urls import Url
from roost.tls import TlsFiles
from tests.integration.certificates import Authority, Pair

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
HERE, AFAR = Url(("127.0.0.1", 2379), is_secure=False), Url(("10.0.0.1", 2379), is_secure=False)
CLEAR = Insecurity(CLIENTS, "clients are served in the clear", "https:// ends that")
OPEN = Insecurity(MEMBERS, "members talk in the clear", "--peer-secret-file ends that")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def side(pair: Pair, authority: Authority | None = None, **changes: str) -> Side:
    ca_file = str(authority.path) if authority else ""
    plain = TlsFiles(cert_file=str(pair.certificate), key_file=str(pair.key), ca_file=ca_file)
    made = dataclasses.replace(plain, **changes)  # type: ignore[arg-type]  # texts
    return Side(check="c", prefix="peer-", files=made, hosts=("localhost",), name="m1")


def rows(found: Side) -> dict[str, Row]:
    return {it.check: it for it in certificate_rows(found, NOW)}


def test_what_anybody_could_do_is_told_where_others_reach_the_port() -> None:
    told = list(trust_rows([CLEAR, OPEN], [AFAR], [AFAR]))
    assert [(it.check, it.state) for it in told] == [
        ("client port", State.WARNED),
        ("peer port", State.WARNED),
    ]
    assert told[1].to_do == OPEN.end
    here = list(trust_rows([CLEAR, OPEN], [HERE, Url(Path("s"), is_secure=False)], [AFAR]))
    assert [it.state for it in here] == [State.OK, State.WARNED]
    assert "only this machine" in here[0].found
    assert [it.state for it in trust_rows([], [AFAR], [AFAR])] == [State.OK, State.OK]


def test_one_authority_for_clients_and_members_is_told(authority: Authority) -> None:
    """Issue 12, A2: a client's certificate passes for a member's where one authority signs both."""
    pair = authority.sign("m1")
    held = side(pair, authority).files
    secure = Url(("10.0.0.1", 2379), is_secure=True)
    found = insecurities([secure], held, held, Secrets())
    [client, peer] = trust_rows(found, [secure], [secure])
    assert client.state is State.OK
    assert peer.state is State.WARNED
    assert "--peer-cert-allowed-cn" in peer.to_do
    safe = insecurities([secure], held, held, Secrets([b"a secret of members"]))
    assert {it.state for it in trust_rows(safe, [secure], [secure])} == {State.OK}


def test_whether_clients_log_in_is_the_clusters_to_say(authority: Authority) -> None:
    pair = authority.sign("m1")
    assert login_row([AFAR], None).state is State.SKIPPED
    assert login_row([HERE], None).state is State.OK
    assert login_row([AFAR], side(pair, authority).files).state is State.OK
    assert login_row([AFAR], side(pair).files).state is State.SKIPPED


def held(begins: dt.datetime, ends: dt.datetime) -> Certified:
    return Certified(common_name="m1", hosts=(), begins=begins, ends=ends)


@pytest.mark.parametrize(
    ("begins", "ends", "state", "words"),
    [
        (NOW - DAY, NOW + 31 * DAY, State.OK, "good until"),
        (NOW - DAY, NOW + 29 * DAY, State.WARNED, "good until"),
        (NOW - 2 * DAY, NOW - DAY, State.FAILED, "has expired"),
        (NOW + DAY, NOW + 90 * DAY, State.FAILED, "good from"),
    ],
)
def test_a_certificate_is_good_now_and_for_a_while(
    begins: dt.datetime, ends: dt.datetime, state: State, words: str
) -> None:
    row = judge_dates("c", "m1.pem", held(begins, ends), NOW)
    assert row.state is state
    assert words in row.found
    assert row.measured["days_left"] == round((ends - NOW) / DAY, 1)


def test_a_list_of_revoked_certificates_that_is_old_is_told() -> None:
    assert judge_list("c", "crl", None, NOW).state is State.OK
    assert judge_list("c", "crl", NOW + DAY, NOW).state is State.OK
    assert judge_list("c", "crl", NOW - DAY, NOW).state is State.WARNED


def test_a_key_is_not_everybodys_to_read() -> None:
    assert judge_key("c", "m1.key", 0o640).state is State.OK
    assert judge_key("c", "m1.key", 0o644).state is State.WARNED


def test_a_good_certificate_of_a_member(tmp_path: Path, authority: Authority) -> None:
    pair = authority.sign("m1", until=NOW + 90 * DAY)
    pair.key.chmod(0o600)
    authority.revoke(tmp_path / "crl")
    told = rows(side(pair, authority, crl_file=str(tmp_path / "crl")))
    assert {name: it.state for name, it in told.items()} == {
        "c": State.OK,
        "c: name": State.OK,
        "c: key": State.OK,
        "c: authority": State.WARNED,  # it lives a day
        "c: revoked": State.OK,
    }


def test_an_expired_certificate_fails(authority: Authority) -> None:
    told = rows(side(authority.sign("m1", until=NOW - DAY), authority))
    assert told["c"].state is State.FAILED
    assert "has expired" in told["c"].found
    assert "c: name" not in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"allowed_name": "member"}, "not of 'member'"),
        ({"allowed_name": "m1"}, ""),
        ({"allowed_host": "members.example"}, "not for 'members.example'"),
    ],
)
def test_other_members_would_take_it(
    authority: Authority, changes: dict[str, str], words: str
) -> None:
    row = rows(side(authority.sign("m1"), authority, **changes))["c: name"]
    assert row.state is (State.FAILED if words else State.OK)
    assert words in row.found


def test_a_certificate_for_another_host_or_of_another_authority_is_refused(
    tmp_path: Path, authority: Authority
) -> None:
    row = rows(side(authority.sign("m1", host="m1.example"), authority))["c: name"]
    assert row.state is State.FAILED
    assert "Hostname mismatch" in row.found
    other = Authority(tmp_path, "other")
    row = rows(side(other.sign("m1"), authority))["c: name"]
    assert row.state is State.FAILED
    assert "certificate verify failed" in row.found


def test_a_revoked_certificate_of_our_own_is_refused(tmp_path: Path, authority: Authority) -> None:
    pair = authority.sign("m1")
    authority.revoke(tmp_path / "crl", pair.serial)
    row = rows(side(pair, authority, crl_file=str(tmp_path / "crl")))["c: name"]
    assert row.state is State.FAILED
    assert "revoked" in row.found


def test_clients_ask_for_the_hosts_that_they_are_told(authority: Authority) -> None:
    files = side(authority.sign("m1")).files
    told = hosts_of(["https://localhost:1", "http://a:2", "https://m1.example:3", "unix://x"])
    assert told == ("localhost", "m1.example")
    for hosts, state in ((told, State.WARNED), (told[:1], State.OK)):
        [row] = [
            it
            for it in certificate_rows(Side(check="c", prefix="", files=files, hosts=hosts), NOW)
            if it.check == "c: name"
        ]
        assert row.state is state
    assert "m1.example" in row.found or state is State.OK


def test_files_that_cannot_be_used_are_named(authority: Authority) -> None:
    one, other = authority.sign("m1"), authority.sign("m2")
    mixed = TlsFiles(cert_file=str(one.certificate), key_file=str(other.key))
    [row] = certificate_rows(Side(check="c", prefix="", files=mixed, hosts=()), NOW)
    assert row.state is State.FAILED
    assert "is not the key of" in row.found


def test_a_certificate_that_the_first_start_makes_is_not_made_here(tmp_path: Path) -> None:
    path = tmp_path / "fixtures" / "cert.pem"
    files = TlsFiles(cert_file=str(path), key_file=str(path), is_self_signed=True)
    [row] = certificate_rows(Side(check="c", prefix="", files=files, hosts=()), NOW)
    assert row.state is State.OK
    assert list(tmp_path.iterdir()) == []
