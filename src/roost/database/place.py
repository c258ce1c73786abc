"""Where a database is, and who it is there, from what `open` was told.

    open("data")                          alone: no port is opened, nobody else can come
    open("data", members={...})           one of the first members of a cluster
    open("data", join=[...])              a new member of a cluster that added its URLs before
    open(None)                            alone, in memory: nothing is left when it is closed

A member of a cluster is heard at its own URL of `members`, or at `listen_peer_urls`.  A directory
that has lived keeps who it is: `members` and `join` are read the first time only, as with `roost
serve`, and must be given again for the ports that they name.
"""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from roost.database.errors import BadOpening
from roost.member import BadMemberConfig, MemberConfig
from roost.member.settings import member_config
from roost.settings import BadSetting, Settings, SettingsArguments
from roost.settings.settings import Texts

Urls = str | Sequence[str]
# Files in it are memory of the machine, on Linux.
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
# Less is not worth it: a journal and a store begin with a few tens of megabytes.
_MEMORY_BYTES_MIN = 256 << 20
_MEMORY_SEGMENT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A member's configuration and settings; `temporary` is what goes when it is closed."""

    settings: Settings
    config: MemberConfig
    is_alone: bool
    joins: bool
    temporary: Path | None


# Of a place that is none, so many characters are told.
_SHOWN_MAX = 200


def place_of(
    path: str | Path | None,
    *,
    name: str,
    members: Mapping[str, Urls] | None,
    join: Sequence[str],
    given: SettingsArguments,
) -> Place:
    """Find out where a database is; in memory, make that.

    Raises:
        BadOpening: what was told contradicts itself.
        BadSetting: a setting has a value that cannot be used.

    """
    _check_told(path, name, members)
    if isinstance(members, Mapping) and join:
        raise BadOpening("members= begins a cluster and join= comes to one: give one of them")
    settings = _settings(name, members, join, given)
    is_alone = members is None and not join and not {
        "initial_cluster",
        "listen_peer_urls",
    } & given.keys()  # fmt: skip
    temporary = None
    try:
        if path is None:
            temporary = _memory()
            path = temporary / "data"
            settings = replace(
                settings,
                segment_bytes=given.get("segment_bytes", _MEMORY_SEGMENT_BYTES),
            )
        elif Path(path).is_file():
            raise BadOpening(f"{path} is a file: a database is a directory, which `open` makes")
        settings = replace(settings, data_dir=str(path))
        config = member_config(settings)
    except BadMemberConfig as error:
        remove(temporary)
        raise BadSetting(str(error)) from error
    except OSError as error:
        remove(temporary)
        raise unfit(Path(path or ""), error) or error from error
    except BaseException:
        remove(temporary)
        raise
    if not {"listen_client_urls", "advertise_client_urls"} & given.keys():
        # Nobody is served before somebody says where.
        config = replace(config, advertise_client_urls=())
    if is_alone:
        # A member that nobody can reach; its URL is only its name among members.
        config = replace(config, listen_peer_urls=())
        if "initial_cluster_token" not in given:
            config = replace(config, initial_cluster_token=uuid.uuid4().hex)
    return Place(
        settings=settings,
        config=config,
        is_alone=is_alone,
        joins=bool(join) or settings.initial_cluster_state == "existing",
        temporary=temporary,
    )


def _check_told(path: object, name: object, members: object) -> None:
    """Refuse what is of another type; what is empty would be found somewhere else than is meant."""
    try:
        text = None if path is None else os.fspath(path)  # type: ignore[call-overload]  # it is what we find out
    except TypeError:
        text = b""
    if path is not None and (not isinstance(text, str) or not text or not _is_name(text)):
        raise BadOpening(f"{path!r} is no path of a directory; None = in memory")
    if not isinstance(name, str):
        raise BadOpening(f"name={name!r} is no text")
    if members is not None and not isinstance(members, Mapping):
        raise BadOpening(f"members={members!r}: a mapping of names to addresses, "
                         '{"m1": "10.0.0.1:2380", ...}')  # fmt: skip


