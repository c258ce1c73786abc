"""`roost member`: who is in the cluster, and who leads it."""

import shlex
from urllib.parse import urlsplit

import click

from roost.cli.shared import client_options, connect, hexadecimal, say_json, say_table
from roost.client import Member

# etcd's; its clients' is one below.
_PEER_PORT = 2380


@click.group()
def member() -> None:
    """List, add, remove, update and promote members; choose who leads."""


_id = click.argument("member_id", callback=hexadecimal, metavar="ID")
_urls = click.option(
    "--peer-urls", required=True, help="Where the others reach it, comma-separated."
)


def _split(urls: str) -> list[str]:
    """URLs, without the slash that some tools put behind."""
    return [it.strip().rstrip("/") for it in urls.split(",") if it.strip()]


def _say(members: list[Member], *, as_json: bool) -> None:
    table = [("ID", "NAME", "STATUS", "VOTES", "PEER URLS", "CLIENT URLS")]
    for it in members:
        state = "started" if it.name else "unstarted"
        if as_json:
            say_json(
                {
                    "id": f"{it.id:x}",
                    "name": it.name,
                    "status": state,
                    "is_learner": it.is_learner,
                    "peer_urls": it.peer_urls,
                    "client_urls": it.client_urls,
                }
            )
        else:
            votes = "no" if it.is_learner else "yes"
            peers, clients = ",".join(it.peer_urls), ",".join(it.client_urls)
            table.append((f"{it.id:x}", it.name, state, votes, peers, clients))
    if not as_json:
        say_table(table)


@member.command("list")
@client_options
def list_members(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Print all members, as the cluster has agreed.

    \b
    Example:
        roost member list
    """
    with connect(endpoints, timeout_s) as client:
        _say(client.members(), as_json=as_json)


@member.command()
@click.argument("name")
@_urls
@click.option("--learner", is_flag=True, help="Let it follow without a vote, until it is promoted.")
@client_options
def add(
    name: str, peer_urls: str, endpoints: str, timeout_s: float, *, as_json: bool, learner: bool
) -> None:
    r"""Add a member; then start it, with `--initial-cluster-state existing`.

    \b
    Example:
        roost member add m4 --peer-urls http://10.0.0.4:2380
    """
    with connect(endpoints, timeout_s) as client:
        added, members = client.add_member(_split(peer_urls), is_learner=learner)
    _say_how_to_start(name, added, members, as_json=as_json)


def _say_how_to_start(name: str, added: Member, members: list[Member], *, as_json: bool) -> None:
    """Print the command for a new member's machine."""
    if as_json:
        _say([added], as_json=True)
        return
    is_secure = _speak_tls(members)
    words = command_for(name, added, members)
    click.echo(f"Member {added.id:x} added.")
    if is_secure or any(url.startswith("https://") for url in added.peer_urls):
        click.echo("It needs certificates, as the others have them.")
    click.echo("Where members share a secret (--peer-secret-file), it needs that, too.")
    # Last, so that it can be cut out as it is.
    click.echo("On its machine, with the client URLs that it shall have:")
    click.echo("  " + " \\\n    ".join(map(shlex.join, words)))


def command_for(name: str, added: Member, members: list[Member]) -> list[list[str]]:
    """What starts a new member, in lines: it can be pasted as it is."""
    # Members that have not started have no name yet, and nobody can be let in by them.
    known = [
        f"{it.name}={url}"
        for it in members
        if it.name and it.id != added.id
        for url in it.peer_urls
    ]
    cluster = ",".join([*known, *(f"{name}={url}" for url in added.peer_urls)])
    urls = ",".join(added.peer_urls)
    is_secure = _speak_tls(members)
    clients = dict.fromkeys(_client_url(it, is_secure=is_secure) for it in added.peer_urls)
    return [
        ["roost", "serve", "--name", name, "--data-dir", f"{name}.roost"],
        ["--initial-cluster-state", "existing", "--initial-cluster", cluster],
        ["--initial-advertise-peer-urls", urls, "--listen-peer-urls", urls],
        ["--listen-client-urls", ",".join(clients)],
    ]


def _speak_tls(members: list[Member]) -> bool:
    return any(url.startswith("https://") for it in members for url in it.client_urls)


def _client_url(peer_url: str, *, is_secure: bool) -> str:
    """Where a new member's clients may come: beside its peers, as etcd's ports are."""
    parts = urlsplit(peer_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{'https' if is_secure else 'http'}://{host}:{(parts.port or _PEER_PORT) - 1}"


@member.command()
@_id
@click.argument("name")
@_urls
@client_options
def replace(
    member_id: int, name: str, peer_urls: str, endpoints: str, timeout_s: float, *, as_json: bool
) -> None:
    r"""Put a new member in the place of one, in one step; Roost's own, etcd has none.

    The old one ends for good. The new one may have its URLs, when it starts on an empty directory.

    \b
    Example:
        roost member replace 8e9e05c52164694d m4 --peer-urls http://10.0.0.4:2380
    """
    with connect(endpoints, timeout_s) as client:
        added, members = client.replace_member(member_id, _split(peer_urls))
    _say_how_to_start(name, added, members, as_json=as_json)


@member.command()
@_id
@client_options
def remove(member_id: int, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Remove a member for good: it ends, and its id and data are never used again.

    \b
    Example:
        roost member remove 8e9e05c52164694d
    """
    with connect(endpoints, timeout_s) as client:
        members = client.remove_member(member_id)
    _say(members, as_json=as_json)


@member.command()
@_id
@_urls
@client_options
def update(
    member_id: int, peer_urls: str, endpoints: str, timeout_s: float, *, as_json: bool
) -> None:
    r"""Tell the cluster that a member is reached by other peer URLs.

    \b
    Example:
        roost member update 8e9e05c52164694d --peer-urls http://10.0.0.9:2380
    """
    with connect(endpoints, timeout_s) as client:
        members = client.update_member(member_id, _split(peer_urls))
    _say(members, as_json=as_json)


@member.command()
@_id
@client_options
def promote(member_id: int, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Give a learner its vote; refused until it has caught up.

    \b
    Example:
        roost member promote 8e9e05c52164694d
    """
    with connect(endpoints, timeout_s) as client:
        members = client.promote_member(member_id)
    _say(members, as_json=as_json)


@member.command()
@_id
@client_options
def lead(member_id: int, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Let a member lead; one of the endpoints must be the leader's.

    \b
    Example:
        roost member lead 8e9e05c52164694d
    """
    with connect(endpoints, timeout_s) as client:
        client.move_leader(member_id)
    if as_json:
        say_json({"leader": f"{member_id:x}"})
    else:
        click.echo(f"Member {member_id:x} leads")
