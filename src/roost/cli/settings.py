"""The settings of `roost serve`: etcd 3.5's flags, each taken with its meaning or refused.

What starts etcd can start Roost.  A setting comes from a flag (`--name value`, `--name=value`,
or etcd's `-name`), else from the environment (`ROOST_NAME`, else `ETCD_NAME`), else it has its
default.  A configuration file (`--config-file`, YAML with the flags' names) replaces flags and
environment together, as with etcd.

`TAKEN` flags do what etcd's do.  A flag of `REFUSED` may be given with its harmless value, since
tools pass it; any other value ends with the reason, never silently.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from roost.errors import CallerFault

LOG_LEVELS = ("debug", "info", "warn", "error", "panic", "fatal")


class BadSetting(CallerFault):
    """A setting has a value that cannot be used; the text names the setting."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting.  `kind` is str, int or bool; `harmless` are values that change nothing."""

    name: str
    kind: type
    default: Any  # a str, int or bool, as `kind` says
    help: str
    refusal: str = ""
    harmless: tuple[str, ...] = ()

    @property
    def environment(self) -> tuple[str, str]:
        """The variables it is read from, ours first."""
        base = self.name.upper().replace("-", "_")
        return f"ROOST_{base}", f"ETCD_{base}"


_LATER_TLS = "TLS is not there yet; connections are plain"
_LATER_DISCOVERY = "discovery is not there yet; name the members with --initial-cluster"

TAKEN: tuple[Flag, ...] = (
    Flag("name", str, "default", "Human-readable name of this member."),
    Flag("data-dir", str, "", "Where the data lies; default <name>.roost."),
    Flag("listen-client-urls", str, "http://localhost:2379", "Where clients are served."),
    Flag("advertise-client-urls", str, "http://localhost:2379", "Client URLs told to others."),
    Flag("listen-peer-urls", str, "http://localhost:2380", "Where other members are heard."),
    Flag("initial-advertise-peer-urls", str, "http://localhost:2380", "Peer URLs told to others."),
    Flag("initial-cluster", str, "", "All first members: name=url,name=url."),
    Flag("initial-cluster-state", str, "new", "`new`: this is the first start of the cluster."),
    Flag("initial-cluster-token", str, "etcd-cluster", "Tells clusters with equal URLs apart."),
    Flag(
        "force-new-cluster",
        bool,
        False,
        "A majority is lost for good: go on alone, as a new cluster, with what is here.",
    ),
    Flag(
        "lease-reads",
        bool,
        False,
        "The leader reads without asking, as long as clocks run alike; on all members or on none.",
    ),
    Flag("heartbeat-interval", int, 100, "Milliseconds between a leader's heartbeats."),
    Flag("election-timeout", int, 1000, "Milliseconds without a leader until an election."),
    Flag("snapshot-count", int, 10_000, "Entries kept in the journal for members that lag."),
    Flag("max-request-bytes", int, 1_572_864, "Largest request a client may send, in bytes."),
    Flag("quota-backend-bytes", int, 0, "Size of the store at which writes stop; 0 = 2 GiB."),
    Flag("segment-bytes", int, 16 << 20, "Size of a journal file, in bytes."),
    Flag("scrub-interval", str, "24h", "How often the whole store is read and checked; 0 = never."),
    Flag("backup-dir", str, "", "Where backups are saved; none are when it is empty."),
    Flag("backup-interval", str, "24h", "How often a backup is saved."),
    Flag("backup-keep", int, 7, "How many backups are kept."),
    Flag("log-level", str, "info", "debug, info, warn, error, panic or fatal."),
    Flag("log-format", str, "json", "json or console."),
    Flag("config-file", str, "", "YAML file with settings; replaces flags and environment."),
)

