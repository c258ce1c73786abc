"""What `roost serve` would be started with, judged by the rules of its start."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from roost.cli.doctor.directory import Lived, directory_rows, look_at_directory, unreadable
from roost.cli.doctor.disk import (
    judge_mount,
    judge_space,
    judge_syncs,
    look_at_mount,
    look_at_space,
    time_syncs,
)
from roost.cli.doctor.machine import machine_rows
from roost.cli.doctor.peers import Peer, peer_rows
from roost.cli.doctor.ports import Runner, port_rows
from roost.cli.doctor.row import Row, failed, ok, skipped, warned
from roost.cli.doctor.trust import Side, certificate_rows, hosts_of, login_row, trust_rows
from roost.cli.insecurity import insecurities
from roost.cli.preflight import check_log, listened, misgivings
from roost.cli.settings import Given, settings_of
from roost.errors import RoostError
from roost.member import MemberConfig
from roost.member.settings import member_config, peer_secrets
from roost.os_errors import words_of
from roost.peer import PeerTls, Secrets
from roost.server import quota_of, serving_of
from roost.settings import DEFAULTS, Settings
from roost.settings.certificates import client_tls, peer_tls
from roost.settings.urls import parse_urls, told_to_clients
from roost.tls import TlsFiles

_SETTINGS = "settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """All that a start would know before it opens anything."""

    settings: Settings
    config: MemberConfig
    secrets: Secrets
    clients: TlsFiles | None
    peers: TlsFiles | None


def configuration_rows(
    given: Callable[[], Given], limit_s: float, *, now: dt.datetime
) -> Iterator[Row]:
    """Everything of this machine and of what was said; nothing is made but one file, for a moment.

    Calls to the network end within `limit_s`.
    """
    try:
        said = given()
        settings = settings_of(said)
        start = _start_of(settings)
    except (RoostError, OSError) as error:
        words = words_of(error) if isinstance(error, OSError) else str(error)
        yield failed(_SETTINGS, words, "`roost serve --help` and docs/reference/settings.md")
        yield from machine_rows(DEFAULTS, quota_of(DEFAULTS))
        yield skipped("everything else", "it goes by the settings, which cannot be used")
        return
    yield from _setting_rows(said, settings)
    yield from machine_rows(settings, quota_of(settings))
    yield from _place_rows(start, limit_s)
    yield from _trust_rows(start, now)


def _start_of(settings: Settings) -> Start:
    """As `serve` makes its plan, in that order, and nothing is taken or made."""
    config = member_config(settings)
    check_log(settings)
    list(listened(settings))
    serving_of(settings)
    return Start(
        settings=settings,
        config=config,
        secrets=peer_secrets(settings),
        clients=client_tls(settings, makes=False),
        peers=peer_tls(settings, makes=False),
    )


def _setting_rows(said: Given, settings: Settings) -> Iterator[Row]:
    found = misgivings(said, settings)
    for line in found:
        yield warned(_SETTINGS, line, "take it out, or write what was meant")
    if not found:
        yield ok(_SETTINGS, f"{len(said.raw)} given, all of them known")


def _place_rows(start: Start, limit_s: float) -> Iterator[Row]:
    """The directory, its disk, the ports, and the others."""
    settings, data_dir = start.settings, start.config.data_dir
    lived: Lived | None = None
    try:
        lived = look_at_directory(data_dir)
    except (RoostError, OSError) as error:
        yield unreadable(error, data_dir)
    else:
        joins = settings.initial_cluster_state == "existing"
        asked = {
            "--discovery": settings.discovery,
            "--discovery-token": settings.discovery_token,
            "--discovery-srv": settings.discovery_srv,
        }
        said = ", ".join(flag for flag, value in asked.items() if value)
        yield from directory_rows(start.config, lived, joins=joins, asked=said)
    if (row := judge_mount(look_at_mount(data_dir))) is not None:
        yield row
    try:
        store = lived.store_of(data_dir) if lived else None
        yield judge_space(look_at_space(data_dir, store), quota_of(settings))
    except OSError as error:
        yield failed("room on the disk", words_of(error), "see `dmesg`, and the mount")
    yield judge_syncs(time_syncs(data_dir), settings.election_timeout)
    runner = Runner(lived.process) if lived is not None and lived.is_used else None
    shares_port = settings.socket_reuse_port
    yield from port_rows(list(listened(settings)), runner, shares_port=shares_port)
    yield from peer_rows(others(start.config, lived), _dialling(start.peers), limit_s)


def others(config: MemberConfig, lived: Lived | None) -> Sequence[Peer]:
    """The other members: as the directory knows them, or else as the first members are."""
    if lived is not None and lived.record.peers:
        names = {url: name for name, urls in config.initial_cluster.items() for url in urls}
        return [Peer(names.get(url, ""), url) for url in lived.record.peers]
    first = config.initial_cluster.items()
    return [Peer(name, url) for name, urls in first if name != config.name for url in urls]


def _dialling(files: TlsFiles | None) -> PeerTls | None:
    """How others are dialled; in the clear where our certificate is not good: a row says so."""
    if files is None:
        return None
    try:
        return PeerTls(files)
    except (RoostError, OSError):
        return None


def _trust_rows(start: Start, now: dt.datetime) -> Iterator[Row]:
    settings = start.settings
    clients = parse_urls("listen-client-urls", settings.listen_client_urls)
    peers = parse_urls("listen-peer-urls", settings.listen_peer_urls)
    found = insecurities(clients, start.clients, start.peers, start.secrets)
    yield from trust_rows(found, clients, peers)
    yield login_row(clients, start.clients)
    for side in _sides(start):
        yield from certificate_rows(side, now)


def _sides(start: Start) -> Iterator[Side]:
    settings = start.settings
    if start.clients is not None:
        hosts = hosts_of(told_to_clients(settings))
        files = start.clients
        yield Side(check="certificate for clients", prefix="", files=files, hosts=hosts)
    if start.peers is not None:
        told = settings.initial_advertise_peer_urls
        yield Side(
            check="certificate for members",
            prefix="peer-",
            files=start.peers,
            hosts=hosts_of(told) or tuple(urlsplit(it).hostname or "" for it in told),
            name=settings.name,
        )
