"""`roost lease`, `roost lock`, `roost elect`: what lasts as long as somebody says so."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from roost.cli.shared import client_options, connect, hexadecimal, say_json, text_of
from roost.client import Client, ClientError, Leader

_id = click.argument("lease_id", callback=hexadecimal, metavar="ID")
_ttl = click.option("--ttl", "ttl_s", default=60, show_default=True, help="Seconds of the lease.")


@click.group()
def lease() -> None:
    """Grant, renew, look at and revoke leases; keys may go away with one."""


@lease.command()
@click.argument("ttl_s", type=int, metavar="TTL")
@client_options
def grant(ttl_s: int, endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Make a lease of TTL seconds, and print its id.

    \b
    Example:
        roost lease grant 60
    """
    with connect(endpoints, timeout_s) as client:
        lease_id, granted_s = client.leases.grant(ttl_s)
    if as_json:
        say_json({"id": f"{lease_id:x}", "ttl_s": granted_s})
    else:
        click.echo(f"{lease_id:x}\tgranted for {granted_s} s")


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
    r"""Renew a lease again and again until interrupted; exit code 1 when it is gone.

    \b
    Example:
        roost lease keep-alive 694d77aa9e38260f
    """
    with connect(endpoints, timeout_s) as client:
        while ttl_s := client.leases.renew(lease_id):
            if as_json:
                say_json({"id": f"{lease_id:x}", "ttl_s": ttl_s})
            else:
                click.echo(f"{lease_id:x}\trenewed for {ttl_s} s")
            sys.stdout.flush()
            if once:
                return
            threading.Event().wait(ttl_s / 3)
    raise click.ClickException(f"lease {lease_id:x} has expired or was revoked")


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


def _on_stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _session(client: Client, ttl_s: int) -> Iterator[int]:
    """A lease that is renewed meanwhile, and revoked in the end, also when we are asked to stop."""
    signal.signal(signal.SIGTERM, _on_stop)
    lease_id, granted_s = client.leases.grant(ttl_s)
    over = threading.Event()

    def renew() -> None:
        while not over.wait(granted_s / 3):
            try:
                client.leases.renew(lease_id)
            except ClientError as error:
                click.echo(f"the lease could not be renewed: {error}", err=True)

    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield lease_id
    finally:
        over.set()
        renewing.join()
        client.leases.revoke(lease_id)


@click.command()
@click.argument("name")
@click.argument("command", nargs=-1)
@_ttl
@click.option("--wait", "wait_s", default=3600.0, help="Seconds to wait for the lock.")
@client_options
def lock(
    name: str,
    command: tuple[str, ...],
    ttl_s: int,
    wait_s: float,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
) -> None:
    r"""Wait for a lock, then run COMMAND, or hold it until interrupted.

    With COMMAND the exit code is that of COMMAND, which finds the key that holds the lock in
    ROOST_LOCK_KEY.

    \b
    Example:
        roost lock backups -- sh -c 'tar c data > data.tar'
    """
    import os

    with connect(endpoints, timeout_s) as client, _session(client, ttl_s) as lease_id:
        with connect(endpoints, wait_s) as waiting:
            key = waiting.leases.lock(name.encode(), lease_id)
        if command:
            environment = {**os.environ, "ROOST_LOCK_KEY": text_of(key)}
            done = subprocess.run(command, env=environment, check=False)  # noqa: S603 - as asked
            sys.exit(done.returncode)
        say_json({"key": text_of(key)}) if as_json else click.echo(text_of(key))
        sys.stdout.flush()
        threading.Event().wait()


@click.command()
@click.argument("name")
@click.argument("value", required=False)
@click.option("--listen", is_flag=True, help="Only print who leads, now and from now on.")
@_ttl
@click.option("--wait", "wait_s", default=3600.0, help="Seconds to wait for the lead.")
@client_options
def elect(
    name: str,
    value: str | None,
    ttl_s: int,
    wait_s: float,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    listen: bool,
) -> None:
    r"""Lead the election NAME with VALUE until interrupted, or say who does.

    \b
    Example:
        roost elect scheduler host-1
        roost elect scheduler --listen
    """
    if listen == (value is not None):
        raise click.UsageError("either VALUE or --listen")
    with connect(endpoints, timeout_s) as client:
        if value is None:
            for leader in client.leases.observe(name.encode()):
                _say_leader(leader, as_json=as_json)
            return
        with _session(client, ttl_s) as lease_id, connect(endpoints, wait_s) as waiting:
            leader = waiting.leases.campaign(name.encode(), lease_id, value.encode())
            _say_leader(leader, as_json=as_json)
            threading.Event().wait()


def _say_leader(leader: Leader, *, as_json: bool) -> None:
    key, value = text_of(leader.key), text_of(leader.value)
    say_json({"key": key, "value": value}) if as_json else click.echo(f"{key}\t{value}")
    sys.stdout.flush()
