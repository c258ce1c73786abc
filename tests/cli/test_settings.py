"""Settings: every flag is taken with its meaning or refused with the reason."""

import re
import ssl
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from roost.cli.main import main
from roost.cli.settings import (
    FLAGS,
    NOTED,
    REFUSED,
    TAKEN,
    Flag,
    Given,
    load_settings,
    notes,
    read_given,
    settings_of,
)
from roost.errors import RoostError
from roost.member import cluster_id_of, member_id_of
from roost.member.settings import make_world, member_config
from roost.server import serving_of
from roost.settings import BadSetting, Settings
from roost.settings.certificates import tls_files, unused_certificates
from roost.settings.ciphers import ciphers_of, versions_of
from roost.settings.durations import parse_duration, write_duration
from roost.settings.urls import parse_initial_cluster
from tests.integration.etcdctl import binary


@pytest.mark.parametrize("flag", REFUSED, ids=lambda it: it.name)
def test_a_flag_without_effect_is_refused_with_the_reason(flag: Flag) -> None:
    for value in flag.harmless:
        load_settings({flag.name: value}, {})
    with pytest.raises(BadSetting) as caught:
        load_settings({flag.name: "something-else"}, {})
    assert flag.text in str(caught.value)
    assert f"--{flag.name}" in str(caught.value)


_MAY_BE_NONE = ("max-memory-bytes", "quota-backend-bytes")
NUMBERS = [it for it in TAKEN if it.kind is int and it.name not in _MAY_BE_NONE]


@pytest.mark.parametrize("flag", NOTED, ids=lambda it: it.name)
def test_a_flag_with_nothing_to_act_on_is_taken_and_said_aloud(flag: Flag) -> None:
    value = {bool: str(not flag.default), int: "7", str: "something"}[flag.kind]
    [note] = notes(Given({flag.name: value}))
    assert f"--{flag.name}" in note
    assert flag.text in note


def test_flags_left_alone_are_not_spoken_of() -> None:
    assert notes(Given({})) == []


def test_every_flag_of_etcds_is_known() -> None:
    said = subprocess.run([binary("etcd"), "--help"], capture_output=True, text=True, check=True)
    theirs = set(re.findall(r"^ +--([a-z0-9-]+)", said.stdout + said.stderr, re.MULTILINE))
    assert len(theirs) > 80
    assert theirs <= set(FLAGS)


@pytest.mark.parametrize("flag", NUMBERS, ids=lambda it: it.name)
@pytest.mark.parametrize("text", ["-1", "0", "x", "", "1.5", "9" * 30, "9" * 5000])
def test_a_number_that_is_none_is_refused(flag: Flag, text: str) -> None:
    with pytest.raises(BadSetting, match=f"--{flag.name}"):
        load_settings({flag.name: text}, {})


def test_flags_come_before_our_variables_and_those_before_etcds() -> None:
    environment = {"ETCD_NAME": "etcds", "ROOST_NAME": "ours", "ETCD_DATA_DIR": "d"}
    assert load_settings({}, environment).name == "ours"
    assert load_settings({"name": "flag"}, environment).name == "flag"
    assert load_settings({}, environment).data_dir == "d"


@pytest.mark.parametrize("flag", FLAGS.values(), ids=lambda it: it.name)
def test_what_is_empty_in_the_environment_or_the_file_is_not_set(
    flag: Flag, tmp_path: Path
) -> None:
    ours, theirs = flag.environment
    assert load_settings({}, {ours: "", theirs: ""}) == Settings()
    path = tmp_path / "roost.yaml"
    for empty in ("", "''", "[]"):
        path.write_text(f"{flag.name}: {empty}\n")
        assert load_settings({"config-file": str(path)}, {}) == Settings()


def test_a_misspelt_variable_is_warned_of() -> None:
    environment = {"ETCD_NMAE": "x", "ROOST_DATADIR": "y", "ROOST_ENDPOINTS": "z", "ETCDCTL_X": "1"}
    assert [it.split()[2] for it in read_given({}, environment).unknown] == [
        "ETCD_NMAE", "ROOST_DATADIR",
    ]  # fmt: skip
    # As a member has it that `roost lock` runs.
    known = {"ETCD_NAME": "x", "ROOST_CERT_FILE": "y", "ROOST_LOCK_REVISION": "7"}
    assert read_given({}, known).unknown == ()


