"""What is looked at before a member is opened: `serve` refuses by it, `doctor` tells of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from roost import compiled
from roost.cli.settings import LOG_LEVELS, Given, notes
from roost.places import Place, describe
from roost.settings import DEFAULTS, BadSetting, Settings
from roost.settings.certificates import unused_certificates
from roost.settings.urls import Url, doubts, parse_urls

PEERS = "listen-peer-urls"


def unfit() -> str:
    """Why no member may run in this process; empty when one may."""
    if not __debug__:
        return "Roost does not run with -O: its assertions guard your data"
    if (wrong := compiled.fault()) is not None:
        return f"{wrong}: `make fast` or `make slow`, or install it anew"
    return ""


def misgivings(said: Given, settings: Settings) -> list[str]:
    """What was said that does nothing, or not what it seems to: a line each."""
    return [
        *said.unknown,
        *notes(said),
        *_unkept(settings),
        *unused_certificates(settings),
        *doubts(settings),
    ]


def _unkept(settings: Settings) -> list[str]:
    """What is said of backups that are kept nowhere."""
    if settings.backup_dir:
        return []
    names = ("backup_interval", "backup_full_interval", "backup_keep")
    return [
        f"--{it.replace('_', '-')} changes nothing: no backups are kept without --backup-dir"
        for it in names
        if getattr(settings, it) != getattr(DEFAULTS, it)
    ]


@dataclass(frozen=True, slots=True)
class Listened:
    """A place that a flag says is listened on."""

    flag: str
    url: Url

    @property
    def is_peers(self) -> bool:
        """Whether members are heard there, and not clients."""
        return self.flag == PEERS


def listened(settings: Settings) -> Iterator[Listened]:
    """Every place that a member would listen on.

    Raises:
        BadSetting: one is to be listened on twice, or is none.

    """
    taken: dict[Place, str] = {}
    for flag, urls in (
        ("listen-client-urls", settings.listen_client_urls),
        ("listen-metrics-urls", settings.listen_metrics_urls),
        (PEERS, settings.listen_peer_urls),
    ):
        for url in parse_urls(flag, urls):
            if url.place in taken:
                text = f"{describe(url.place)} is in --{taken[url.place]} already"
                raise BadSetting(f"--{flag}: {text}")
            taken[url.place] = flag
            yield Listened(flag, url)


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
