"""What must hold of whatever a member stands on: one suite that the real and the simulated pass.

A fake that nobody compares with the real thing proves nothing.  Each suite is a tuple of checks,
each named for its claim, that raise AssertionError; a check takes what is to be checked:

    disk      DISK(disk, directory)         `journal.Disk`: files and names
    storage   STORAGE(log)                  `raft.log.Storage`, and how it is written
    keeper    KEEPER(open_keeper, root)     `store.Keeper`: what makes a store durable
    machine   await MACHINE(world)          `member.World`: clocks, chance, a worker
    network   await NETWORK(ways)           `peer.Network`: connections, and members greeting on it

Whoever brings a part of their own, a transport above all, runs its suite:

    @pytest.mark.parametrize("check", conformance.NETWORK, ids=lambda it: it.__name__)
    def test_my_network(check):
        asyncio.run(check(Ways(mine(), mine(), address, unused_address)))

What a suite does not ask is not promised, and nothing in Roost may rest on it.
"""

from roost.sim.conformance.disk import DISK
from roost.sim.conformance.keeper import KEEPER
from roost.sim.conformance.machine import MACHINE
from roost.sim.conformance.network import NETWORK, Ways
from roost.sim.conformance.storage import STORAGE, WritableStorage

__all__ = ["DISK", "KEEPER", "MACHINE", "NETWORK", "STORAGE", "Ways", "WritableStorage"]
