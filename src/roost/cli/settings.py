"""The settings of `roost serve`: etcd 3.5's flags, each taken with its meaning or refused.

What starts etcd can start Roost.  A setting comes from a flag (`--name value`, `--name=value`,
or etcd's `-name`), else from the environment (`ROOST_NAME`, else `ETCD_NAME`), else it has its
default.  A configuration file (`--config-file`, YAML with the flags' names) replaces flags and
environment together, as with etcd.

An empty variable, and an empty value in the file, mean "not set", as with etcd: a compose file or
a unit passes on what nobody has filled in.

`TAKEN` flags do what etcd's do.  `NOTED` ones have nothing to act on here, or do the safer thing
in any case: they are taken with any value, and `notes` says why.  A flag of `REFUSED` may be given
with its harmless value, since tools pass it; any other value would promise what is not done, and
ends with the reason.  What nobody knows is warned of (variables, keys of the file) or refused
(flags), as with etcd.  Nothing is swallowed in silence.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from roost.errors import CallerFault
from roost.os_errors import words_of

LOG_LEVELS = ("debug", "info", "warn", "error", "panic", "fatal")


class BadSetting(CallerFault):
    """A setting has a value that cannot be used; the text names the setting."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting.  `kind` is str, int or bool.

    `text` says what it does, or why it does nothing; `harmless` are the only values of a flag
    that is refused.
    """

    name: str
    kind: type
    default: Any  # a str, int or bool, as `kind` says
    text: str
    harmless: tuple[str, ...] = ()

    @property
    def environment(self) -> tuple[str, str]:
        """The variables it is read from, ours first."""
        base = self.name.upper().replace("-", "_")
        return f"ROOST_{base}", f"ETCD_{base}"


TAKEN: tuple[Flag, ...] = (
    Flag("name", str, "default", "Human-readable name of this member."),
    Flag("data-dir", str, "", "Where the data lies; default <name>.roost."),
    Flag("listen-client-urls", str, "http://localhost:2379", "Where clients are served."),
    Flag(
        "advertise-client-urls", str, "", "Client URLs told to others; default: those listened on."
    ),
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
    Flag(
        "strict-permissions",
        bool,
        False,
        "Refuse a data directory that others than its owner may use, instead of a warning.",
    ),
    Flag("scrub-interval", str, "24h", "How often the whole store is read and checked; 0 = never."),
    Flag("backup-dir", str, "", "Where backups are saved; none are when it is empty."),
    Flag("backup-interval", str, "24h", "How often a backup is saved."),
    Flag("backup-keep", int, 7, "How many backups are kept."),
    Flag("max-txn-ops", int, 128, "Most operations in a transaction."),
    Flag("max-concurrent-streams", int, 4096, "Most open calls of one client connection."),
    Flag("max-connections", int, 10_000, "Most open client connections."),
    Flag("max-watchers", int, 100_000, "Most watchers on this member."),
    Flag("max-leases", int, 1_000_000, "Most leases in the cluster."),
    Flag("auto-compaction-mode", str, "periodic", "`periodic` keeps hours, `revision` revisions."),
    Flag("auto-compaction-retention", str, "0", "What compaction keeps: 1h, 30m, 1000; 0 = all."),
    Flag("cert-file", str, "", "Certificate for clients; with it https URLs are served."),
    Flag("key-file", str, "", "Key of --cert-file."),
    Flag("trusted-ca-file", str, "", "Whose certificates clients must have."),
    Flag("client-cert-auth", bool, False, "Clients need certificates, whose name is their user."),
    Flag("client-crl-file", str, "", "Certificates of clients that were revoked."),
    Flag("client-cert-allowed-hostname", str, "", "The host a client's certificate must be for."),
    Flag("auto-tls", bool, False, "Serve clients with a certificate made here."),
    Flag("peer-cert-file", str, "", "Certificate for other members."),
    Flag("peer-key-file", str, "", "Key of --peer-cert-file."),
    Flag("peer-trusted-ca-file", str, "", "Whose certificates other members must have."),
    Flag("peer-client-cert-auth", bool, False, "Other members must show certificates."),
    Flag("peer-crl-file", str, "", "Certificates of members that were revoked."),
    Flag("peer-cert-allowed-cn", str, "", "The common name a member's certificate must have."),
    Flag("peer-cert-allowed-hostname", str, "", "The host a member's certificate must be for."),
    Flag("peer-auto-tls", bool, False, "Talk to members with a certificate made here."),
    Flag("peer-secret-file", str, "", "Secrets, one a line; who knows none of them is no member."),
    Flag("self-signed-cert-validity", int, 1, "Years for which certificates made here are good."),
    Flag(
        "cipher-suites",
        str,
        "",
        "TLS 1.2 ciphers: Go's names, comma-separated, or OpenSSL's, colon-separated.",
    ),
    Flag("tls-min-version", str, "", "Oldest TLS spoken: TLS1.2 (the default) or TLS1.3."),
    Flag("tls-max-version", str, "", "Newest TLS spoken: TLS1.2 or TLS1.3; default: the newest."),
    Flag(
        "auth-token", str, "simple", "`simple`, or jwt,sign-method=..,pub-key=..,priv-key=..,ttl=.."
    ),
    Flag("auth-token-ttl", int, 300, "Seconds after which a simple token that nobody uses ends."),
    Flag("bcrypt-cost", int, 10, "Work for one password: 4 to 31, each step doubles it."),
    Flag("password-length-min", int, 1, "Fewest characters of a new password."),
    Flag("cors", str, "*", "Origins whose pages may use the JSON gateway, comma-separated."),
    Flag("host-whitelist", str, "*", "Hosts that plain HTTP requests may be for, comma-separated."),
    Flag("enable-grpc-gateway", bool, True, "Serve the JSON gateway under /v3/."),
    Flag("listen-metrics-urls", str, "", "Where /metrics and /health are served besides."),
    Flag("grpc-keepalive-interval", str, "2h", "Silence after which a client is asked for life."),
    Flag("grpc-keepalive-timeout", str, "20s", "How long a client may take to answer that."),
    Flag("socket-reuse-port", bool, False, "Share the client port with other processes."),
    Flag("shutdown-grace", str, "2s", "How long open calls may go on when the member stops."),
    Flag(
        "experimental-watch-progress-notify-interval",
        str,
        "10m",
        "How often a quiet watcher that asked for it hears how far it has come.",
    ),
    Flag("logger", str, "zap", "The one logger, whose lines look like zap's."),
    Flag("log-outputs", str, "default", "`stderr`, `stdout` or paths, comma-separated."),
    Flag("log-level", str, "info", "debug, info, warn, error, panic or fatal."),
    Flag("log-format", str, "json", "json or console."),
    Flag("config-file", str, "", "YAML file with settings; replaces flags and environment."),
)

_BBOLT = "the store is not bbolt, and flushes by itself"
_ROTATION = "what runs the member rotates its log"
_V2_PROXY = "there is no v2 proxy"
_TRACING = "there is no tracer"

# They may have any value, and change nothing; a line at the start says why.
NOTED: tuple[Flag, ...] = (
    Flag("enable-v2", bool, False, "the v2 interface is not there yet"),
    Flag("v2-deprecation", str, "not-yet", "there are no v2 data to deprecate"),
    Flag("max-snapshots", int, 5, "snapshots are made when they are asked for, and not kept"),
    Flag("max-wals", int, 5, "segments are kept by --snapshot-count"),
    Flag("backend-bbolt-freelist-type", str, "map", _BBOLT),
    Flag("backend-batch-interval", str, "", _BBOLT),
    Flag("backend-batch-limit", int, 0, _BBOLT),
    Flag("grpc-keepalive-min-time", str, "5s", "pings are counted with all control frames"),
    Flag("socket-reuse-address", bool, False, "addresses are always used again"),
    Flag("initial-election-tick-advance", bool, True, "the first election comes as fast"),
    Flag("metrics", str, "basic", "there is one set of metrics"),
    Flag("strict-reconfig-check", bool, True, "changes are always checked"),
    Flag("pre-vote", bool, True, "pre-vote is always on"),
    Flag("enable-pprof", bool, False, "there is no Go runtime to profile"),
    Flag("unsafe-no-fsync", bool, False, "every acknowledged write is synced"),
    Flag("enable-log-rotation", bool, False, _ROTATION),
    Flag("log-rotation-config-json", str, "", _ROTATION),
    Flag("experimental-enable-distributed-tracing", bool, False, _TRACING),
    Flag("proxy-failure-wait", int, 5000, _V2_PROXY),
    Flag("proxy-refresh-interval", int, 30000, _V2_PROXY),
    Flag("proxy-dial-timeout", int, 1000, _V2_PROXY),
    Flag("proxy-write-timeout", int, 5000, _V2_PROXY),
    Flag("proxy-read-timeout", int, 0, _V2_PROXY),
    Flag("experimental-initial-corrupt-check", bool, False, "state digests are always compared"),
    Flag("experimental-corrupt-check-time", str, "0s", "state digests are always compared"),
    Flag("experimental-enable-lease-checkpoint", bool, False, "leases are always checkpointed"),
    Flag("experimental-compaction-batch-limit", int, 1000, "compaction removes 1000 at a time"),
    Flag("experimental-warning-apply-duration", str, "100ms", "applying writes to memory only"),
    Flag("experimental-txn-mode-write-with-shared-buffer", bool, True, _BBOLT),
    Flag("experimental-bootstrap-defrag-threshold-megabytes", int, 0, _BBOLT),
    Flag("experimental-distributed-tracing-address", str, "localhost:4317", _TRACING),
    Flag("experimental-distributed-tracing-service-name", str, "etcd", _TRACING),
    Flag("experimental-distributed-tracing-instance-id", str, "", _TRACING),
)

_DISCOVERY = "discovery is not there; name the members with --initial-cluster"

# They would promise what is not done: only the value that changes nothing is taken.
REFUSED: tuple[Flag, ...] = (
    Flag("wal-dir", str, "", "the journal lies in the data directory", ("",)),
    Flag("discovery", str, "", _DISCOVERY, ("",)),
    Flag("discovery-fallback", str, "proxy", _DISCOVERY, ("proxy", "exit")),
    Flag("discovery-proxy", str, "", _DISCOVERY, ("",)),
    Flag("discovery-srv", str, "", _DISCOVERY, ("",)),
    Flag("discovery-srv-name", str, "", _DISCOVERY, ("",)),
    Flag("proxy", str, "off", _V2_PROXY, ("off",)),
    Flag("experimental-enable-v2v3", str, "", "the v2 interface is not there yet", ("",)),
    Flag(
        "experimental-peer-skip-client-san-verification",
        bool,
        False,
        "a certificate must belong to its member; --peer-cert-allowed-cn takes one name for all",
        ("false",),
    ),
)

FLAGS: dict[str, Flag] = {flag.name: flag for flag in (*TAKEN, *NOTED, *REFUSED)}
# Its zero is the default, and anything below is no quota, as with etcd.
_MAY_BE_ANY = frozenset({"quota-backend-bytes"})
# Go reads a bare number in the file as so many nanoseconds.
_DURATIONS = frozenset(
    {
        "grpc-keepalive-min-time",
        "grpc-keepalive-interval",
        "grpc-keepalive-timeout",
        "experimental-corrupt-check-time",
        "experimental-warning-apply-duration",
        "experimental-watch-progress-notify-interval",
    }
)
Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """What was said, as text, by the names of flags; and what was said that nobody knows."""

    raw: Mapping[str, str]
    unknown: tuple[str, ...] = ()


def read_given(flags: Mapping[str, str], environment: Mapping[str, str]) -> Given:
    """Merge flags and environment, or read the configuration file.

    Raises:
        BadSetting: the file cannot be read.

    """
    raw = dict(flags)
    for flag in FLAGS.values():
        if flag.name not in raw:
            said = next((found for it in flag.environment if (found := environment.get(it))), "")
            if said:
                raw[flag.name] = said
    unknown = _unknown_variables(environment)
    if raw.get("config-file"):
        raw, keys = _read_file(Path(raw["config-file"]))
        unknown += keys
    return Given(raw, tuple(unknown))


def load_settings(given: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """All settings, from flags, environment and defaults, or from the configuration file.

    Raises:
        BadSetting: a value cannot be used, or has no effect yet and is not harmless.

    """
    return settings_of(read_given(given, environment))


def settings_of(given: Given) -> Settings:
    """All settings: those given, and the defaults of all others.

    Raises:
        BadSetting: a value cannot be used, or has no effect yet and is not harmless.

    """
    return {name: _value(flag, given.raw.get(name)) for name, flag in FLAGS.items()}


# Variables that begin as a setting's do, and are the commands' (`roost.cli.shared`) or a child's.
_OTHER_VARIABLES = re.compile(
    "ROOST_(ENDPOINTS|USER|PASSWORD|CACERT|CERT|KEY|LOCK_[A-Z_]+|WATCH_[A-Z_]+|TEST_[A-Z_]+)"
)


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """What is set as if it were a setting, and is none: a misspelt one starts a wrong member."""
    known = {it for flag in FLAGS.values() for it in flag.environment}
    return [
        f"the variable {name} is no setting, and changes nothing"
        for name in sorted(environment)
        if name.startswith(("ETCD_", "ROOST_"))
        and name not in known
        and not _OTHER_VARIABLES.fullmatch(name)
    ]


def notes(settings: Settings) -> list[str]:
    """A line for each flag that was given something and changes nothing."""
    return [
        f"--{flag.name}={settings[flag.name]} changes nothing: {flag.text}"
        for flag in NOTED
        if settings[flag.name] != flag.default
    ]


# Sections of etcd's YAML file, and what stands before their names among the flags.
_SECTIONS = {"client-transport-security": "", "peer-transport-security": "peer-"}
_SECTION_NAMES = {
    "client-transport-security": {
        "allowed-hostname": "client-cert-allowed-hostname",
        "crl-file": "client-crl-file",
    },
    "peer-transport-security": {
        "allowed-cn": "peer-cert-allowed-cn",
        "allowed-hostname": "peer-cert-allowed-hostname",
    },
}


def _read_file(path: Path) -> tuple[dict[str, str], list[str]]:
    """The settings in a file, and a line for each that nobody knows."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadSetting(f"--config-file: {words_of(error)}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSetting(f"config-file {path}: {error}") from error
    if not isinstance(content, dict):
        raise BadSetting(f"config-file {path} holds no settings")
    raw: dict[str, str] = {}
    unknown: list[str] = []
    for place, name, value in _items(content):
        if name not in FLAGS:
            unknown.append(f"config-file {path}: {place!r} is no setting, and changes nothing")
        elif text := _as_text(name, value):
            raw[name] = text
    return raw, unknown


