"""Feature flags that change everywhere at once: each process has all of them in memory, and right.

    python examples/feature_flags.py m1.data m1 m1=127.0.0.1:7001 m2=127.0.0.1:7002 m3=...
    (m2 and m3 the same, with their names)

Then lines: `set FLAG PERCENT`, `drop FLAG`, `is FLAG USER`.  A flag is on for so many of a hundred
users, always the same ones.  `is` asks nobody, so it costs nothing and works without a majority;
each process says what is there when it begins, and what changes.
"""

import asyncio
import sys
import zlib

import msgspec

import roost
import roost.aio


class Flag(msgspec.Struct):
    """For how many of a hundred it is on."""

    percent: int


class Flags:
    """All flags, as this member has them."""

    def __init__(self, db: roost.aio.Database) -> None:
        self._db = db
        self._held: dict[str, Flag] = {}
        self.tree = db.tree("flags", key=str, value=Flag)

    def is_on(self, name: str, user: str) -> bool:
        """Whether a flag is on for a user; one that is not there is off."""
        flag = self._held.get(name)
        return flag is not None and zlib.crc32(f"{name}/{user}".encode()) % 100 < flag.percent

    async def follow(self) -> None:
        """Keep them right, for ever; to be run in a task."""
        while True:
            try:
                await self._follow()
            except roost.NotExecuted as error:
                # Nobody leads, as at the first start, or where no majority can be reached.
                print(f"reading all flags again: {error}", file=sys.stderr)

    async def _follow(self) -> None:
        async with self._db.observe("flags", key=str, value=Flag) as changes:
            async with self._db.view() as view:
                rows = view.tree("flags", key=str, value=Flag).items()
                self._held = {name: flag async for name, flag in rows}
            print(f"{len(self._held)} flags are there", flush=True)
            async for change in changes:
                if isinstance(change, roost.Overrun):
                    return  # we were too slow, and some are missing
                if change.index > view.index:
                    self._take(change.key, change.value)

    def _take(self, name: str, flag: Flag | None) -> None:
        if flag is None:
            self._held.pop(name, None)
        else:
            self._held[name] = flag
        print(f"{name} is {'gone' if flag is None else f'on for {flag.percent} %'}", flush=True)


async def carry_out(flags: Flags, words: list[str]) -> str:
    """What a line asks for."""
    match words:
        case ["set", name, percent]:
            await flags.tree.put(name, Flag(int(percent)))
            return "set"
        case ["drop", name]:
            return "dropped" if await flags.tree.delete(name) else "there is none"
        case ["is", name, user]:
            return "yes" if flags.is_on(name, user) else "no"
    return "set FLAG PERCENT | drop FLAG | is FLAG USER"


async def main(path: str, name: str, *members: str) -> None:
    """Be a member, and do what the lines of standard input say."""
    cluster = dict(it.split("=", 1) for it in members)
    async with (
        roost.aio.open(path, name=name, members=cluster) as db,
        asyncio.TaskGroup() as group,
    ):
        flags = Flags(db)
        following = group.create_task(flags.follow())
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                print(await carry_out(flags, line.split()), flush=True)
            except (roost.RoostError, ValueError) as error:
                print(f"no: {error}", flush=True)
        following.cancel()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
