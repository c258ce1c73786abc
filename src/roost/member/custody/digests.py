"""State digests of all members, compared at equal log positions (J39); on by default.

Every member's keeper says the digest of its store at each DIGEST_ENTRIES-th log position, and the
member tells all others.  A member whose digest differs from that of a majority stops serving and
rebuilds.  Where there is no majority, as between two members, nobody knows who is right: every
one of them says so, and an alarm is raised.

    FRAME_DIGESTS   u64 index, 16 bytes digest, big-endian

Full?  The newest POINTS_MAX positions are kept of each member.
"""

import logging
from collections.abc import Callable
from struct import Struct
from struct import error as StructError

from roost.errors import PeerFault
from roost.raft import COUNT_MAX, Core, has_quorum

logger = logging.getLogger(__name__)
POINTS_MAX = 16
_SAID = Struct(">Q16s")


class Digests:
    """What all members said of their states.

    `tell(to, buffers)` sends a frame; `on_minority(text)` is called when we are wrong, and
    `on_mismatch(member_id)`, with our own id, when nobody knows who is.
    """

    def __init__(
        self,
        core: Core,
        *,
        tell: Callable[[int, list[bytes]], object],
        on_minority: Callable[[str], None],
        on_mismatch: Callable[[int], None],
    ) -> None:
        """Nobody has said anything."""
        self._core = core
        self._tell = tell
        self._on_minority = on_minority
        self._on_mismatch = on_mismatch
        self._said: dict[int, dict[int, bytes]] = {}
        self.compared_count = 0
        self.mismatch_count = 0

    def on_own(self, index: int, digest: bytes) -> None:
        """Our own store is at `index`."""
        frame = [_SAID.pack(index, digest)]
        for member_id in self._core.configuration.all_nodes():
            if member_id != self._core.id:
                self._tell(member_id, frame)
        self._note(self._core.id, index, digest)

    def on_frame(self, sender: int, body: bytes) -> None:
        """Another member's store was at some position.

        Raises:
            PeerFault: the frame breaks its format.

        """
        try:
            index, digest = _SAID.unpack(body)
        except StructError as error:
            raise PeerFault(f"a digest frame of {len(body)} bytes") from error
        if index > COUNT_MAX:
            raise PeerFault(f"a digest at entry {index}, which nobody can reach")
        self._note(sender, index, digest)

    def _note(self, member_id: int, index: int, digest: bytes) -> None:
        points = self._said.setdefault(member_id, {})
        points[index] = digest
        while len(points) > POINTS_MAX:
            del points[min(points)]
        self._compare(index)

    def _compare(self, index: int) -> None:
        core, said = self._core, self._said
        own = said.get(core.id, {}).get(index)
        if own is None:
            return
        known = {it: points[index] for it, points in said.items() if index in points}
        self.compared_count += 1
        others = sorted(it for it, digest in known.items() if digest != own)
        if not others:
            return
        self.mismatch_count += 1
        if self._is_majority(known, own):
            for member_id in others:
                logger.error("member %x differs from the majority at entry %d", member_id, index)
            return
        if any(self._is_majority(known, digest) for digest in known.values()):
            self._on_minority(f"the state at entry {index} differs from that of the majority")
            return
        logger.error("members differ at entry %d, and no majority agrees", index)
        if set(core.configuration.all_voters()) <= set(known):
            self._on_mismatch(core.id)

    def _is_majority(self, known: dict[int, bytes], digest: bytes) -> bool:
        return has_quorum(self._core.configuration, lambda it: known.get(it) == digest)
