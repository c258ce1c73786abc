"""Leadership handed over: whoever asked is told once, in time or that it is too late."""

import pytest

from roost.errors import RoostError, Stopped
from roost.member.errors import TransferLate
from roost.member.transfers import HAND_OVER_S, Transfers
from roost.raft import TransferRefused
from roost.sim.cores.cores import CoreCluster
from roost.sim.members.loop import pass_time, run_virtually

TIMEOUT_TICKS = 5


def led() -> CoreCluster:
    """Three nodes of which node 1 leads."""
    network = CoreCluster(3)
    network.elect(1)
    network.settle()
    return network


def test_who_asked_is_told_when_the_target_leads() -> None:
    network, told = led(), list[RoostError | None]()
    transfers = Transfers(network.nodes[1].core, timeout_ticks=TIMEOUT_TICKS)
    transfers.start(2, told.append)
    transfers.tick()
    assert told == []
    network.settle()
    transfers.tick()
    transfers.tick()
    assert told == [None]


def test_who_asked_is_told_that_it_is_too_late() -> None:
    network, told = led(), list[RoostError | None]()
    network.down.add(2)
    transfers = Transfers(network.nodes[1].core, timeout_ticks=TIMEOUT_TICKS)
    transfers.start(2, told.append)
    for _ in range(TIMEOUT_TICKS - 1):
        transfers.tick()
    assert told == []
    transfers.tick()
    assert [type(it) for it in told] == [TransferLate]


def test_a_target_that_cannot_lead_is_refused_at_once_and_nobody_waits() -> None:
    network, told = led(), list[RoostError | None]()
    transfers = Transfers(network.nodes[1].core, timeout_ticks=TIMEOUT_TICKS)
    with pytest.raises(TransferRefused):
        transfers.start(9, told.append)
    transfers.close(Stopped("over"))
    assert told == []


def test_a_leader_whose_store_makes_no_room_leaves_office() -> None:
    network = led()
    transfers = Transfers(network.nodes[1].core, timeout_ticks=TIMEOUT_TICKS, is_stuck=lambda: True)
    transfers.tick()
    network.settle()
    assert network.nodes[1].core.leader_id in (2, 3)
    transfers.tick()
    assert not network.nodes[1].core.transfer_target, "it does not lead, and hands nothing over"


def test_whoever_stops_waits_for_the_next_leader_no_longer_than_it_must() -> None:
    async def story() -> None:
        network = led()
        transfers = Transfers(network.nodes[1].core, timeout_ticks=TIMEOUT_TICKS)
        over = transfers.start_best()
        assert over is not None
        await pass_time(HAND_OVER_S / 2)
        assert not over.done(), "nobody leads yet"
        await pass_time(HAND_OVER_S)
        assert over.done()
        assert Transfers(network.nodes[2].core, timeout_ticks=1).start_best() is None

    run_virtually(story())
