"""Framed one-way messages between members."""

from roost.peer.errors import (
    HandshakeRefused,
    MalformedFrame,
    RemovedMember,
    WrongCluster,
    WrongIncarnation,
    WrongMember,
    WrongVersion,
)
from roost.peer.frame import FrameReader
from roost.peer.frame import encode as encode_frame
from roost.peer.snapshot import (
    SNAPSHOT_CHANNEL,
    Head,
    Incoming,
    Invitation,
    Join,
    Pull,
    SnapshotDamaged,
    SnapshotGone,
    Stream,
    dial,
    join,
    pull,
    send_file,
)
from roost.peer.sockets import PeerTls
from roost.peer.transport import Dice, LocalPeer, PeerConfig, Transport, TransportStatistics

__all__ = [
    "SNAPSHOT_CHANNEL",
    "Dice",
    "FrameReader",
    "HandshakeRefused",
    "Head",
    "Incoming",
    "Invitation",
    "Join",
    "LocalPeer",
    "MalformedFrame",
    "PeerConfig",
    "PeerTls",
    "Pull",
    "RemovedMember",
    "SnapshotDamaged",
    "SnapshotGone",
    "Stream",
    "Transport",
    "TransportStatistics",
    "WrongCluster",
    "WrongIncarnation",
    "WrongMember",
    "WrongVersion",
    "dial",
    "encode_frame",
    "join",
    "pull",
    "send_file",
]