# What etcd's own `etcd.conf.yml.sample` sets to something.
SAMPLE = """
name: 'default'
data-dir:
wal-dir:
snapshot-count: 10000
quota-backend-bytes: 0
listen-peer-urls: http://localhost:2380
listen-client-urls: http://localhost:2379
max-wals: 5
cors:
advertise-client-urls: http://localhost:2379
discovery:
discovery-fallback: 'proxy'
discovery-srv:
initial-cluster:
initial-cluster-token: 'etcd-cluster'
strict-reconfig-check: false
enable-pprof: true
proxy: 'off'
proxy-read-timeout: 0
client-transport-security:
  cert-file:
  client-cert-auth: false
  auto-tls: false
peer-transport-security:
  cert-file:
  client-cert-auth: false
  auto-tls: false
  allowed-cn:
self-signed-cert-validity: 1
log-level: debug
logger: zap
log-outputs: [stderr]
force-new-cluster: false
auto-compaction-mode: periodic
auto-compaction-retention: "1"
cipher-suites: [
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
]
tls-min-version: 'TLS1.2'
tls-max-version: 'TLS1.3'
"""


def test_etcds_sample_configuration_starts_a_member(tmp_path: Path) -> None:
    path = tmp_path / "etcd.conf.yml"
    path.write_text(SAMPLE)
    given = read_given({"config-file": str(path)}, {})
    settings = settings_of(given)
    config = member_config(settings)
    serving_of(settings)
    make_world(settings)
    assert given.unknown == ()
    assert config.name == "default"
    assert [it.split("=")[0] for it in notes(given)] == [
        "--strict-reconfig-check", "--enable-pprof",
    ]  # fmt: skip
    assert ciphers_of(settings) == "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
    assert versions_of(settings) == ("TLS1.2", "TLS1.3")


@pytest.mark.parametrize("given", [-1, 1, 512, (64 << 20) - 1])
def test_a_memory_that_no_member_can_live_with_is_refused(given: int) -> None:
    """It was started with 512 that were meant as megabytes, and refused all that was asked."""
    with pytest.raises(BadSetting, match=rf"^--max-memory-bytes={given}: at least 67108864 bytes"):
        make_world(Settings(max_memory_bytes=given))
    make_world(Settings(max_memory_bytes=64 << 20))


# As Go's crypto/tls names them, without those that no OpenSSL of today has (RC4, 3DES).
GO_CIPHERS = (
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
)


@pytest.mark.parametrize("name", GO_CIPHERS)
def test_gos_names_of_ciphers_are_known_to_openssl(name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers_of(Settings(cipher_suites=name)) + ":@SECLEVEL=0")


