"""The settings of `roost serve`: etcd 3.5's flags, each taken with its meaning or refused.

What starts etcd can start Roost.  A setting comes from a flag (`--name value`, `--name=value`,
or etcd's `-name`), else from the environment (`ROOST_NAME`, else `ETCD_NAME`), else it has its
default.  A configuration file (`--config-file`, YAML with the flags' names) replaces flags and
environment together, as with etcd.

An empty variable, and an empty value in the file, mean "not set", as with etcd: a compose file or
a unit passes on what nobody has filled in.

`TAKEN` flags are the fields of `roost.settings.Settings`, and do what etcd's do.  `NOTED` ones
have nothing to act on here, or do the safer thing in any case: they are taken with any value, and
`notes` says why.  A flag of `REFUSED` may be given with its harmless value, since tools pass it;
any other value would promise what is not done, and ends with the reason.  What nobody knows is
warned of (variables, keys of the file) or refused (flags), as with etcd.  Nothing is swallowed in
silence.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import yaml

from roost.os_errors import words_of
from roost.settings import DEFAULTS, BadSetting, Settings
from roost.settings.durations import parse_duration, write_duration
from roost.settings.settings import Texts

LOG_LEVELS = ("debug", "info", "warn", "error", "panic", "fatal")


# A duration in seconds is a float.
Value = str | int | bool | float | Texts
_KINDS: Mapping[object, type] = {it: it for it in (str, int, bool, float)} | {Texts: tuple}


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting.  `kind` is str, int, bool, float (a duration) or tuple (texts).

    `text` says what it does, or why it does nothing; `harmless` are the only values of a flag
    that is refused.
    """

    name: str
    kind: type
    default: Value
    text: str
    harmless: tuple[str, ...] = ()

    @property
    def default_text(self) -> str:
        """The default as it would be given."""
        match self.default:
            case float():
                return write_duration(self.default)
            case tuple():
                return ",".join(self.default)
            case _:
                return str(self.default)

    @property
    def environment(self) -> tuple[str, str]:
        """The variables it is read from, ours first."""
        base = self.name.upper().replace("-", "_")
        return f"ROOST_{base}", f"ETCD_{base}"


def _taken() -> Iterator[Flag]:
    """A flag for each field of `Settings`; fields and flags have each other's names."""
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        kind, text = hint.__origin__, hint.__metadata__[0]
        yield Flag(name.replace("_", "-"), _KINDS[kind], getattr(DEFAULTS, name), text)


TAKEN = tuple(_taken())

_BBOLT = "the store is not bbolt, and flushes by itself"
_ROTATION = "what runs the member rotates its log"
_V2_PROXY = "there is no v2 proxy"
_V2_TREES = "v2 has trees of its own, and shows no keys of v3"
_UNKEPT = "no connection to a discovery service is kept open"
_URLS_SAY = "the URLs of --discovery-endpoints say whether they speak TLS"

# They may have any value, and change nothing; a line at the start says why.
NOTED: tuple[Flag, ...] = (
    Flag("v2-deprecation", str, "not-yet", "v2 is answered as long as --enable-v2 says so"),
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
    Flag("proxy-failure-wait", int, 5000, _V2_PROXY),
    Flag("proxy-refresh-interval", int, 30000, _V2_PROXY),
    Flag("proxy-dial-timeout", int, 1000, _V2_PROXY),
    Flag("proxy-write-timeout", int, 5000, _V2_PROXY),
    Flag("proxy-read-timeout", int, 0, _V2_PROXY),
    Flag("discovery-dial-timeout", str, "2s", "--discovery-request-timeout is for all of it"),
    Flag("discovery-keepalive-time", str, "2s", _UNKEPT),
    Flag("discovery-keepalive-timeout", str, "6s", _UNKEPT),
    Flag("discovery-insecure-transport", bool, True, _URLS_SAY),
    Flag("experimental-initial-corrupt-check", bool, False, "state digests are always compared"),
    Flag("experimental-corrupt-check-time", str, "0s", "state digests are always compared"),
    Flag("experimental-enable-lease-checkpoint", bool, False, "leases are always checkpointed"),
    Flag("experimental-compaction-batch-limit", int, 1000, "compaction removes 100 at a time"),
    Flag("experimental-warning-apply-duration", str, "100ms", "applying writes to memory only"),
    Flag("experimental-txn-mode-write-with-shared-buffer", bool, True, _BBOLT),
    Flag("experimental-bootstrap-defrag-threshold-megabytes", int, 0, _BBOLT),
)

_PROXY = "discovery asks without a proxy"

