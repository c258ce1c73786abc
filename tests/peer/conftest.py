"""Each test of peers has a network of its own."""

import random

import pytest

from roost.sim.members.network import SimNetwork
from tests.peer.peers import Peer

DELAY_S_MEAN = 0.0005


@pytest.fixture(autouse=True)
def network() -> SimNetwork:
    """Where the peers of this test are."""
    Peer.network, Peer.hosts = SimNetwork(random.Random(1), delay_s_mean=DELAY_S_MEAN), {}
    return Peer.network
