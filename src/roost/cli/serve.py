"""`roost serve`: one member, started by etcd's flags."""

import logging
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import click
import uvloop

from roost.cli.ending import end_when_told
from roost.cli.exits import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from roost.cli.flags import said_of, serve_options
from roost.cli.hello import say_error
from roost.cli.insecurity import insecurities
from roost.cli.logs import configure_logs
from roost.cli.preflight import (
    check_log,
    listened,
    misgivings,
    refuse_etcd_directory,
    unfit,
)
from roost.cli.process import Plan, Process
from roost.cli.settings import from_environment, read_given, settings_of
from roost.descriptors import raise_limit
from roost.errors import RoostError
from roost.member.settings import make_world, member_config, peer_secrets
from roost.memory import tune_allocator
from roost.server import CannotListen, bind, make_listeners, serving_of
from roost.settings import Settings
from roost.settings.certificates import client_tls, peer_tls, tls_files
from roost.settings.urls import Url, parse_urls
from roost.tls import server_context, warn_of_age

logger = logging.getLogger("roost")


def _run(**given: str | None) -> None:
    r"""Start one member of a cluster, and serve clients.

    What starts etcd can start Roost: the same flags, the same ETCD_* variables (or ROOST_*),
    the same YAML file.

    \b
    Example:
        roost serve --name default --data-dir data
    """
    end_when_told()
    flags = said_of(given)
    if why := unfit():
        raise click.ClickException(why)
    try:
        said = read_given(flags, from_environment())
        settings = settings_of(said)
        plan = make_plan(settings, said.origins)
        configure_logs(settings.log_level, settings.log_format, settings.log_outputs)
        if settings.experimental_enable_distributed_tracing:
            from roost.cli.spans import export_spans  # few members need it

            export_spans(settings)
        plan = find_others(plan)
        process = Process(plan, on_hangup=partial(read_again, flags))
    except (RoostError, OSError) as error:
        say_error(error)
        sys.exit(EXIT_FAILED if isinstance(error, CannotListen) else EXIT_USAGE)
    for note in misgivings(said, settings):
        logger.warning(note)
    for files in tls_files(settings):
        warn_of_age(files)
    raise_limit()
    tune_allocator(plan.world.memory)
    try:
        sys.exit(uvloop.run(process.run()))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)  # before it served; nothing to say


serve = click.Command("serve", callback=_run, params=serve_options(), help=_run.__doc__)


def make_plan(settings: Settings, origins: Mapping[str, str]) -> Plan:
    """All that can be known, and go wrong, before anything is opened; takes the ports.

    `origins` says who has set what; see `cli.settings.Given`.

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
        serving=serving_of(settings, origins),
        urls=clients,
        tls=tls,
        clients=make_listeners(clients, tls, bound),
        metrics=make_listeners(metrics, tls, bound),
        joins=settings.initial_cluster_state == "existing",
        is_forced=settings.force_new_cluster,
        insecurities=list(map(str, said)),
    )


def find_others(plan: Plan) -> Plan:
    """The plan with all first members of the cluster, if others have to tell who they are.

    Raises:
        RoostError, OSError: they cannot be found.

    """
    told = plan.settings
    if not (told.discovery or told.discovery_token or told.discovery_srv):
        return plan
    from roost.cli.discovery.bootstrap import found  # few members need it

    said = found(told, threading.Event().wait)
    config = replace(member_config(said.settings), names_are_unknown=said.is_nameless)
    joins = said.settings.initial_cluster_state == "existing"
    return replace(plan, settings=said.settings, config=config, joins=joins)


def _close(sockets: Iterable[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def take_places(settings: Settings) -> dict[Url, list[socket.socket]]:
    """Find out that a port is taken before anything is made, or joined.

    Raises:
        CannotListen: one is.
        BadSetting: one is to be listened on twice.

    """
    bound: dict[Url, list[socket.socket]] = {}
    with ExitStack() as undo:
        for it in listened(settings):
            shares_port = settings.socket_reuse_port and not it.is_peers
            try:
                sockets = bind(it.url.place, shares_port=shares_port)
            except CannotListen as error:
                raise CannotListen(f"--{it.flag}: {error}") from error
            if it.is_peers:  # the member takes its own when it starts
                _close(sockets)
            else:
                bound[it.url] = sockets
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