def test_ciphers_and_versions_that_are_none_are_refused() -> None:
    for name in ("TLS_X", "TLS_ECDHE_RSA_WITH_NULL", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"):
        with pytest.raises(BadSetting, match=name):
            ciphers_of(Settings(cipher_suites=name))
    assert ciphers_of(Settings(cipher_suites="AES128-SHA:AES256-SHA")) == "AES128-SHA:AES256-SHA"
    only_new = load_settings({"cipher-suites": "TLS_AES_128_GCM_SHA256"}, {})
    assert (ciphers_of(only_new), versions_of(only_new)) == ("", ("TLS1.3", ""))
    for changes in ({"tls-min-version": "TLS1.1"}, {"tls-max-version": "1.2"}):
        with pytest.raises(BadSetting, match="or TLS1"):
            versions_of(load_settings(changes, {}))
    with pytest.raises(BadSetting, match="oldest"):
        versions_of(load_settings({"tls-min-version": "TLS1.3", "tls-max-version": "TLS1.2"}, {}))


@pytest.mark.parametrize(("prefix", "urls"), [("", "client"), ("peer-", "peer")])
def test_certificates_that_nobody_would_be_shown_are_said(prefix: str, urls: str) -> None:
    with pytest.raises(BadSetting, match=f"--{prefix}auto-tls protects nobody.*listen-{urls}-urls"):
        tls_files(load_settings({f"{prefix}auto-tls": "true"}, {}))
    half = {"listen-peer-urls": "https://localhost:1", "peer-auto-tls": "true"}
    with pytest.raises(BadSetting, match="none of them is: --initial-advertise-peer-urls=http:"):
        tls_files(load_settings(half, {}))
    settings = load_settings({f"{prefix}cert-file": "c.pem"}, {})
    assert tls_files(settings) == []
    [note] = unused_certificates(settings)
    assert f"--{prefix}cert-file=c.pem is not used: --listen-{urls}-urls" in note


def test_who_has_set_a_setting_is_known(tmp_path: Path) -> None:
    environment = {"ROOST_NAME": "m1", "ETCD_NAME": "m2", "ETCD_DATA_DIR": "d", "ETCD_CORS": ""}
    given = read_given({"enable-v2": "true", "data-dir": "e"}, environment)
    said = {"enable-v2": "--enable-v2", "data-dir": "--data-dir", "name": "ROOST_NAME"}
    assert given.origins == said
    path = tmp_path / "roost.yaml"
    path.write_text("name: m3\ncors: ''\n")
    given = read_given({"enable-v2": "true", "config-file": str(path)}, environment)
    assert given.origins == {"name": str(path)}, "the file replaces all of these"


def test_a_configuration_file_replaces_flags_and_variables(tmp_path: Path) -> None:
    path = tmp_path / "roost.yaml"
    path.write_text("name: filed\nheartbeat-interval: 50\nenable-v2: false\n")
    settings = load_settings({"config-file": str(path), "name": "flag"}, {"ETCD_DATA_DIR": "d"})
    assert (settings.name, settings.heartbeat_interval, settings.data_dir) == (
        "filed", 50, "",
    )  # fmt: skip
    path.write_text(
        "client-transport-security:\n  cert-file: c\n  client-cert-auth: true\n"
        "peer-transport-security:\n  trusted-ca-file: p\nlog-outputs: [stderr, x]\n"
    )
    settings = load_settings({"config-file": str(path)}, {})
    assert settings.cert_file == "c"
    assert settings.client_cert_auth
    assert settings.peer_trusted_ca_file == "p"
    assert settings.log_outputs == ("stderr", "x")
    path.write_text("nmae: x\npeer-transport-security: {cert_file: y, key-file: k}\n")
    given = read_given({"config-file": str(path)}, {})
    assert [re.findall("'([^']+)'", it)[0] for it in given.unknown] == [
        "nmae", "peer-transport-security.cert_file",
    ]  # fmt: skip
    assert given.raw == {"peer-key-file": "k"}
    path.write_text("grpc-keepalive-interval: 3000000000\n")
    assert load_settings({"config-file": str(path)}, {}).grpc_keepalive_interval == 3.0
    path.write_text("- just\n- a list\n")
    with pytest.raises(BadSetting, match="no settings"):
        load_settings({"config-file": str(path)}, {})
    with pytest.raises(BadSetting, match=r"missing\.yaml: No such"):
        load_settings({"config-file": str(tmp_path / "missing.yaml")}, {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"initial-cluster-state": "old"}, "--initial-cluster-state"),
        ({"initial-cluster": "m1"}, "is not name=url"),
        ({"election-timeout": "200"}, "at least 500, five times heartbeat-interval"),
        ({"listen-peer-urls": "unix://127.0.0.1:1"}, "--listen-peer-urls: .* only clients"),
        ({"listen-peer-urls": "http://127.0.0.1"}, "must be of the form http"),
        ({"initial-cluster": "a=127.0.0.1:1"}, "--initial-cluster: .* must begin with http"),
        ({"initial-cluster": "a=unix://p"}, "--initial-cluster: .* only clients"),
        ({"listen-peer-urls": "http://127.0.0.1:99999"}, "is not a URL"),
        ({"name": ""}, "--name must not be empty"),
    ],
)
def test_settings_that_contradict_each_other_are_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(RoostError, match=words):
        member_config(load_settings(changes, {}))


@pytest.mark.parametrize("flag", TAKEN, ids=lambda it: it.name)
def test_a_default_may_be_given_as_it_is_written(flag: Flag) -> None:
    """The reference page shows it so."""
    if flag.name not in ("quota-backend-bytes", "config-file"):
        assert load_settings({flag.name: flag.default_text}, {}) == Settings()


def test_durations_are_written_as_they_are_read() -> None:
    for text in ("1h", "24h", "10m", "90s", "1s", "61m"):
        assert write_duration(parse_duration("f", text)) == text


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
