"""Settings: every flag is taken with its meaning or refused with the reason."""

import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from roost.cli.main import main
from roost.cli.serve import member_config
from roost.cli.settings import (
    FLAGS,
    NOTED,
    REFUSED,
    TAKEN,
    BadSetting,
    Flag,
    load_settings,
    notes,
    parse_initial_cluster,
)
from roost.errors import RoostError
from roost.member import cluster_id_of, member_id_of
from tests.integration.etcdctl import binary


@pytest.mark.parametrize("flag", REFUSED, ids=lambda it: it.name)
def test_a_flag_without_effect_is_refused_with_the_reason(flag: Flag) -> None:
    for value in flag.harmless:
        load_settings({flag.name: value}, {})
    with pytest.raises(BadSetting) as caught:
        load_settings({flag.name: "something-else"}, {})
    assert flag.text in str(caught.value)
    assert f"--{flag.name}" in str(caught.value)


NUMBERS = [it for it in TAKEN if it.kind is int and it.name != "quota-backend-bytes"]


@pytest.mark.parametrize("flag", NOTED, ids=lambda it: it.name)
def test_a_flag_with_nothing_to_act_on_is_taken_and_said_aloud(flag: Flag) -> None:
    value = {bool: str(not flag.default), int: "7", str: "something"}[flag.kind]
    [note] = notes(load_settings({flag.name: value}, {}))
    assert f"--{flag.name}" in note
    assert flag.text in note


def test_flags_left_alone_are_not_spoken_of() -> None:
    assert notes(load_settings({}, {})) == []


def test_every_flag_of_etcds_is_known() -> None:
    said = subprocess.run([binary("etcd"), "--help"], capture_output=True, text=True, check=True)
    theirs = set(re.findall(r"^ +--([a-z0-9-]+)", said.stdout + said.stderr, re.MULTILINE))
    assert len(theirs) > 80
    assert theirs <= set(FLAGS)


@pytest.mark.parametrize("flag", NUMBERS, ids=lambda it: it.name)
@pytest.mark.parametrize("text", ["-1", "0", "x", "", "1.5"])
def test_a_number_that_is_none_is_refused(flag: Flag, text: str) -> None:
    with pytest.raises(BadSetting, match=f"--{flag.name}"):
        load_settings({flag.name: text}, {})


def test_flags_come_before_our_variables_and_those_before_etcds() -> None:
    environment = {"ETCD_NAME": "etcds", "ROOST_NAME": "ours", "ETCD_DATA_DIR": "d"}
    assert load_settings({}, environment)["name"] == "ours"
    assert load_settings({"name": "flag"}, environment)["name"] == "flag"
    assert load_settings({}, environment)["data-dir"] == "d"


def test_a_configuration_file_replaces_flags_and_variables(tmp_path: Path) -> None:
    path = tmp_path / "roost.yaml"
    path.write_text("name: filed\nheartbeat-interval: 50\nenable-v2: false\n")
    settings = load_settings({"config-file": str(path), "name": "flag"}, {"ETCD_DATA_DIR": "d"})
    assert (settings["name"], settings["heartbeat-interval"], settings["data-dir"]) == (
        "filed", 50, "",
    )  # fmt: skip
    path.write_text(
        "client-transport-security:\n  cert-file: c\n  client-cert-auth: true\n"
        "peer-transport-security:\n  trusted-ca-file: p\nlog-outputs: [stderr, x]\n"
    )
    settings = load_settings({"config-file": str(path)}, {})
    assert settings["cert-file"] == "c"
    assert settings["client-cert-auth"]
    assert settings["peer-trusted-ca-file"] == "p"
    assert settings["log-outputs"] == "stderr,x"
    path.write_text("nmae: x\n")
    with pytest.raises(BadSetting, match="nmae"):
        load_settings({"config-file": str(path)}, {})
    path.write_text("- just\n- a list\n")
    with pytest.raises(BadSetting, match="no settings"):
        load_settings({"config-file": str(path)}, {})
    with pytest.raises(BadSetting, match="missing"):
        load_settings({"config-file": str(tmp_path / "missing.yaml")}, {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"initial-cluster-state": "old"}, "--initial-cluster-state"),
        ({"initial-cluster": "m1"}, "is not name=url"),
        ({"election-timeout": "200"}, "at least as 5 times"),
        ({"listen-peer-urls": "unix://127.0.0.1:1"}, "must be of the form http"),
        ({"listen-peer-urls": "http://127.0.0.1"}, "must be of the form http"),
        ({"listen-peer-urls": "http://127.0.0.1:99999"}, "is not a URL"),
        ({"name": ""}, "--name must not be empty"),
    ],
)
def test_settings_that_contradict_each_other_are_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(RoostError, match=words):
        member_config(load_settings(changes, {}))


def test_a_name_may_have_several_urls() -> None:
    assert parse_initial_cluster("a=http://x:1,b=http://y:1,a=http://z:1") == {
        "a": ("http://x:1", "http://z:1"),
        "b": ("http://y:1",),
    }


def test_ids_are_those_that_etcd_derives() -> None:
    """As real etcd 3.5.1 printed them for the same flags."""
    assert member_id_of(["http://localhost:2380"], "etcd-cluster") == 0x8E9E05C52164694D
    assert cluster_id_of([0x8E9E05C52164694D]) == 0xCDF818194E3A8C32


@pytest.mark.parametrize("spelling", ["--logger=zap", "-logger=zap", "--logger zap", "-logger zap"])
def test_flags_are_spelled_as_etcd_spells_them(spelling: str) -> None:
    """The next flag is wrong on purpose, so that nothing starts."""
    done = CliRunner().invoke(main, ["serve", *spelling.split(), "--heartbeat-interval=-1"])
    assert done.exit_code == 2
    assert "--heartbeat-interval=-1" in done.output


def test_an_unknown_flag_is_refused() -> None:
    assert CliRunner().invoke(main, ["serve", "--no-such-flag"]).exit_code == 2


def test_every_flag_of_etcd_3_5_is_known() -> None:
    """The flags that `etcd --help` of 3.5 lists; experimental ones are not promised by etcd."""
    assert {
        "name", "data-dir", "wal-dir", "snapshot-count", "heartbeat-interval", "election-timeout",
        "initial-election-tick-advance", "listen-peer-urls", "listen-client-urls", "max-snapshots",
        "max-wals", "quota-backend-bytes", "max-txn-ops", "max-request-bytes",
        "grpc-keepalive-min-time", "grpc-keepalive-interval", "grpc-keepalive-timeout",
        "initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state",
        "initial-cluster-token", "advertise-client-urls", "discovery", "discovery-fallback",
        "discovery-proxy", "discovery-srv", "discovery-srv-name", "strict-reconfig-check",
        "pre-vote", "auto-compaction-retention", "auto-compaction-mode", "enable-v2", "cert-file",
        "key-file", "client-cert-auth", "client-crl-file", "trusted-ca-file", "auto-tls",
        "peer-cert-file", "peer-key-file", "peer-client-cert-auth", "peer-trusted-ca-file",
        "peer-auto-tls", "peer-cert-allowed-cn", "peer-cert-allowed-hostname", "peer-crl-file",
        "cipher-suites", "cors", "auth-token", "bcrypt-cost", "auth-token-ttl", "enable-pprof",
        "metrics", "listen-metrics-urls", "logger", "log-outputs", "log-level", "config-file",
        "proxy", "force-new-cluster", "unsafe-no-fsync",
    } <= set(FLAGS)  # fmt: skip
