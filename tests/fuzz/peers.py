"""A member of a running cluster lies: frames of every kind, changed a little, after its greeting.

    python -m tests.fuzz.peers --frames 50000 --seed 1

Three members run on loopback.  In the name of one of them, which runs as well, another gets
frames that were overheard or made up, with bits turned, parts repeated or cut.  What must hold:
a frame is taken or ends its link, as a `PeerFault`; no member ends; and when the lying stops, the
cluster serves.  The frames come from the seed; what they meet is a live cluster.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from roost.errors import ModelRefused, OutcomeUnknown, Overloaded, PeerFault
from roost.member import Member
from roost.member.cluster.membership import ADD, PROMOTE, REMOVE, REPLACE, UPDATE
from roost.member.cluster.roster import PUBLISH_OPERATION, MemberRecord
from roost.member.cluster.vouching import Vouched
from roost.member.custody.repair import ANSWERED, ASKED, Answer, Found, Question, Reply, Wanted
from roost.member.errors import MemberNotFound
from roost.member.pipeline import forwarded
from roost.member.protocol import (
    FRAME_ANSWERS,
    FRAME_DIGESTS,
    FRAME_RAFT,
    FRAME_REPAIR,
    FRAME_REQUESTS,
    FRAME_WHO,
    FRAME_WHO_IS,
    ROOM_KIND_MAX,
    ROOM_KIND_MIN,
)
from roost.peer.frame import BULK_BYTES_MAX
from roost.peer.framing import FrameReader
from roost.raft import codec
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from tests.fuzz.mutation import mutate
from tests.member.members import Cluster
from tests.raft.test_codec import KINDS_BY_EXAMPLE

OVERHEARD_MAX = 200
# How often a message is of the next term, which ends a leader; and how many lies it is led to.
TERM_ODDS = 0.005
LIES_TO_A_LEADER = 250
Frame = tuple[int, bytes]


def made_up(victim: Member) -> list[Frame]:
    """A good frame of every kind, of numbers that mean something to `victim`."""
    core = victim.core
    index, term = core.last_index, core.log.last_term
    frames = [(FRAME_RAFT, b"".join(codec.encode(it))) for it in KINDS_BY_EXAMPLE]
    record = MemberRecord(id=victim.member_id, name="m", peer_urls=("http://127.0.0.1:1",))
    number = {"id": 5, "peer_urls": ("http://127.0.0.1:1",)}
    requests = [
        ("put", b"key=value"),
        ("touch_nothing", b"key"),
        (PUBLISH_OPERATION, msgspec.json.encode(record)),
        *((it, msgspec.json.encode(number)) for it in (REMOVE, PROMOTE, UPDATE, REPLACE)),
        (ADD, b'{"peer_urls": [], "is_learner": true}'),
    ]
    for name, body in requests:
        frames.append((FRAME_REQUESTS, b"".join(forwarded.encode_request(7, name, body))))
    errors = (OutcomeUnknown("no"), ModelRefused(9, "no"), MemberNotFound("no"), Overloaded("no"))
    for outcome in (b"result", *errors):
        answer = [forwarded.encode_applied(index), *forwarded.encode_answer(7, outcome)]
        frames.append((FRAME_ANSWERS, b"".join(answer)))
    asked = [Wanted(it, term, 5, 99) for it in (index, index + 1, 1)]
    told = [Found(it, term, answer, b"payload") for answer in Answer for it in (index, index + 1)]
    question, reply = Question(0, 0, asked), Reply(victim.core.config.life, 2**62, told)
    frames.append((FRAME_REPAIR, bytes([ASKED]) + msgspec.msgpack.encode(question)))
    frames.append((FRAME_REPAIR, bytes([ANSWERED]) + msgspec.msgpack.encode(reply)))
    frames.append((FRAME_DIGESTS, index.to_bytes(8, "big") + bytes(16)))
    frames.append((FRAME_WHO, victim.member_id.to_bytes(8, "big")))
    frames.append((FRAME_WHO_IS, msgspec.json.encode(Vouched(index + 9, record))))
    return frames


class Liar:
    """Member `liar` of a cluster, as the member `victim` hears it."""

    def __init__(self, liar: Member, victim: Member, seed: int) -> None:
        self._liar_id = liar.member_id
        self._victim = victim
        self._dice = random.Random(seed)
        self._overheard: list[Frame] = []
        self.counts: Counter[str] = Counter()

    def overhear(self, member: Member) -> None:
        """Keep some of what a member sends."""
        send = member.transport.send

        def heard(member_id: int, encoded: list[bytes], *, bulk: bool) -> bool:
            self._overheard += FrameReader(BULK_BYTES_MAX).feed(b"".join(encoded))
            del self._overheard[:-OVERHEARD_MAX]
            return send(member_id, encoded, bulk=bulk)

        member.transport.send = heard  # type: ignore[method-assign]  # an ear on the wire

    def lie(self) -> None:
        """Say one thing; whatever it is, it ends no more than the link."""
        kind, body = self._frame()
        transport = self._victim.transport
        try:
            transport.gate.on_frame(self._liar_id, kind, body)
        except PeerFault as fault:
            self.counts[f"ended the link: {type(fault).__name__}"] += 1
        else:
            is_rooms = ROOM_KIND_MIN <= kind <= ROOM_KIND_MAX
            self.counts["taken: of a room" if is_rooms else f"taken: kind {kind}"] += 1
        transport.gate.on_batch_end()

    def _frame(self) -> Frame:
        dice = self._dice
        frames = made_up(self._victim) if dice.random() < 0.5 else []
        kind, good = dice.choice(frames or self._overheard or made_up(self._victim))
        body = bytearray(good)
        if kind == FRAME_RAFT and body:
            # Who it is from is checked first of all, and what is of an old term is not looked at.
            body[1:9] = self._liar_id.to_bytes(8, "big")
            if dice.random() < 0.9:
                body[9:17] = (self._victim.term + (dice.random() < TERM_ODDS)).to_bytes(8, "big")
        keeps_length = bool(body) and dice.random() < 0.6
        for _ in range(dice.choice((0, 1, 1, 1, 2, 4))):
            if keeps_length:
                body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
            else:
                mutate(dice, body, [good])
        if dice.random() < 0.02:
            kind = dice.randrange(256)
        return kind, bytes(body)


async def lie_to_a_cluster(
    root: Path, *, frames: int, seed: int, say: Callable[[str], None] = lambda _text: None
) -> Counter[str]:
    """Run a cluster, lie to one of its members, and see that all go on; raises when they do not."""
    cluster, ends = Cluster(root, 3), list[BaseException]()
    for position in range(3):
        await cluster.start(position, ends.append)
    await cluster.quiet()
    await cluster.put(0, b"before", b"1")
    liar = Liar(cluster.members[2], cluster.members[0], seed)
    for member in cluster.members.values():
        liar.overhear(member)
    for count in range(frames):
        liar.lie()
        assert not ends, f"a member ended itself: {ends[0]!r}"
        if count % 10 == 0:
            await until_idle()
        if count % 50 == 0:
            cluster.members[count // 50 % 3].transact_nowait("put", b"k=v", lambda *_: None)
            await pass_time(0.002)
        if count % LIES_TO_A_LEADER == 0:
            await _let_lead(cluster, 0)
        if count % 5000 == 0:
            say(f"{count} frames: {dict(liar.counts)}")
    # The others are a majority, whatever the one that was lied to believes by now.
    for position in (1, 2):
        await cluster.put(position, b"after", b"2")
        assert await cluster.get(position, b"before") == b"1"
    assert not ends, f"a member ended itself: {ends[0]!r}"
    await cluster.stop_all()
    return liar.counts


async def _let_lead(cluster: Cluster, position: int) -> None:
    """Leaders hear what others do not: let this one lead now and then, if it still can."""
    for _ in range(500):
        leading = [it for it in cluster.members.values() if it.core.is_leader_ready]
        if leading:
            target = cluster.members[position].member_id
            if leading[0].member_id == target:
                return
            if not leading[0].core.transfer_target:
                leading[0].transfer_leadership(target, lambda _error: None)
        await pass_time(0.001)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> None:
    """Lie as often as is asked for, and say how it was taken."""
    parser = argparse.ArgumentParser(description="a member of a running cluster lies")
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        counts = run_virtually(
            lie_to_a_cluster(Path(root), frames=options.frames, seed=options.seed, say=_say)
        )
    for what, count in counts.most_common():
        _say(f"{count:8,}  {what}")


if __name__ == "__main__":
    main()
