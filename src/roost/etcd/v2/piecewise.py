"""What is long, or comes over a long time, piece by piece (D14).

They stand by themselves because a compiler that takes the modules beside them takes no generator
that is asynchronous.
"""

from collections.abc import AsyncIterator, Iterator

from roost.etcd.v2.json_text import PIECE_BYTES
from roost.etcd.v2.watch_hub import WatchHub
from roost.etcd.v2.watchers import Watcher
from roost.slices import Turns

BEAT = b"\n"


async def written(pieces: Iterator[bytes], turns: Turns) -> AsyncIterator[bytes]:
    """Pieces, as they are made; those that are small together, and each in a turn of its own."""
    held, size = list[bytes](), 0
    for it in pieces:
        held.append(it)
        size += len(it)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
            await turns.take()
    if held:
        yield b"".join(held)


async def told(
    hub: WatchHub, watcher: Watcher, beat_s: float | None, turns: Turns
) -> AsyncIterator[bytes]:
    """All that one watch is still to be told, with a newline whenever nothing was for so long."""
    while True:
        if watcher.has_pending:
            async for it in written(watcher.take_pieces(), turns):
                yield it
        elif watcher.is_over:
            if watcher.fault is not None:
                yield watcher.fault.body
            return
        else:
            hub.follow(watcher)
            if not await watcher.wait(beat_s):
                yield BEAT
