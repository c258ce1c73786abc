"""`roost serve`: one member, started by etcd's flags."""

import gc
import logging
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import uvloop

from roost import etcd
from roost.cli.exits import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from roost.cli.hello import say_error
from roost.cli.logs import configure_logs
from roost.cli.security import (
    auth_options,
    client_tls,
    peer_secrets,
    peer_tls,
    unused_certificates,
)
from roost.cli.serving import Chores, MemberServer, Serving
from roost.cli.settings import (
    FLAGS,
    LOG_LEVELS,
    NOTED,
    REFUSED,
    BadSetting,
    Flag,
    Settings,
    from_environment,
    notes,
    parse_duration,
    parse_initial_cluster,
    read_given,
    settings_of,
)
from roost.cli.urls import Url, check_peer_url, doubts, listened, told_to_clients, urls_of
from roost.descriptors import raise_limit
from roost.errors import RoostError
from roost.member import MemberConfig
from roost.member.machine.world import SEGMENT_BYTES_MIN
from roost.server import CannotListen, Place, bind, describe
from roost.tls import TlsFiles, server_context, warn_of_age

logger = logging.getLogger("roost")
# Nothing we make is ever in a cycle on the hot path: the collector may come rarely.
_GC_THRESHOLDS = (50_000, 20, 100)
_HOUR_S = 3600.0


def _options() -> list[click.Parameter]:
    """One option a flag, in etcd's spellings."""
    return [_option(flag) for flag in FLAGS.values()]


def _option(flag: Flag) -> click.Option:
    names = [f"--{flag.name}", f"-{flag.name}", flag.name.replace("-", "_")]
    is_hidden = flag in REFUSED or flag in NOTED
    text = f"Changes nothing: {flag.text}." if is_hidden else flag.text
    if flag.kind is bool:
        # A boolean's value may be left out; Go's flag package means "true" then.
        return click.Option(
            names, is_flag=False, flag_value="true", metavar="BOOL", help=text, hidden=is_hidden
        )
    return click.Option(names, metavar=flag.kind.__name__.upper(), help=text, hidden=is_hidden)


def _run(**given: str | None) -> None:
    r"""Start one member of a cluster, and serve clients.

    What starts etcd can start Roost: the same flags, the same ETCD_* variables (or ROOST_*),
    the same YAML file.

    \b
    Example:
        roost serve --name default --data-dir data
    """
    flags = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    if not __debug__:
        raise click.ClickException("Roost does not run with -O: its assertions guard your data")
    try:
        said = read_given(flags, from_environment())
        settings = settings_of(said)
        config = member_config(settings)
        check_log(settings)
        refuse_etcd_directory(config.data_dir)
        bound = take_places(settings)
        server = MemberServer(
            config,
            serving(settings, config.data_dir),
            chores(settings),
            joins=settings["initial-cluster-state"] == "existing",
            is_forced=settings["force-new-cluster"],
            bound=bound,
            on_hangup=partial(read_again, flags),
        )
        configure_logs(settings["log-level"], settings["log-format"], settings["log-outputs"])
    except (RoostError, OSError) as error:
        say_error(error)
        sys.exit(EXIT_FAILED if isinstance(error, CannotListen) else EXIT_USAGE)
    for note in (
        *said.unknown,
        *notes(settings),
        *unused_certificates(settings),
        *doubts(settings),
    ):
        logger.warning(note)
    for files in tls_files(settings, config.data_dir):
        warn_of_age(files)
    raise_limit()
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        sys.exit(uvloop.run(server.run()))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)  # before it served; nothing to say