# They would promise what is not done: only the value that changes nothing is taken.
REFUSED: tuple[Flag, ...] = (
    Flag("wal-dir", str, "", "the journal lies in the data directory", ("",)),
    Flag("discovery-proxy", str, "", _PROXY, ("",)),
    Flag("proxy", str, "off", _V2_PROXY, ("off",)),
    Flag(
        "experimental-enable-v2v3",
        str,
        "",
        _V2_TREES,
        ("",),
    ),
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
_MAY_BE_ANY = frozenset({"max-memory-bytes", "quota-backend-bytes"})
_NUMBER_MAX = (1 << 63) - 1  # as Go's flags: what counts with it stays within 64 bits
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


@dataclass(frozen=True, slots=True)
class Given:
    """What was said, as text, by the names of flags; and what was said that nobody knows."""

    raw: Mapping[str, str]
    unknown: tuple[str, ...] = ()
    # Who said each, by the names of flags: `--name`, `ROOST_NAME`, or the path of a file.
    origins: Mapping[str, str] = field(default_factory=dict)


def read_given(flags: Mapping[str, str], environment: Mapping[str, str]) -> Given:
    """Merge flags and environment, or read the configuration file.

    Raises:
        BadSetting: the file cannot be read.

    """
    raw = dict(flags)
    origins = {name: f"--{name}" for name in flags}
    for flag in FLAGS.values():
        if flag.name not in raw:
            said = next((it for it in flag.environment if environment.get(it)), "")
            if said:
                raw[flag.name], origins[flag.name] = environment[said], said
    unknown = _unknown_variables(environment)
    if path := raw.get("config-file"):
        raw, keys = _read_file(Path(path))
        origins = dict.fromkeys(raw, path)
        unknown += keys
    return Given(raw, tuple(unknown), origins)


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
    for flag in (*NOTED, *REFUSED):
        _value(flag, given.raw.get(flag.name))  # it may be one that cannot be
    taken = ((it.name.replace("-", "_"), _value(it, given.raw.get(it.name))) for it in TAKEN)
    fields: dict[str, Any] = dict(taken)  # Any: each is of its field's kind
    return Settings(**fields)


# Variables that begin as a setting's do, and are the commands' (`roost.cli.shared`) or a child's.
_OTHER_VARIABLES = re.compile(
    "ROOST_(ENDPOINTS|USER|PASSWORD|CACERT|CERT|KEY|LOCK_[A-Z_]+|WATCH_[A-Z_]+|TEST_[A-Z_]+)"
)


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """What is set as if it were a setting, and is none: a misspelt one starts a wrong member."""
    known = {it for flag in FLAGS.values() for it in flag.environment}
    return [
        f"the variable {name} is no setting, and changes nothing{_meant(name, known)}"
        for name in sorted(environment)
        if name.startswith(("ETCD_", "ROOST_"))
        and name not in known
        and not _OTHER_VARIABLES.fullmatch(name)
    ]


def _meant(name: str, known: Collection[str]) -> str:
    """What is most like it, as a question; nothing where nothing is."""
    near = get_close_matches(name, known, n=1)
    return f": is {near[0]} meant?" if near else ""


def notes(given: Given) -> list[str]:
    """A line for each flag that was given something and changes nothing."""
    found = ((flag, _value(flag, given.raw.get(flag.name))) for flag in NOTED)
    return [
        f"--{flag.name}={value} changes nothing: {flag.text}"
        for flag, value in found
        if value != flag.default
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
    for it in _items(content):
        if it.flag not in FLAGS:
            text = f"config-file {path}: {it.place!r} is no setting, and changes nothing"
            unknown.append(f"{text}{_meant(it.flag, FLAGS)}")
        elif text := _as_text(it.flag, it.value):
            raw[it.flag] = text
    return raw, unknown


class _Item(NamedTuple):
    """A value of a file: where it stands, and the flag that it is."""

    place: str
    flag: str
    value: object


def _items(content: Mapping[Any, Any]) -> Iterator[_Item]:  # Any: YAML's
    """All values of a file."""
    for name, value in content.items():
        if name not in _SECTIONS:
            yield _Item(str(name), str(name), value)
            continue
        for inner, setting in value.items() if isinstance(value, dict) else ():
            flag = _SECTION_NAMES[name].get(str(inner), f"{_SECTIONS[name]}{inner}")
            yield _Item(f"{name}.{inner}", flag, setting)


def _as_text(name: str, value: object) -> str:
    """A value of YAML as a flag would have it; empty when there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and name in _DURATIONS:
        return f"{value}ns"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _value(flag: Flag, text: str | None) -> Value:
    """A value of the flag's kind.

    Raises:
        BadSetting: the text says none.

    """
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
        if abs(number) > _NUMBER_MAX:
            raise BadSetting(f"--{flag.name}={text} is larger than {_NUMBER_MAX}")
        return number
    if flag.kind is float:
        return parse_duration(flag.name, text)
    if flag.kind is tuple:
        # Some tools put a slash behind a URL.
        return tuple(it.strip().rstrip("/") for it in text.split(",") if it.strip())
    return text


def from_environment() -> Mapping[str, str]:
    """The process's environment."""
    return os.environ