def _is_name(text: str) -> bool:
    """Whether all that opens files here takes it: not what stands for bytes that are no text."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


# What a place can be that no database is in, and what is to be done about it.
_UNFIT = {
    errno.ENOENT: "no directory can be made there: name another place",
    errno.EPERM: "no directory can be made there: name another place",
    errno.EACCES: "this process may not write there: give user {user} the right, or name another "
    "place",
    errno.EROFS: "that is mounted read-only: mount it for writing, or name another place",
    errno.EEXIST: "{named} is no directory: move it away, or name another place",
    errno.ENOTDIR: "a part of it is no directory: name another place",
    errno.ELOOP: "it is a link that leads to itself: remove it, or name another place",
    errno.ENAMETOOLONG: "the name is longer than a file system takes: name a shorter one",
}


def unfit(path: Path, error: OSError) -> BadOpening | None:
    """Why no database is in a directory, if it is that which an error is about."""
    said = _UNFIT.get(error.errno or 0)
    named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    if said is None or named is None or not (named.is_relative_to(path) or named in path.parents):
        return None
    shown = str(path) if len(str(path)) <= _SHOWN_MAX else f"{str(path)[:_SHOWN_MAX]}..."
    told = said.format(user=os.geteuid(), named=named)
    return BadOpening(f"{shown} cannot hold a database: {told}")


def _with_like(name: str) -> str:
    """A name that is none, and what is most like it."""
    near = get_close_matches(name, [it.name for it in fields(Settings)], n=1)
    return f"{name!r} (is {near[0]!r} meant?)" if near else repr(name)


def remove(temporary: Path | None) -> None:
    """Give memory back."""
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)


def _settings(
    name: str,
    members: Mapping[str, Urls] | None,
    join: Sequence[str],
    given: SettingsArguments,
) -> Settings:
    unknown = given.keys() - {it.name for it in fields(Settings)}
    if unknown:
        said = ", ".join(_with_like(it) for it in sorted(unknown))
        raise BadOpening(f"there is no setting {said}: they are those of `roost serve --help`")
    if "data_dir" in given:
        raise BadOpening("data_dir: the directory is the first argument of open")
    taken = _typed(given)
    settings = Settings(name=name, **taken)
    if isinstance(join, str) or not all(isinstance(it, str) for it in join):
        raise BadOpening('join= is a list of addresses of members: join=["10.0.0.1:2380"]')
    if members is not None:
        cluster = {who: urls_of(urls) for who, urls in members.items()}
        if name not in cluster:
            raise BadOpening(f"name={name!r} is not among members={sorted(cluster)}")
        settings = _heard_at(settings, cluster[name], taken)
        texts = (f"{who}={url}" for who, urls in cluster.items() for url in urls)
        return replace(settings, initial_cluster=",".join(texts))
    if join:
        if "listen_peer_urls" not in taken and "initial_advertise_peer_urls" not in taken:
            raise BadOpening(
                "who joins is reached by others: give listen_peer_urls=[...], the URLs that it was "
                "added with"
            )
        own = taken.get("initial_advertise_peer_urls") or taken["listen_peer_urls"]
        settings = _heard_at(settings, own, taken)
        texts = (f"{name}={url}" for url in own)
        others = (f"peer{at}={url}" for at, it in enumerate(join) for url in urls_of(it))
        return replace(settings, initial_cluster=",".join([*texts, *others]))
    return settings


def _typed(given: SettingsArguments) -> dict[str, Any]:
    """The settings that were given, as `Settings` has them.

    A list is as good as a tuple to whoever writes it down, one text as a list of one, and a path as
    its text.

    Raises:
        BadOpening: one is of another type.

    """
    types, taken = get_type_hints(Settings), dict[str, Any]()
    for name, it in given.items():
        value: Any = os.fspath(it) if isinstance(it, os.PathLike) else it
        if types[name] == Texts:
            value = (value,) if isinstance(value, str) else value
        try:
            taken[name] = msgspec.convert(value, types[name])
        except msgspec.ValidationError as error:
            raise BadOpening(f"{name}={it!r}: {error}") from error
    return taken


def _heard_at(settings: Settings, urls: tuple[str, ...], taken: Mapping[str, Any]) -> Settings:
    """A member that is reached at `urls`, and listens there unless it was told otherwise."""
    listened = taken.get("listen_peer_urls", urls)
    told = taken.get("initial_advertise_peer_urls", urls)
    return replace(settings, listen_peer_urls=listened, initial_advertise_peer_urls=told)


def urls_of(said: Urls) -> tuple[str, ...]:
    """`10.0.0.1:2380`, or URLs, as URLs."""
    try:
        texts = (said,) if isinstance(said, str) else tuple(said)
    except TypeError:
        texts = ()
    if not texts or not all(isinstance(it, str) and it for it in texts):
        raise BadOpening(f"{said!r} is no address: give host:port, or http://host:port")
    return tuple(it if "://" in it else f"http://{it}" for it in texts)


def _memory() -> Path:
    """A directory in memory, as far as this machine has such a thing."""
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES_MIN
    return Path(tempfile.mkdtemp(prefix="roost-", dir=_MEMORY if has_room else None))
