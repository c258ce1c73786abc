"""The process of `roost serve`: open a member, serve it until told to stop, end with a code.

Opening is that of a program, `roost.database.embedded.Embedded.open`, serving is
`roost.server.MemberServer.listen`; what stands here is what only a process of its own has: signals,
words for people and the supervisor, exit codes, and an end that comes whatever a device does.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from roost.cli.ending import end_now, end_within
from roost.cli.exits import DONE, EXIT_BUG, EXIT_DEVICE, EXIT_FAILED, EXIT_LOCKED
from roost.cli.hello import command_to_try, notify, page_to_open, say, say_error
from roost.cli.watchdog import Watchdog, grant_rest
from roost.database import DEFAULT_LIMITS
from roost.database.builtin import BUILTIN
from roost.database.embedded import Embedded, Rooms
from roost.errors import CallerFault, DeviceFault, RoostError
from roost.journal import DirectoryLocked
from roost.member import (
    Member,
    MemberConfig,
    StoreDamaged,
    World,
    added_anew,
    mark_damaged,
    mark_suspect,
)
from roost.os_errors import words_of
from roost.server import Listener, MemberServer, Serving
from roost.server.embedding import Services
from roost.server.garbage import Garbage
from roost.settings import Settings
from roost.settings.urls import Url
from roost.store import StoreSuspect, crash
from roost.tls import TlsFiles

logger = logging.getLogger("roost")
# How soon a leader that is there is noticed.
_LOOK_S = 0.02
# How long a stop may take beyond what open calls are given.
STOP_S = 4.0
# How long the loop may take to end when there is nothing left to be done.
LINGER_S = 0.5
# How long a damaged store may take to be marked.
ANEW_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is known before anything is opened."""

    settings: Settings
    config: MemberConfig
    world: World
    serving: Serving
    # Where clients are served, as people write it, and with what.
    urls: Sequence[Url]
    tls: TlsFiles | None
    clients: Sequence[Listener]
    metrics: Sequence[Listener]
    # A new directory is filled by the cluster; an old one goes on alone, as a new cluster.
    joins: bool
    is_forced: bool
    # What is said at every start of what is not safe.
    insecurities: Sequence[str]


class _Services(Services):
    """etcd's services, as the process serves them, on a directory that is watched for crashes."""

    server: MemberServer

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def build(self, embedded: Embedded, settings: Settings) -> Rooms:
        """Stand on a member that has been opened, in a directory that may be new."""
        del settings
        crash.watch(embedded.member.config.data_dir)
        self.server = MemberServer(embedded, self._serving)
        return self.server


