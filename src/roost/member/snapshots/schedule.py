"""Backups by the clock: one every so often, the newest ones kept.

Each is a full one, or each so-and-so-many-th is, and those between are increments: what was written
since the one before.  An increment follows what this process has saved itself, and nothing else: a
directory may have backups of another cluster of the same names.  So the first one after a start is
full, and one that no increment can be made behind, since the log was trimmed or the file is gone;
the log says so.

Each member that is told to does it for itself, so that one lost machine does not cost the
backups, too.  Members may share a directory: each removes files of its own alone.
A backup that fails is said so, whatever it was, and tried again the next time.
The first one is due an interval after the newest that is there, so that a member which restarts
often saves as many as one that does not.  What was made while a clock was ahead is from the
future: it would be the newest for ever, and each new backup be removed at once.  So it gets the
time of now, or goes first (`shelf.keep`).

Somebody may ask for one at once (`save_by_hand`); there is one at a time.  Those have a name of
their own, and as many of them are kept: whoever asks again and again must not cost those by the
clock.  What is done to the place of them is done by a process of its own (`shelf_work`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec

from roost.children import Ended, run_module
from roost.errors import Overloaded, RoostError
from roost.member.errors import BackupFailed
from roost.member.snapshots.files import Files
from roost.member.snapshots.shelf import Newest
from roost.member.snapshots.shelf_work import Progress, Saved
from roost.member.snapshots.written import lend_written

logger = logging.getLogger(__name__)
SHELF = "roost.member.snapshots.shelf_work"
# What the names of those have that somebody has asked for.
BY_HAND = "-by-hand"
# Of what is saved: how far that is.
Hearing = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Chain:
    """The last backup by the clock: which it is, where it ends, how many increments it is on."""

    name: str
    digest: str
    index: int
    term: int
    count: int


class BackupSchedule:
    """Saves a member's store into a directory or a bucket."""

    def __init__(
        self,
        files: Files,
        place: str,
        *,
        name: str,
        interval_s: float,
        keep_count: int,
        full_interval_s: float = 0.0,
        run_process: Callable[..., Awaitable[Ended]] = run_module,
    ) -> None:
        """`place` is a directory, or `s3://BUCKET/PREFIX`.

        `name` begins every file's name; at most `keep_count` full ones of it stay, with their
        increments.  `full_interval_s` is how often one is full, 0 = always.
        """
        assert interval_s > 0, "the settings say so"
        assert keep_count > 0, "the settings say so"
        self._files = files
        self._place = place
        self._name = name
        self._interval_s = interval_s
        self._keep_count = keep_count
        self._increments_max = max(0, int(full_interval_s // interval_s) - 1)
        self._chain: _Chain | None = None
        self._run_process = run_process
        self._is_saving = False

    async def run(self) -> None:
        """Save one backup after another, until cancelled."""
        await asyncio.sleep(await self._first_wait_s())
        while True:
            try:
                saved = await self.save()
            except (RoostError, OSError) as error:
                logger.error("no backup this time: %s", error)  # noqa: TRY400 - said in a line
            except Exception:
                # A bug: it must neither end the backups nor pass unseen.
                logger.exception("no backup this time")
            else:
                if saved is None:
                    logger.info("nothing was written since the last backup")
                else:
                    logger.info("backup %s, %d bytes", saved.name, saved.size_bytes)
            await asyncio.sleep(self._interval_s)

    async def _first_wait_s(self) -> float:
        """How long until the first backup is due.

        A whole interval where there is none: whoever starts many members to try something wants
        no copy of each.
        """
        try:
            ended = await self._run("newest", self._place, self._name)
            newest = msgspec.json.decode(ended.said, type=Newest)
            if newest.fault:
                raise BackupFailed(newest.fault)
            age_s = newest.age_s
        except (RoostError, OSError) as error:
            logger.warning("the age of the newest backup is not known: %s", error)
            age_s = None
        return self._interval_s - max(0.0, min(age_s or 0.0, self._interval_s))

    async def save(self) -> Saved | None:
        """Save one backup now, and remove the oldest ones.

        None: it would be an increment, and nothing was written.

        Raises:
            Overloaded: one is being saved.
            RoostError, OSError: it could not be made or written.

        """
        chain = self._chain
        if chain is not None and chain.count < self._increments_max:
            try:
                return await self._follow(chain)
            except Overloaded:
                raise
            except (RoostError, OSError) as error:
                logger.warning("no increment, so this backup is a full one: %s", error)
        # Where that fails, the next one is full as well: what stays is one chain less to look for.
        self._chain = None
        saved = await self._save(self._name, lambda _progress: None)
        self._chain = _Chain(saved.name, saved.digest, saved.index, saved.term, 0)
        return saved

    async def _follow(self, chain: "_Chain") -> Saved | None:
        """Save what was written behind the last one."""
        count = chain.count + 1
        if self._files.is_behind(chain.index):
            self._chain = replace(chain, count=count)
            return None
        with self._alone():
            async with lend_written(self._files, chain.index, chain.term) as pages:
                base = chain.name, chain.digest, str(chain.index), str(chain.term)
                ended = await self._run(
                    *("follow", self._place, self._name, str(pages), *base),
                    str(self._files.cluster_id()),
                    hear=lambda _line: None,
                )
        saved = _checked(ended)
        self._chain = _Chain(saved.name, saved.digest, saved.index, saved.term, count)
        return saved

    async def save_by_hand(self, hear: Hearing) -> Saved:
        """Save one for somebody, beside those by the clock; `hear` is told how far it is.

        Raises as `save`.
        """
        return await self._save(f"{self._name}{BY_HAND}", hear)

    async def _save(self, name: str, hear: Hearing) -> Saved:
        with self._alone():
            async with self._files.lend_snapshot() as copy:
                arguments = ("save", self._place, name, str(copy), str(self._keep_count))
                ended = await self._run(
                    *arguments, hear=lambda line: hear(msgspec.json.decode(line, type=Progress))
                )
        return _checked(ended)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._is_saving:
            raise Overloaded("a backup is being saved: wait until that is done")
        self._is_saving = True
        try:
            yield
        finally:
            self._is_saving = False

    async def _run(self, *arguments: str, hear: Callable[[bytes], None] | None = None) -> Ended:
        ended = await self._run_process(SHELF, *arguments, hear=hear)
        if ended.code:
            raise BackupFailed(f"the process for it ended with {ended.code}")
        return ended


def _checked(ended: Ended) -> Saved:
    """What a process has saved.

    Raises:
        BackupFailed: it could not.

    """
    saved = msgspec.json.decode(ended.said, type=Saved)
    if saved.fault:
        raise BackupFailed(saved.fault)
    return saved