serve = click.Command("serve", callback=_run, params=_options(), help=_run.__doc__)


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def take_places(settings: Settings) -> dict[Url, list[socket.socket]]:
    """Find out that a port is taken before anything is made, or joined.

    Raises:
        CannotListen: one is.
        BadSetting: one is to be listened on twice.

    """
    taken: dict[Place, str] = {}
    bound: dict[Url, list[socket.socket]] = {}
    with ExitStack() as undo:
        for flag in ("listen-client-urls", "listen-metrics-urls", "listen-peer-urls"):
            for url in listened(settings, flag):
                if url.place in taken:
                    text = f"{describe(url.place)} is in --{taken[url.place]} already"
                    raise BadSetting(f"--{flag}: {text}")
                taken[url.place] = flag
                is_peers = flag == "listen-peer-urls"
                shares_port = settings["socket-reuse-port"] and not is_peers
                try:
                    sockets = bind(url.place, shares_port=shares_port)
                except CannotListen as error:
                    raise CannotListen(f"--{flag}: {error}") from error
                if is_peers:  # the member takes its own when it starts
                    _close(sockets)
                else:
                    bound[url] = sockets
                    undo.callback(_close, sockets)
        undo.pop_all()
    return bound


def read_again(flags: Mapping[str, str]) -> None:
    """Take over what may change while a member runs: the level of the log, and certificates.

    Certificates are read whenever a file is another one than before; here they are only looked
    at, so that whoever has renewed them is told at once whether they are good.
    """
    try:
        settings = settings_of(read_given(flags, from_environment()))
        check_log(settings)
        configure_logs(settings["log-level"], settings["log-format"], settings["log-outputs"])
        data_dir = member_config(settings).data_dir
        for files in tls_files(settings, data_dir):
            server_context(files)
            warn_of_age(files)
    except (RoostError, OSError) as error:
        logger.error("settings were not read again: %s", error)  # noqa: TRY400 - their fault
    else:
        logger.info("settings were read again: log level and certificates")


def tls_files(settings: Settings, data_dir: Path) -> list[TlsFiles]:
    """The certificates of the settings."""
    both = (client_tls(settings, data_dir), peer_tls(settings, data_dir))
    return [it for it in both if it is not None]


def refuse_etcd_directory(data_dir: Path) -> None:
    """Leave the data of an etcd member alone: our files beside them would help nobody.

    Raises:
        BadSetting: it holds them, or is a file.

    """
    if data_dir.is_file():
        raise BadSetting(f"--data-dir={data_dir} is a file, and must be a directory")
    if (data_dir / "member" / "wal").is_dir() or (data_dir / "member" / "snap").is_dir():
        raise BadSetting(
            f"--data-dir={data_dir} holds the data of an etcd member, which Roost does not read: "
            "give another directory, start etcd on this one, and copy with `roost mirror`"
        )


def check_log(settings: Settings) -> None:
    """Refuse a level or a form of the log that there is not.

    Raises:
        BadSetting: there is not.

    """
    if settings["log-level"] not in LOG_LEVELS:
        raise BadSetting(f"--log-level={settings['log-level']}: one of {', '.join(LOG_LEVELS)}")
    if settings["log-format"] not in ("json", "console"):
        raise BadSetting(f"--log-format={settings['log-format']}: json or console")


def member_config(settings: Settings) -> MemberConfig:
    """Turn settings into a member's configuration.

    Raises:
        RoostError: a setting cannot be used; the text names it.

    """
    if settings["initial-cluster-state"] not in ("new", "existing"):
        raise BadSetting("--initial-cluster-state must be new or existing")
    name = settings["name"]
    if not name:
        raise BadSetting("--name must not be empty")
    for flag in ("listen-client-urls", "listen-peer-urls", "initial-advertise-peer-urls"):
        if not urls_of(settings, flag):
            raise BadSetting(f"--{flag} must not be empty")
    for flag in ("listen-peer-urls", "initial-advertise-peer-urls"):
        for url in urls_of(settings, flag):
            check_peer_url(flag, url)
    advertised = urls_of(settings, "initial-advertise-peer-urls")
    cluster = settings["initial-cluster"] or ",".join(f"{name}={url}" for url in advertised)
    data_dir = Path(settings["data-dir"] or f"{name}.roost")
    members = parse_initial_cluster(cluster)
    for url in (it for urls in members.values() for it in urls):
        check_peer_url("initial-cluster", url)
    return MemberConfig(
        name=name,
        data_dir=data_dir,
        initial_cluster=members,
        advertise_peer_urls=advertised,
        listen_peer_urls=urls_of(settings, "listen-peer-urls"),
        advertise_client_urls=told_to_clients(settings),
        initial_cluster_token=settings["initial-cluster-token"],
        heartbeat_ms=settings["heartbeat-interval"],
        election_ms=settings["election-timeout"],
        trailing_entries=settings["snapshot-count"],
        lease_reads=settings["lease-reads"],
        strict_permissions=settings["strict-permissions"],
        scrub_interval_s=parse_duration("scrub-interval", settings["scrub-interval"]),
    )


