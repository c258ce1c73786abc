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

from roost import compiled
from roost.cli.exits import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from roost.cli.hello import say_error
from roost.cli.insecurity import insecurities
from roost.cli.logs import configure_logs
from roost.cli.process import Plan, Process
from roost.cli.settings import (
    FLAGS,
    LOG_LEVELS,
    NOTED,
    REFUSED,
    Flag,
    from_environment,
    notes,
    read_given,
    settings_of,
)
from roost.descriptors import raise_limit
from roost.errors import RoostError
from roost.member.settings import make_world, member_config, peer_secrets
from roost.memory import tune_allocator
from roost.places import Place, describe
from roost.server import CannotListen, bind, make_listeners, serving_of
from roost.settings import BadSetting, Settings
from roost.settings.certificates import client_tls, peer_tls, tls_files, unused_certificates
from roost.settings.urls import Url, doubts, parse_urls
from roost.tls import server_context, warn_of_age

logger = logging.getLogger("roost")
# Nothing we make is ever in a cycle on the hot path: the collector may come rarely.
_GC_THRESHOLDS = (50_000, 20, 100)


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
    return click.Option(
        names, metavar="INT" if flag.kind is int else "STR", help=text, hidden=is_hidden
    )


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
    if (wrong := compiled.fault()) is not None:
        raise click.ClickException(f"{wrong}: `make fast` or `make slow`, or install it anew")
    try:
        said = read_given(flags, from_environment())
        settings = settings_of(said)
        plan = make_plan(settings)
        process = Process(plan, on_hangup=partial(read_again, flags))
        configure_logs(settings.log_level, settings.log_format, settings.log_outputs)
    except (RoostError, OSError) as error:
        say_error(error)
        sys.exit(EXIT_FAILED if isinstance(error, CannotListen) else EXIT_USAGE)
    for note in (*said.unknown, *notes(said), *unused_certificates(settings), *doubts(settings)):
        logger.warning(note)
    for files in tls_files(settings):
        warn_of_age(files)
    raise_limit()
    tune_allocator()
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        sys.exit(uvloop.run(process.run()))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)  # before it served; nothing to say


serve = click.Command("serve", callback=_run, params=_options(), help=_run.__doc__)


def make_plan(settings: Settings) -> Plan:
    """All that can be known, and go wrong, before anything is opened; takes the ports.

    Raises:
        RoostError, OSError: a setting cannot be used; the text names it.

    """
    config = member_config(settings)
    check_log(settings)
    refuse_etcd_directory(config.data_dir)
    bound = take_places(settings)
    clients = parse_urls("listen-client-urls", settings.listen_client_urls)
    metrics = parse_urls("listen-metrics-urls", settings.listen_metrics_urls)
    tls = client_tls(settings)
    said = insecurities(clients, tls, peer_tls(settings), peer_secrets(settings))
    return Plan(
        settings=settings,
        config=config,
        world=make_world(settings),
        serving=serving_of(settings),
        urls=clients,
        tls=tls,
        clients=make_listeners(clients, tls, bound),
        metrics=make_listeners(metrics, tls, bound),
        joins=settings.initial_cluster_state == "existing",
        is_forced=settings.force_new_cluster,
        insecurities=said,
    )


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
        for flag, urls in (
            ("listen-client-urls", settings.listen_client_urls),
            ("listen-metrics-urls", settings.listen_metrics_urls),
            ("listen-peer-urls", settings.listen_peer_urls),
        ):
            for url in parse_urls(flag, urls):
                if url.place in taken:
                    text = f"{describe(url.place)} is in --{taken[url.place]} already"
                    raise BadSetting(f"--{flag}: {text}")
                taken[url.place] = flag
                is_peers = flag == "listen-peer-urls"
                shares_port = settings.socket_reuse_port and not is_peers
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
        configure_logs(settings.log_level, settings.log_format, settings.log_outputs)
        member_config(settings)
        for files in tls_files(settings):
            server_context(files)
            warn_of_age(files)
    except (RoostError, OSError) as error:
        logger.error("settings were not read again: %s", error)  # noqa: TRY400 - their fault
    else:
        logger.info("settings were read again: log level and certificates")


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
    if settings.log_level not in LOG_LEVELS:
        raise BadSetting(f"--log-level={settings.log_level}: one of {', '.join(LOG_LEVELS)}")
    if settings.log_format not in ("json", "console"):
        raise BadSetting(f"--log-format={settings.log_format}: json or console")
