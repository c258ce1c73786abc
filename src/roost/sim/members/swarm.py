"""What one simulated run is about: how large it is, and which faults it has."""

import random
from dataclasses import dataclass, replace

DAMAGE_SIZE_MIN = 3
# What a connection carries at least: a snapshot must not take as long as a run.
BYTES_PER_S_MIN = 2 << 20
# How often members share a secret.
SECRET_ODDS = 0.3


@dataclass(frozen=True, slots=True)
class Swarm:
    """What one seed is about; times in virtual seconds, odds for each step of the nemesis."""

    size: int
    clients: int
    safety_s: float
    delay_s_mean: float
    kills: bool
    power_cuts: bool
    partitions: bool
    one_way_cuts: bool
    changes: bool
    transfers: bool
    trailing_entries: int
    segment_bytes: int
    layer_bytes: int
    nemesis_s_mean: float
    slow_disks: bool = False
    # Some batches are a thread's, the smaller ones between them are not.
    slow_batches: bool = False
    clogs: bool = False
    drift: bool = False
    lease_reads: bool = False
    damage: bool = False
    # Whether members share one.
    has_secret: bool = False
    # Somebody dials who is no member; somebody runs a copy of a member's directory.
    strangers: bool = False
    copies: bool = False
    # A machine reads nothing for a while; bytes change on their way; members send nonsense.
    deafness: bool = False
    garbage: bool = False
    # Whoever does not send does not hear that a connection is gone.
    half_open: bool = False
    # What a connection takes before the other side reads it, and what may wait for that.
    window_bytes: int = 256 << 10
    queue_bytes: int = 128 << 20
    # Holders of leases; they are not drawn, so that seeds stay what they were.
    lease_holders: int = 0
    # Those who list keys (`listers`); not drawn either.
    listers: int = 0
    # Those who count (`counters`), while directories are lost and rolled back; not drawn either.
    counters: int = 0
    # Clients of etcd's v2 (`tree`); not drawn either.
    v2: int = 0
    # What somebody does to how many keys at once (`heavy`), as words; not drawn either.
    heavy: str = ""
    heavy_keys: int = 0

    @classmethod
    def draw(cls, dice: random.Random) -> "Swarm":
        """Some faults, of some strength."""
        swarm = cls(
            size=dice.choice((1, 2, 3, 3, 3, 4, 5, 5)),
            clients=dice.randint(2, 6),
            safety_s=dice.choice((8.0, 12.0, 20.0)),
            delay_s_mean=dice.choice((0.0005, 0.002, 0.01, 0.03)),
            kills=dice.random() < 0.7,
            power_cuts=dice.random() < 0.5,
            partitions=dice.random() < 0.6,
            one_way_cuts=dice.random() < 0.4,
            changes=dice.random() < 0.5,
            transfers=dice.random() < 0.4,
            trailing_entries=dice.choice((1, 10, 100)),
            segment_bytes=dice.choice((32 << 10, 64 << 10)),
            layer_bytes=dice.choice((4 << 10, 32 << 10, 1 << 20)),
            nemesis_s_mean=dice.choice((0.1, 0.3, 1.0, 3.0)),
            slow_disks=dice.random() < 0.3,
            clogs=dice.random() < 0.4,
            drift=dice.random() < 0.4,
            lease_reads=dice.random() < 0.3,
        )
        # Two others must remain whole; who is in the cluster is somebody else's worry here.
        if dice.random() < 0.4 and swarm.size >= DAMAGE_SIZE_MIN and not swarm.changes:
            swarm = replace(swarm, damage=True, kills=True)
        return replace(
            swarm,
            has_secret=dice.random() < SECRET_ODDS,
            strangers=dice.random() < 0.4,
            copies=dice.random() < 0.25,
            deafness=dice.random() < 0.3,
            garbage=dice.random() < 0.3,
            half_open=dice.random() < 0.4,
            window_bytes=max(
                dice.choice((4 << 10, 64 << 10, 256 << 10)),
                round(swarm.delay_s_mean * BYTES_PER_S_MIN),
            ),
            queue_bytes=dice.choice((8 << 10, 256 << 10, 128 << 20)),
            slow_batches=dice.random() < 0.3,
        )
