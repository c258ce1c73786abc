"""The command: which way is gone, what is said on the way, and when it ends."""

import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click

from roost.cli.exits import EXIT_REFUSED, EXIT_USAGE
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.migrate.migration import Migration, Standing
from roost.cli.migrate.state import State, read_state, write_state
from roost.cli.shared import Failed, ask_password, client_options, connect, failed, say_json
from roost.client import Client, ClientError, Compacted, Credentials, NotLoggedIn, is_lost
from roost.errors import RoostError

# How long changes are waited for in a turn, and how often it is said how far all is.
_TURN_S, _SAY_S = 0.5, 10.0
# For so long an end may be silent, and so often it is asked.
_PATIENCE_S, _PAUSE_S = 300.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    """What the options say of the way."""

    once: bool
    keep_revisions: bool
    state: Path | None
    as_json: bool


@click.command()
@click.argument("source")
@client_options
@click.option("--source-user", default="", help="Who we are at the source: NAME or NAME:PASSWORD.")
@click.option("--source-cacert", default="", help="Whose certificates the source must have.")
@click.option("--source-cert", default="", help="Our certificate for the source.")
@click.option("--source-key", default="", help="Its key.")
@click.option("--once", is_flag=True, help="End when all is carried over and both ends are equal.")
@click.option(
    "--keep-revisions",
    is_flag=True,
    help="Refuse to go on when revisions cannot stay what they are.",
)
@click.option("--delete-others", is_flag=True, help="Delete what the source does not have.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that says how far it is, so that nothing is compared when it goes on.",
)
def migrate(
    source: str,
    endpoints: str,
    timeout_s: float,
    source_user: str,
    source_cacert: str,
    source_cert: str,
    source_key: str,
    *,
    once: bool,
    keep_revisions: bool,
    delete_others: bool,
    state: Path | None,
    as_json: bool,
) -> None:
    r"""Carry all keys and leases of the etcd at SOURCE over, and every change, while it serves.

    Into a cluster that was made by `roost import` of a snapshot of that etcd revisions go on as
    they are; into any other one keys, values and leases are made alike.  Users and roles come with
    an import alone: their passwords can be read nowhere else.

    To go over: let it run until it says that it is caught up; stop those who write; run it with
    --once, which ends when both ends are equal; and send everybody to the new endpoints.

    \b
    Example:
        roost migrate http://etcd:2379 --endpoints 127.0.0.1:2379
        roost migrate http://etcd:2379 --endpoints 127.0.0.1:2379 --once --json
    """
    name, colon, password = source_user.partition(":")
    if name and not colon:
        password = ask_password(f"Password of {name}", option="--source-user NAME:PASSWORD")
    who = Credentials(
        ca_file=source_cacert, cert_file=source_cert, key_file=source_key, user=name,
        password=password,
    )  # fmt: skip
    wishes = _Wishes(once=once, keep_revisions=keep_revisions, state=state, as_json=as_json)
    try:
        with (
            interruptible(leave_done),
            connect(endpoints, timeout_s) as target,
            Client(source, timeout_s=timeout_s, credentials=who) as client,
        ):
            migration = Migration(client, target, deletes_others=delete_others)
            _Run(migration, wishes, _ids(client, target)).run()
    except (RoostError, OSError) as error:
        raise failed(error) from error


def _ids(source: Client, target: Client) -> tuple[int, int]:
    """The clusters' ids, which must not be one."""
    try:
        source_id = _id_of(source)
    except NotLoggedIn as error:
        # What is said of the target names --user, which the source is not asked with.
        text = "the source wants to know who asks, or does not believe it: --source-user NAME"
        raise Failed(text, EXIT_REFUSED) from error
    target_id = _id_of(target)
    if source_id == target_id:
        raise Failed(f"source and target are one cluster, {source_id:x}", EXIT_USAGE)
    return source_id, target_id


def _id_of(cluster: Client) -> int:
    return cluster.ask_range(b"\0", count_only=True).header.cluster_id


