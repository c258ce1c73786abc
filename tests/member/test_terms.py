"""Terms that somebody used up: one frame ended a cluster, and every start of it after that."""

from pathlib import Path

import pytest

from roost.errors import PeerFault
from roost.journal import OsDisk
from roost.journal.hard_state import HardRecord
from roost.member.protocol import FRAME_RAFT
from roost.raft import HardState, codec
from roost.raft.admission import RESTORED_TERM, TERM_LEAP_MAX
from roost.raft.messages import VoteRequest
from roost.sim.members.loop import run_virtually
from tests.member.members import Cluster

pytestmark = pytest.mark.slow


def ruin(directory: Path) -> None:
    """What such a frame left on a disk: its term, and a vote for whoever sent it."""
    record = HardRecord(OsDisk(), directory)
    record.load()
    record.save(HardState(2**64 - 1, 777))
    record.close()


@pytest.mark.parametrize("ruined", [1, 2, 3])
def test_members_that_hold_such_a_term_start_elect_and_have_all_that_was_acknowledged(
    tmp_path: Path, ruined: int
) -> None:
    async def run() -> None:
        cluster = Cluster(tmp_path, 3)
        await cluster.start_all()
        await cluster.quiet()
        await cluster.put(0, b"before", b"1")
        await cluster.stop_all()
        for name in cluster.names[:ruined]:
            ruin(tmp_path / name)
        await cluster.start_all()
        await cluster.quiet()
        await cluster.put(1, b"after", b"2")
        for position in range(3):
            assert await cluster.get(position, b"before") == b"1"
            assert await cluster.get(position, b"after") == b"2"
        terms = {member.term for member in cluster.members.values()}
        assert RESTORED_TERM < min(terms) <= max(terms) < RESTORED_TERM + TERM_LEAP_MAX
        await cluster.stop_all()

    run_virtually(run())


def test_a_frame_that_would_use_them_up_ends_its_link_and_nobody(tmp_path: Path) -> None:
    """One that is only far ahead moves the term a little, and the cluster goes on from there."""

    async def run() -> None:
        cluster = Cluster(tmp_path, 3)
        await cluster.start_all()
        leader = await cluster.quiet()
        liar = cluster.members[leader].member_id
        victim = cluster.members[(leader + 1) % 3]
        before = victim.term
        for term in (2**63, 2**64 - 1):
            body = b"".join(codec.encode(VoteRequest(term, liar, 9, 9, True)))
            with pytest.raises(PeerFault):
                victim.transport.gate.on_frame(liar, FRAME_RAFT, body)
        assert victim.term == before
        body = b"".join(codec.encode(VoteRequest(2**62 - 1, liar, 9, 9, True)))
        victim.transport.gate.on_frame(liar, FRAME_RAFT, body)
        assert victim.term == before + TERM_LEAP_MAX
        await cluster.put(0, b"after", b"1")
        await cluster.stop_all()

    run_virtually(run())
