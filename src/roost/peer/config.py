"""The bounds of the links, what they count, and the chance they need."""

from dataclasses import dataclass
from typing import Protocol


class Dice(Protocol):
    """Chance: for the back-off, and for numbers that nobody can guess."""

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """Times in milliseconds, sizes in bytes.

    Connections that have not greeted yet are bounded in all and by the address they come from; a
    known member's address has a bound of its own, which nobody else uses up.
    """

    backoff_ms_min: int = 50
    backoff_ms_max: int = 500
    handshake_ms_max: int = 5000
    # How long a connection may take to come; now and then it may take `handshake_ms_max`, so that
    # a member that is far away is reached as well.
    reach_ms_max: int = 700
    # Within it whoever is called back must have answered.
    call_back_ms_max: int = 3000
    queue_count_max: int = 4096
    queue_bytes_max: int = 128 << 20
    incoming_count_max: int = 256
    half_open_count_max: int = 64
    half_open_host_max: int = 16
    # Calls back to one member at the same time.
    call_back_count_max: int = 8
    peer_count_max: int = 64


@dataclass(slots=True)
class TransportStatistics:
    """Counters since the start."""

    sent_count: int = 0
    dropped_count: int = 0
    received_count: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    malformed_count: int = 0
    refused_count: int = 0