class _Run:
    """One run, from the choice of a way to its end."""

    def __init__(self, migration: Migration, wishes: _Wishes, ids: tuple[int, int]) -> None:
        self._migration, self._wishes = migration, wishes
        self._source_id, self._target_id = ids
        self._said_s = 0.0
        self._was_caught_up = False
        self._kept: tuple[int, int] | None = None

    def run(self) -> None:
        """Until both ends are equal, where that is the wish; else until interrupted."""
        is_begun = False
        away_since: float | None = None
        while True:
            try:
                if not is_begun:
                    self._begin()
                    is_begun = True
                if self._turn():
                    return
                away_since = None
            except Compacted:
                self._say("the source has forgotten where we were: comparing all", {})
                self._migration.begin_again()
                self._compare()
            except ClientError as error:
                if not is_lost(error):
                    raise
                now = time.monotonic()
                away_since = away_since or now
                if not is_begun or now - away_since > _PATIENCE_S:
                    raise
                click.echo(f"an end does not answer, trying on: {error}", err=True)
                threading.Event().wait(_PAUSE_S)

    def _begin(self) -> None:
        migration, path = self._migration, self._wishes.state
        held = None if path is None else _state_of(path)
        if held is not None and self._is_ours(held):
            migration.resume(
                held.source_revision,
                held.target_revision,
                keeps_revisions=held.keeps_revisions,
            )
            self._say(f"going on behind revision {held.source_revision}", {"way": "resumed"})
        elif migration.is_made_of_source():
            text = f"the target has what the source had at revision {migration.source_revision}"
            self._say(f"{text}: revisions stay what they are", {"way": "revisions"})
        else:
            self._compare()

    def _is_ours(self, held: State) -> bool:
        """Whether a state is of these clusters, and says where they are.

        Where revisions are kept the target may be further, if the last write was not written down:
        then it is compared with what the source had at that revision.
        """
        if (held.source_cluster, held.target_cluster) != (self._source_id, self._target_id):
            return False
        is_there = held.target_revision == self._migration.target_now()
        return is_there or not held.keeps_revisions

    def _compare(self) -> None:
        if self._wishes.keep_revisions:
            raise Failed(
                "revisions cannot stay what they are: the target is not what the source was at the "
                "target's revision, or the source has compacted that.  Save a snapshot of the "
                "source, `roost import` it, and begin within what the source keeps",
                EXIT_REFUSED,
            )
        while True:
            try:
                count = self._migration.make_alike()
            except Compacted:
                continue
            break
        self._say(f"{count} keys are alike; revisions are the target's own", {"way": "alike"})

    def _turn(self) -> bool:
        """Carry over what comes; whether that was all that was wished."""
        migration = self._migration
        kept = migration.keeps_revisions
        migration.leases.keep()
        has_come = migration.follow(_TURN_S)
        self._keep_state()
        if kept and not migration.keeps_revisions:
            self._lose_revisions()
        if has_come and time.monotonic() - self._said_s < _SAY_S:
            return False
        standing = migration.standing()
        if not standing.is_caught_up:
            self._was_caught_up = False
            self._say_standing(standing)
            return False
        if not self._was_caught_up:
            try:
                self._verify(standing)
            except Compacted:
                return False  # what was to be hashed is forgotten; the next turn hashes what is now
            self._was_caught_up = True
            return self._wishes.once
        self._say_standing(standing)
        return False

    def _lose_revisions(self) -> None:
        text = "revisions stay what they are no longer: somebody else writes to the target, or a "
        text += "revision of the source was more than a transaction holds"
        if self._wishes.keep_revisions:
            raise Failed(text, EXIT_REFUSED)
        self._say(text, {"way": "alike"})

    def _verify(self, standing: Standing) -> None:
        ours, theirs = self._migration.verify()
        what = "keys, values, leases and revisions" if ours.has_revisions else (
            "keys, values and leases"
        )  # fmt: skip
        self._say(
            f"caught up at revision {ours.revision}: {what} of {ours.key_count} keys are equal, "
            f"sha256 {ours.digest}; the target is at revision {theirs.revision}",
            {
                "caught_up": True,
                "keys": ours.key_count,
                "sha256": ours.digest,
                "source_revision": ours.revision,
                "target_revision": theirs.revision,
                "keeps_revisions": standing.keeps_revisions,
                "leases": standing.lease_count,
            },
        )
        if not self._wishes.once and not self._wishes.as_json:
            click.echo("to go over: stop who writes, run it again with --once, move the clients")
        sys.stdout.flush()

    def _say_standing(self, standing: Standing) -> None:
        if time.monotonic() - self._said_s < _SAY_S:
            return
        behind = standing.source_now - standing.source_revision
        self._say(
            f"at revision {standing.source_revision}, {max(0, behind)} behind; "
            f"{standing.written_count} writes, {standing.lease_count} leases",
            {
                "caught_up": standing.is_caught_up,
                "source_revision": standing.source_revision,
                "behind": max(0, behind),
                "writes": standing.written_count,
                "leases": standing.lease_count,
            },
        )

    def _say(self, text: str, row: dict[str, object]) -> None:
        self._said_s = time.monotonic()
        if not self._wishes.as_json:
            click.echo(text)
        elif row:
            say_json(row)
        sys.stdout.flush()

    def _keep_state(self) -> None:
        migration, path = self._migration, self._wishes.state
        now = (migration.source_revision, migration.target_revision)
        if path is None or now == self._kept:
            return
        write_state(
            path,
            State(
                source_cluster=self._source_id,
                target_cluster=self._target_id,
                source_revision=migration.source_revision,
                target_revision=migration.target_revision,
                keeps_revisions=migration.keeps_revisions,
            ),
        )
        self._kept = now


def _state_of(path: Path) -> State | None:
    try:
        return read_state(path)
    except ValueError as error:
        raise Failed(f"{path} is no state of a migration: {error}", EXIT_USAGE) from error