def _items(content: Mapping[Any, Any]) -> Iterator[tuple[str, str, object]]:  # Any: YAML's
    """Where each value of a file stands, the flag that it is, and the value."""
    for name, value in content.items():
        if name not in _SECTIONS:
            yield str(name), str(name), value
            continue
        for inner, setting in value.items() if isinstance(value, dict) else ():
            flag = _SECTION_NAMES[name].get(str(inner), f"{_SECTIONS[name]}{inner}")
            yield f"{name}.{inner}", flag, setting


def _as_text(name: str, value: object) -> str:
    """A value of YAML as a flag would have it; empty when there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and name in _DURATIONS:
        return f"{value}ns"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _value(flag: Flag, text: str | None) -> Any:  # a str, int or bool, as the flag says
    if text is None:
        return flag.default
    if flag.harmless and text.lower() not in flag.harmless:
        raise BadSetting(f"--{flag.name}={text}: {flag.text}")
    if flag.kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "t", "f"):
            raise BadSetting(f"--{flag.name}={text} is neither true nor false")
        return text.lower() in ("true", "1", "t")
    if flag.kind is int:
        try:
            number = int(text)
        except ValueError as error:
            raise BadSetting(f"--{flag.name}={text} is no number") from error
        if flag in TAKEN and number <= 0 and flag.name not in _MAY_BE_ANY:
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
        cluster[name] = (*cluster.get(name, ()), url.rstrip("/"))
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
