"""Has the keys counted, a little each turn, so that a count or a page need not walk over all.

At a start, and after a snapshot has replaced everything, the keys are walked over once; then only
blocks that have grown are cut.  A turn takes BLOCKS_A_TURN; when nothing is left the next one
comes with the write that makes some, and LOOK_S is for what no write has made.
"""

import asyncio

from roost.etcd.model.mvcc import Mvcc

BLOCKS_A_TURN = 2
LOOK_S = 1.0


class Counting:
    """The counting on one member."""

    def __init__(self, mvcc: Mvcc) -> None:
        """Nothing is counted before `start`."""
        self._counts = mvcc.key_counts
        self._handle: asyncio.Handle | None = None

    def start(self) -> None:
        """Count until all is counted, and look now and then."""
        self._counts.on_work = self._on_work
        self._on_work()

    def _on_work(self) -> None:
        """A count that walked over what a block has grown by would be as long as that is."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> None:
        """Count no more."""
        self._counts.on_work = lambda: None
        if self._handle is not None:
            self._handle.cancel()

    def _turn(self) -> None:
        for _ in range(BLOCKS_A_TURN):
            self._counts.go_on()
        loop = asyncio.get_running_loop()
        if self._counts.is_done:
            self._handle = loop.call_later(LOOK_S, self._turn)
        else:
            self._handle = loop.call_soon(self._turn)