class Process:
    """One life of a member that is served."""

    def __init__(self, plan: Plan, *, on_hangup: Callable[[], None]) -> None:
        """Nothing is opened before `run`; `on_hangup` is called at each SIGHUP."""
        self._plan = plan
        self._services = _Services(plan.serving)
        self._on_hangup = on_hangup
        self._stop = asyncio.Event()
        self._watchdog = Watchdog()
        self._was_removed = False

    async def run(self) -> int:
        """Open, serve until told to stop, and stop; return the exit code."""
        plan = self._plan
        try:
            embedded = await self._open()
        except DirectoryLocked as error:
            say_error(error)
            return EXIT_LOCKED
        except DeviceFault as error:
            say_error(error)
            return EXIT_DEVICE
        except OSError as error:
            if plan.config.data_dir.exists():
                say_error(error)
            else:
                text = f"--data-dir={plan.config.data_dir} cannot be made: {words_of(error)}"
                say_error(f"{text}: name a place where whoever runs this may write")
            return EXIT_FAILED
        except RoostError as error:
            say_error(error)
            return EXIT_FAILED
        try:
            await self._services.server.listen(plan.clients, plan.metrics)
        except (RoostError, OSError) as error:
            say_error(error)
            await embedded.close()
            return EXIT_FAILED
        garbage = Garbage(lambda: embedded.member.memory.is_short)
        garbage.begin()
        self._services.server.hear_beats(garbage.on_beat)
        self._watchdog.begin()
        await self._wait_until_told(embedded.member)
        logger.info("stopping")
        notify("STOPPING=1")
        self._watchdog.end()
        limit_s = plan.serving.grace_s + STOP_S
        # As by a crash: nothing that was acknowledged is lost by it.
        text = f"the stop was cut short: a device has not answered for {limit_s:.0f} s"
        end_within(limit_s, EXIT_DEVICE, text)
        await embedded.close()
        if self._was_removed:
            text = f"its data in {plan.config.data_dir} are of no use any more"
            text = f"this member was removed from the cluster for good; {text}"
            say_error(f"{text}; for a new one here: {added_anew(plan.config)}")
        # All is closed and on the disk.  The loop itself would still wait for threads that look
        # up the name of a member, for as long as no name server answers.
        end_within(LINGER_S, DONE)
        return DONE

    async def _open(self) -> Embedded:
        """Open the directory, as a program does, after what has to be done to it first."""
        plan, data_dir = self._plan, self._plan.config.data_dir
        if crash.is_watched(data_dir):
            crash.watch(data_dir)
        return await Embedded.open(
            plan.config,
            plan.world,
            settings=plan.settings,
            builder=self._services,
            # Whoever leads says by name what it does not know; see `roost.database.runner`.
            operations=BUILTIN,
            limits=DEFAULT_LIMITS,
            joins=plan.joins,
            is_forced=plan.is_forced,
            on_fatal=self._on_fatal,
            on_removed=self._on_removed,
        )

    def _on_fatal(self, error: BaseException) -> NoReturn:
        """End at once, or start anew: what this process believes can no longer be trusted."""
        try:
            if isinstance(error, StoreDamaged):
                _start_anew(self._plan.config, error, mark_damaged)
            if isinstance(error, StoreSuspect):
                _start_anew(self._plan.config, error, mark_suspect)
        except Exception as second:  # noqa: BLE001 - a member that has stopped must not stay
            error = second
        finally:
            code = EXIT_DEVICE if isinstance(error, DeviceFault | OSError) else EXIT_BUG
            if isinstance(error, CallerFault):
                # It should not have been started like that, and where it came up tells nothing.
                end_now(EXIT_FAILED, f"the member ends itself: {error}")
            why = str(error)
            if isinstance(error, MemoryError):
                # It has no words of its own, and is no bug: consensus cannot go on without.
                code, why = EXIT_DEVICE, "too little memory is left"
            end_now(code, f"the member ends itself: {why}", error)

    def _on_removed(self) -> None:
        self._was_removed = True
        self._stop.set()

    async def _wait_until_told(self, member: Member) -> None:
        """Say where we are and, as soon as there is a leader, that we serve; go on until told."""
        plan = self._plan
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._read_again)
        for text in plan.insecurities:
            logger.warning(text)
        name, data = plan.config.name, plan.config.data_dir
        places = ", ".join(map(str, plan.urls))
        voters = member.core.configuration.all_voters()
        if len(voters) > 1 and not member.leader_id:
            say(
                f"Roost member {name!r} waits for a majority of {len(voters)} members; clients will"
                f" be served at {places}, its data is in {data}"
            )
            notify(f"STATUS=waits for a majority of {len(voters)} members")
        while not member.leader_id and not self._stop.is_set():
            await asyncio.sleep(_LOOK_S)
        if member.leader_id:
            say(f"Roost member {name!r} serves {places}, its data is in {data}")
            hint = command_to_try(plan.urls[0], plan.tls)
            say(f"Try: {hint}, or any etcd client")
            if page := page_to_open(plan.urls):
                say(f"Look: {page}")
            notify("READY=1", f"STATUS=serves {places}")
        await self._stop.wait()

    def _read_again(self) -> None:
        """What SIGHUP asks for."""
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._on_hangup()
        notify("READY=1")


def _start_anew(
    config: MemberConfig, error: DeviceFault, mark: Callable[[MemberConfig, str], None]
) -> NoReturn:
    """Remember what is wrong with the store, and be replaced by a process that sees to it.

    Whatever is raised, that could not be remembered.
    """
    end_within(ANEW_S, EXIT_DEVICE, "a damaged store could not be marked: its disk hangs")
    logger.critical("the member stops serving and looks after its store: %s", error)
    mark(config, str(error))
    grant_rest()
    with suppress(OSError):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - ourselves, as we were started
