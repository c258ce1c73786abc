"""`roost lock`, `roost elect`: what is held as long as a lease is."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from roost.cli.exits import DONE, EXIT_INTERRUPTED, EXIT_USAGE, LEASE_LOST
from roost.cli.guarded import Guarded
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.shared import (
    NUMBER,
    Failed,
    bytes_of,
    client_options,
    connect,
    say_json,
    text_of,
)
from roost.client import Client, ClientError, Leader, LeaseLost, Session
from roost.os_errors import words_of

# A command that is told to end has so long, if the lease is long enough.
_GRACE_S_MAX = 10.0
_ttl = click.option(
    "--ttl", "ttl_s", type=NUMBER, default=60, show_default=True, help="Seconds of the lease."
)


def say_trouble(error: ClientError) -> None:
    """Renewals begin to fail."""
    click.echo(f"the lease could not be renewed; trying on: {error}", err=True)


class _Held:
    """What is held by a lease, and why it is held no more."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.was_interrupted = False
        # What is told to stop is known when there is something to guard.
        self.guarded: list[Guarded] = []

    def lose(self) -> None:
        """It is another's now."""
        self.over.set()
        for it in self.guarded:
            it.lose()

    def wait(self) -> None:
        """Until it is lost, or somebody wants us to end: that is what we wait for."""
        self.over.wait()
        if self.was_interrupted:
            sys.exit(DONE)


@contextmanager
def _session(client: Client, ttl_s: int, held: _Held) -> Iterator[Session]:
    """A lease that is renewed meanwhile, and given back in the end, also when we are stopped.

    When it is lost we say so, and exit with `LEASE_LOST`.
    """

    def say_lost(lost: LeaseLost) -> None:
        click.echo(f"Error: {lost}: what was held is lost", err=True)
        held.lose()

    def stop(_number: int) -> None:
        held.was_interrupted = True
        held.over.set()
        session.scope.end(ClientError("CANCELLED", "interrupted"))

    with (
        client.leases.session(ttl_s, on_lost=say_lost, on_trouble=say_trouble) as session,
        interruptible(stop),
    ):
        try:
            yield session
            session.check()
        except LeaseLost:
            if session.lost is None:
                raise
            sys.exit(LEASE_LOST)
        except ClientError:
            if held.was_interrupted:
                sys.exit(EXIT_INTERRUPTED)
            raise


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
    ROOST_LOCK_KEY, and in ROOST_LOCK_REVISION a number that grows from holder to holder.

    When the lease is lost, COMMAND and all that it started gets TERM, then KILL, before somebody
    else can have the lock if possible; the exit code is 75.

    Who ends this command itself by KILL leaves COMMAND running, and the lock goes to the next when
    the lease has run out. End it by TERM, which COMMAND is passed; or run it where the end of one
    is the end of all, as in a unit of systemd.

    \b
    Example:
        roost lock backups -- sh -c 'tar c data > data.tar'
    """
    held = _Held()
    with connect(endpoints, timeout_s) as client, _session(client, ttl_s, held) as session:
        turn = client.leases.lock(
            bytes_of(name), session.lease_id, wait_s=wait_s, scope=session.scope
        )
        key = text_of(turn.key)
        if command:
            told = {"ROOST_LOCK_KEY": key, "ROOST_LOCK_REVISION": str(turn.create_revision)}
            held.guarded.append(Guarded(command, told))
            _run(held.guarded[0], session)
        say_json({"key": key}) if as_json else click.echo(key)
        sys.stdout.flush()
        held.wait()


def _run(guarded: Guarded, session: Session) -> None:
    session.scope.check()  # lost, or told to end, before there was anything to end
    try:
        with interruptible(lambda _number: None):  # the command is told, and ends or not
            code = guarded.run(min(_GRACE_S_MAX, session.margin_s * 0.75))
    except OSError as error:
        raise Failed(f"COMMAND cannot be run: {words_of(error)}", EXIT_USAGE) from error
    session.check()
    sys.exit(code)


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

    The exit code is 75 when the lease is lost: somebody else may lead then.

    \b
    Example:
        roost elect scheduler host-1
        roost elect scheduler --listen
    """
    if listen == (value is not None):
        raise click.UsageError("either VALUE or --listen")
    held = _Held()
    with connect(endpoints, timeout_s) as client:
        if value is None:
            with interruptible(leave_done):
                for leader in client.leases.observe(bytes_of(name)):
                    _say_leader(leader, as_json=as_json)
            return
        with _session(client, ttl_s, held) as session:
            leader = client.leases.campaign(
                bytes_of(name),
                session.lease_id,
                bytes_of(value),
                wait_s=wait_s,
                scope=session.scope,
            )
            _say_leader(leader, as_json=as_json)
            held.wait()


def _say_leader(leader: Leader, *, as_json: bool) -> None:
    key, value = text_of(leader.key), text_of(leader.value)
    say_json({"key": key, "value": value}) if as_json else click.echo(f"{key}\t{value}")
    sys.stdout.flush()