REFUSED: tuple[Flag, ...] = (
    Flag("wal-dir", str, "", "", "the journal lies in the data directory", ("",)),
    Flag("max-snapshots", int, 5, "", "snapshots are not kept as files yet", ("5",)),
    Flag("max-wals", int, 5, "", "segments are kept by --snapshot-count", ("5",)),
    Flag("cors", str, "", "", "the JSON gateway is not there yet", ("", "*")),
    Flag("max-txn-ops", int, 128, "", "the limit is 128", ("128",)),
    Flag("max-concurrent-streams", int, 256, "", "the limit is 256", ("256",)),
    Flag("discovery", str, "", "", _LATER_DISCOVERY, ("",)),
    Flag("discovery-fallback", str, "proxy", "", _LATER_DISCOVERY, ("proxy", "exit")),
    Flag("discovery-proxy", str, "", "", _LATER_DISCOVERY, ("",)),
    Flag("discovery-srv", str, "", "", _LATER_DISCOVERY, ("",)),
    Flag("discovery-srv-name", str, "", "", _LATER_DISCOVERY, ("",)),
    Flag("strict-reconfig-check", bool, True, "", "changes are always checked", ("true",)),
    Flag("pre-vote", bool, True, "", "pre-vote is always on", ("true",)),
    Flag("auto-compaction-retention", str, "0", "", "compaction is not automatic yet", ("0",)),
    Flag(
        "auto-compaction-mode",
        str,
        "periodic",
        "",
        "compaction is not automatic yet",
        ("periodic", "revision"),
    ),
    Flag("enable-v2", bool, False, "", "the v2 interface is not there yet", ("false",)),
    Flag("proxy", str, "off", "", "the v2 proxy is not there", ("off",)),
    Flag("cert-file", str, "", "", _LATER_TLS, ("",)),
    Flag("key-file", str, "", "", _LATER_TLS, ("",)),
    Flag("client-cert-auth", bool, False, "", _LATER_TLS, ("false",)),
    Flag("client-crl-file", str, "", "", _LATER_TLS, ("",)),
    Flag("trusted-ca-file", str, "", "", _LATER_TLS, ("",)),
    Flag("auto-tls", bool, False, "", _LATER_TLS, ("false",)),
    Flag("peer-cert-file", str, "", "", _LATER_TLS, ("",)),
    Flag("peer-key-file", str, "", "", _LATER_TLS, ("",)),
    Flag("peer-client-cert-auth", bool, False, "", _LATER_TLS, ("false",)),
    Flag("peer-trusted-ca-file", str, "", "", _LATER_TLS, ("",)),
    Flag("peer-auto-tls", bool, False, "", _LATER_TLS, ("false",)),
    Flag("peer-cert-allowed-cn", str, "", "", _LATER_TLS, ("",)),
    Flag("peer-cert-allowed-hostname", str, "", "", _LATER_TLS, ("",)),
    Flag("peer-crl-file", str, "", "", _LATER_TLS, ("",)),
    Flag("cipher-suites", str, "", "", _LATER_TLS, ("",)),
    Flag("auth-token", str, "simple", "", "authentication is not there yet", ("simple",)),
    Flag("bcrypt-cost", int, 10, "", "authentication is not there yet", ("10",)),
    Flag("auth-token-ttl", int, 300, "", "authentication is not there yet", ("300",)),
    Flag("logger", str, "zap", "", "there is one logger; its lines look like zap's", ("zap",)),
    Flag("log-outputs", str, "default", "", "logs go to standard error", ("default", "stderr")),
    Flag("metrics", str, "basic", "", "there is one set of metrics", ("basic",)),
    Flag("listen-metrics-urls", str, "", "", "metrics are on the client port", ("",)),
    Flag("enable-pprof", bool, False, "", "there is no Go runtime to profile", ("false",)),
    Flag("grpc-keepalive-min-time", str, "5s", "", "the limit is fixed", ("5s",)),
    Flag("grpc-keepalive-interval", str, "2h", "", "the interval is fixed", ("2h", "2h0m0s")),
    Flag("grpc-keepalive-timeout", str, "20s", "", "the timeout is fixed", ("20s",)),
    Flag("unsafe-no-fsync", bool, False, "", "every acknowledged write is synced", ("false",)),
    Flag(
        "initial-election-tick-advance",
        bool,
        True,
        "",
        "the first election comes as fast",
        ("true", "false"),
    ),
    Flag(
        "enable-grpc-gateway",
        bool,
        True,
        "",
        "the JSON gateway is not there yet",
        ("true", "false"),
    ),
)

FLAGS: dict[str, Flag] = {flag.name: flag for flag in (*TAKEN, *REFUSED)}
Settings = Mapping[str, Any]


def load_settings(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Merge flags, environment and defaults, or read the configuration file.

    Raises:
        BadSetting: a value cannot be used, or has no effect yet and is not harmless.

    """
    raw = dict(given)
    for flag in FLAGS.values():
        if flag.name not in raw:
            for variable in flag.environment:
                if variable in environment:
                    raw[flag.name] = environment[variable]
                    break
    if raw.get("config-file"):
        raw = _read_file(Path(raw["config-file"]))
    return {name: _value(flag, raw.get(name)) for name, flag in FLAGS.items()}


def _read_file(path: Path) -> dict[str, str]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadSetting(f"config-file {path}: {error}") from error
    if not isinstance(content, dict):
        raise BadSetting(f"config-file {path} holds no settings")
    raw: dict[str, str] = {}
    for name, value in content.items():
        if name not in FLAGS:
            raise BadSetting(f"config-file {path}: unknown setting {name!r}")
        raw[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return raw


def _value(flag: Flag, text: str | None) -> Any:  # a str, int or bool, as the flag says
    if text is None:
        return flag.default
    if flag.refusal and text.lower() not in flag.harmless:
        raise BadSetting(f"--{flag.name}={text}: {flag.refusal}")
    if flag.kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "t", "f"):
            raise BadSetting(f"--{flag.name}={text} is neither true nor false")
        return text.lower() in ("true", "1", "t")
    if flag.kind is int:
        try:
            number = int(text)
        except ValueError as error:
            raise BadSetting(f"--{flag.name}={text} is no number") from error
        if number < 0 or (number == 0 and not flag.refusal):
            raise BadSetting(f"--{flag.name}={text} must be positive")
        return number
    return text


def parse_initial_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """Read name=url,name=url; a name may stand several times, once for each of its URLs.

    Raises:
        BadSetting: an item is not name=url.

    """
    cluster: dict[str, tuple[str, ...]] = {}
    for item in text.split(","):
        name, equals, url = item.strip().partition("=")
        if not equals or not name or not url:
            raise BadSetting(f"--initial-cluster: {item.strip()!r} is not name=url")
        cluster[name] = (*cluster.get(name, ()), url)
    return cluster


_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|us|µs|ns|m|s)")


def parse_duration(flag: str, text: str) -> float:
    """Seconds of a duration as Go writes it: 1h30m, 500ms, 0.

    Raises:
        BadSetting: it is none.

    """
    if text == "0":
        return 0.0
    parts = _DURATION.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise BadSetting(f"--{flag}={text}: write a duration as 1h30m or 500ms")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def from_environment() -> Mapping[str, str]:
    """The process's environment."""
    return os.environ
