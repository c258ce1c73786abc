"""All that a start would know, in one go; and that looking makes nothing."""

import datetime as dt
from pathlib import Path

from roost.cli.doctor.configuration import configuration_rows, others
from roost.cli.doctor.directory import Lived
from roost.cli.doctor.peers import Peer
from roost.cli.doctor.row import Row, State
from roost.cli.settings import read_given
from roost.journal import Identity
from roost.member.directory.store_record import StoreRecord
from roost.member.settings import member_config
from roost.settings import Settings
from roost.testing.ports import free_ports
from tests.integration.certificates import Authority

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def judged(flags: dict[str, str], environment: dict[str, str] | None = None) -> list[Row]:
    return list(configuration_rows(lambda: read_given(flags, environment or {}), 60.0, now=NOW))


def alone(tmp_path: Path, scheme: str = "http") -> dict[str, str]:
    client, peer = free_ports(2)
    return {
        "data-dir": str(tmp_path / "m1"),
        "listen-client-urls": f"{scheme}://127.0.0.1:{client}",
        "listen-peer-urls": f"{scheme}://127.0.0.1:{peer}",
        "initial-advertise-peer-urls": f"{scheme}://127.0.0.1:{peer}",
    }


def failures(rows: list[Row]) -> list[str]:
    """What failed, but for a disk that may be slow on a machine that has much to do."""
    failed = [it.check for it in rows if it.state is State.FAILED]
    return [it for it in failed if it != "disk sync time"]


def test_a_good_configuration_fails_nowhere_and_nothing_is_made(tmp_path: Path) -> None:
    rows = judged(alone(tmp_path))
    assert failures(rows) == []
    assert list(tmp_path.iterdir()) == []
    checks = {it.check for it in rows}
    assert {"settings", "versions", "memory", "clock", "disk sync time", "peer port"} <= checks
    assert "permissions" not in checks, "there is nothing yet that could have some"


def test_what_is_no_setting_and_what_does_nothing_is_told(tmp_path: Path) -> None:
    flags = {**alone(tmp_path), "enable-pprof": "true", "cert-file": "c.pem"}
    told = [it for it in judged(flags, {"ETCD_NAM": "m1"}) if it.check == "settings"]
    assert {it.state for it in told} == {State.WARNED}
    said = "\n".join(it.found for it in told)
    assert all(it in said for it in ("ETCD_NAM", "--enable-pprof", "--cert-file=c.pem"))


def test_a_setting_that_cannot_be_used_leaves_the_machine_to_be_judged(tmp_path: Path) -> None:
    for flags in (
        {"listen-client-urls": "nonsense"},
        {"config-file": str(tmp_path / "none.yaml")},
        {"election-timeout": "100"},
        {"log-level": "loud"},
        {"peer-secret-file": str(tmp_path / "none")},
        {"listen-client-urls": "http://127.0.0.1:1", "listen-peer-urls": "http://127.0.0.1:1"},
    ):
        rows = judged(flags)
        assert failures(rows) == ["settings"], flags
        assert rows[-1].state is State.SKIPPED
        assert "file descriptors" in {it.check for it in rows}


def test_certificates_are_judged_for_clients_and_for_members(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("m1", until=NOW - DAY)
    names = ("cert-file", "key-file", "trusted-ca-file")
    paths = (pair.certificate, pair.key, authority.path)
    files = {name: str(path) for name, path in zip(names, paths, strict=True)}
    both = {**files, **{f"peer-{name}": path for name, path in files.items()}}
    rows = judged({**alone(tmp_path, "https"), **both})
    assert failures(rows) == ["certificate for clients", "certificate for members"]


def test_a_certificate_that_the_start_would_make_is_not_made(tmp_path: Path) -> None:
    flags = {**alone(tmp_path, "https"), "auto-tls": "true", "peer-auto-tls": "true"}
    rows = {it.check: it for it in judged(flags)}
    assert rows["certificate for clients"].state is State.OK
    assert list(tmp_path.iterdir()) == []


def test_other_members_are_those_that_the_directory_knows() -> None:
    cluster = "m1=http://localhost:2380,m2=http://m2:2380,m2=http://n2:2380,m3=http://m3:2380"
    config = member_config(Settings(name="m1", initial_cluster=cluster))
    first = [
        Peer("m2", "http://m2:2380"),
        Peer("m2", "http://n2:2380"),
        Peer("m3", "http://m3:2380"),
    ]
    assert others(config, None) == first
    identity = Identity(cluster_id=1, member_id=1, incarnation=1, created=0.0)
    record = StoreRecord(peers=("http://m3:2380", "http://m4:2380"))
    lived = Lived(identity=identity, record=record, is_used=False)
    assert others(config, lived) == [Peer("m3", "http://m3:2380"), Peer("", "http://m4:2380")]
