"""Framed one-way messages between members."""

from roost.peer.errors import (
    HandshakeRefused,
    MalformedFrame,
    WrongCluster,
    WrongIncarnation,
    WrongMember,
    WrongVersion,
)
from roost.peer.frame import FrameReader
from roost.peer.frame import encode as encode_frame
from roost.peer.transport import LocalPeer, PeerConfig, Transport, TransportStatistics

__all__ = [
    "FrameReader",
    "HandshakeRefused",
    "LocalPeer",
    "MalformedFrame",
    "PeerConfig",
    "Transport",
    "TransportStatistics",
    "WrongCluster",
    "WrongIncarnation",
    "WrongMember",
    "WrongVersion",
    "encode_frame",
]
