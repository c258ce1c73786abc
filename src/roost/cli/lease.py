"""`roost lease`: what lasts as long as somebody says so."""

import sys
import threading

import click

from roost.cli.exits import LEASE_LOST
from roost.cli.interrupts import interruptible
from roost.cli.lock import say_trouble
from roost.cli.shared import NUMBER, client_options, connect, lease_id_of, say_json, text_of

_id = click.argument("lease_id", callback=lease_id_of, metavar="ID")


@click.group()
def lease() -> None:
    """Grant, renew, look at and revoke leases; keys may go away with one."""


@lease.command()
@click.argument("ttl_s", type=NUMBER, metavar="TTL")
@client_options
def grant(ttl_s: int, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Make a lease of TTL seconds, and print its id, with the seconds granted behind a tab.

    \b
    Example:
        roost lease grant 60
        roost put greeting hello --lease $(roost lease grant 60 | cut -f 1)
    """
    with connect(endpoints, timeout_s) as client:
        granted = client.leases.grant(ttl_s)
    if as_json:
        say_json({"id": f"{granted.lease_id:x}", "ttl_s": granted.ttl_s})
    else:
        click.echo(f"{granted.lease_id:x}\tgranted for {granted.ttl_s} s")


@lease.command()
@_id
@client_options
def revoke(lease_id: int, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""End a lease; its keys go with it.

    \b
    Example:
        roost lease revoke 694d77aa9e38260f
    """
    with connect(endpoints, timeout_s) as client:
        client.leases.revoke(lease_id)
    if as_json:
        say_json({"id": f"{lease_id:x}", "revoked": True})
    else:
        click.echo(f"{lease_id:x}\trevoked")


@lease.command("keep-alive")
@_id
@click.option("--once", is_flag=True, help="Renew it once, and end.")
@client_options
def keep_alive(
    lease_id: int, endpoints: str, timeout_s: float, *, as_json: bool, once: bool
) -> None:
    r"""Renew a lease again and again, at any endpoint, until interrupted.

    Exit code 1 when it is gone from the start, 75 when it is lost later.

    \b
    Example:
        roost lease keep-alive 694d77aa9e38260f
    """

    def say(ttl_s: int) -> None:
        if as_json:
            say_json({"id": f"{lease_id:x}", "ttl_s": ttl_s})
        else:
            click.echo(f"{lease_id:x}\trenewed for {ttl_s} s")
        sys.stdout.flush()

    over = threading.Event()
    with connect(endpoints, timeout_s) as client:
        session = client.leases.session(
            lease_id=lease_id,
            on_renewed=say,
            on_lost=lambda _: over.set(),
            on_trouble=say_trouble,
        )
        with session, interruptible(lambda _number: over.set()):
            if not once:
                over.wait()
    if session.lost is not None:
        click.echo(f"Error: {session.lost}", err=True)
        sys.exit(LEASE_LOST)


@lease.command("time-to-live")
@_id
@click.option("--keys", is_flag=True, help="Its keys, too.")
@client_options
def time_to_live(
    lease_id: int, endpoints: str, timeout_s: float, *, as_json: bool, keys: bool
) -> None:
    r"""Say how long a lease has left; exit code 1 when it is gone.

    \b
    Example:
        roost lease time-to-live 694d77aa9e38260f --keys
    """
    with connect(endpoints, timeout_s) as client:
        said = client.leases.time_to_live(lease_id, keys=keys)
    if said.left_s < 0:
        raise click.ClickException(f"lease {lease_id:x} has expired or was revoked")
    names = [text_of(it) for it in said.keys]
    if as_json:
        row = {"id": f"{lease_id:x}", "left_s": said.left_s, "granted_s": said.granted_s}
        say_json({**row, "keys": names} if keys else row)
    else:
        click.echo(f"{lease_id:x}\t{said.left_s} of {said.granted_s} s left")
        for name in names:
            click.echo(name)


@lease.command("list")
@client_options
def list_leases(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Print the ids of all leases.

    \b
    Example:
        roost lease list
    """
    with connect(endpoints, timeout_s) as client:
        found = client.leases.all()
    for lease_id in found:
        say_json({"id": f"{lease_id:x}"}) if as_json else click.echo(f"{lease_id:x}")
