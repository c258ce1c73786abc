"""Framed one-way messages between members."""

from roost.peer.borrowed import BorrowedNetwork
from roost.peer.config import Dice, PeerConfig, TransportStatistics
from roost.peer.doorbell import Doorbell
from roost.peer.errors import (
    AlreadyBootstrapped,
    HandshakeRefused,
    MalformedFrame,
    RefusedThere,
    RemovedMember,
    UnprovenMember,
    WrongCluster,
    WrongIncarnation,
    WrongMember,
    WrongVersion,
)
from roost.peer.frame import (
    INVITATION,
    NONCE_BYTES,
    REFUSAL,
    Invitation,
    Join,
    Life,
    Refusal,
)
from roost.peer.framing import FrameReader
from roost.peer.framing import encode as encode_frame
from roost.peer.greeting import Joins
from roost.peer.local import Known, LocalPeer
from roost.peer.network import Connection, Listener, Network
from roost.peer.secret import BadSecret, Secrets, read_secrets
from roost.peer.snapshot import (
    Head,
    Incoming,
    Pull,
    SnapshotDamaged,
    dial,
    join,
    pull,
    send_file,
)
from roost.peer.sockets import OsNetwork, PeerTls
from roost.peer.stream import SnapshotGone, Stream
from roost.peer.transport import Transport
from roost.peer.upgrade import UpgradedNetwork

__all__ = [
    "INVITATION",
    "NONCE_BYTES",
    "REFUSAL",
    "AlreadyBootstrapped",
    "BadSecret",
    "BorrowedNetwork",
    "Connection",
    "Dice",
    "Doorbell",
    "FrameReader",
    "HandshakeRefused",
    "Head",
    "Incoming",
    "Invitation",
    "Join",
    "Joins",
    "Known",
    "Life",
    "Listener",
    "LocalPeer",
    "MalformedFrame",
    "Network",
    "OsNetwork",
    "PeerConfig",
    "PeerTls",
    "Pull",
    "Refusal",
    "RefusedThere",
    "RemovedMember",
    "Secrets",
    "SnapshotDamaged",
    "SnapshotGone",
    "Stream",
    "Transport",
    "TransportStatistics",
    "UnprovenMember",
    "UpgradedNetwork",
    "WrongCluster",
    "WrongIncarnation",
    "WrongMember",
    "WrongVersion",
    "dial",
    "encode_frame",
    "join",
    "pull",
    "read_secrets",
    "send_file",
]