def serving(settings: Settings, data_dir: Path) -> Serving:
    """How clients and other members are spoken with.

    Raises:
        RoostError: a setting cannot be used; the text names it.

    """
    election_s = settings["election-timeout"] / 1000
    progress = "experimental-watch-progress-notify-interval"
    progress_s = parse_duration(progress, settings[progress])
    if progress_s <= 0:
        raise BadSetting(f"--{progress} must be positive")
    limits = etcd.Limits(
        request_bytes_max=settings["max-request-bytes"],
        operations_max=settings["max-txn-ops"],
        watchers_max=settings["max-watchers"],
        leases_max=settings["max-leases"],
        progress_interval_s=progress_s,
        # As etcd: three halves of an election timeout, in whole seconds.
        lease_ttl_min_s=max(1, -(-3 * settings["election-timeout"] // 2000)),
        lease_grace_s=election_s,
    )
    return Serving(
        clients=listened(settings, "listen-client-urls"),
        metrics=listened(settings, "listen-metrics-urls"),
        client_tls=client_tls(settings, data_dir),
        peer_tls=peer_tls(settings, data_dir),
        peer_secrets=peer_secrets(settings),
        trusts_certificates=settings["client-cert-auth"],
        limits=limits,
        connections_max=settings["max-connections"],
        streams_max=settings["max-concurrent-streams"],
        auth=auth_options(settings),
        has_gateway=settings["enable-grpc-gateway"],
        cors=urls_of(settings, "cors"),
        hosts=urls_of(settings, "host-whitelist"),
        keepalive_s=_duration(settings, "grpc-keepalive-interval"),
        keepalive_timeout_s=_duration(settings, "grpc-keepalive-timeout"),
        shares_port=settings["socket-reuse-port"],
        grace_s=_duration(settings, "shutdown-grace"),
    )


def _duration(settings: Settings, name: str) -> float:
    return parse_duration(name, settings[name])


def chores(settings: Settings) -> Chores:
    """What a member is told to do besides serving.

    Raises:
        BadSetting: a value makes no sense.

    """
    quota = settings["quota-backend-bytes"]
    segment_bytes = settings["segment-bytes"]
    interval_s = _duration(settings, "backup-interval")
    if segment_bytes < SEGMENT_BYTES_MIN:
        raise BadSetting(f"--segment-bytes={segment_bytes}: at least {SEGMENT_BYTES_MIN}")
    if settings["backup-dir"] and (interval_s <= 0 or settings["backup-keep"] <= 0):
        raise BadSetting("--backup-interval and --backup-keep must be positive")
    return Chores(
        # As with etcd: 0 is the default, less than that is no quota.
        quota_bytes=max(0, quota) if quota else etcd.QUOTA_BYTES,
        segment_bytes=segment_bytes,
        backup_dir=settings["backup-dir"],
        backup_interval_s=interval_s,
        backup_keep=settings["backup-keep"],
        keeping=_keeping(settings),
    )


def _keeping(settings: Settings) -> etcd.Keeping | None:
    """What automatic compaction keeps; None when there is none."""
    mode, text = settings["auto-compaction-mode"], settings["auto-compaction-retention"]
    if mode not in ("periodic", "revision"):
        raise BadSetting(f"--auto-compaction-mode={mode}: periodic or revision")
    if text == "0":
        return None
    if mode == "revision":
        if not text.isdigit():
            raise BadSetting(f"--auto-compaction-retention={text} is no number of revisions")
        return etcd.KeepRevisions(int(text))
    # As with etcd: a bare number is hours.
    if text.isdigit():
        return etcd.KeepTime(int(text) * _HOUR_S)
    kept_s = parse_duration("auto-compaction-retention", text)
    if kept_s <= 0:
        raise BadSetting("--auto-compaction-retention must be positive")
    return etcd.KeepTime(kept_s)
