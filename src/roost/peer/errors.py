"""What can be wrong with bytes from a peer, or with the peer itself."""

from roost.errors import PeerFault


class MalformedFrame(PeerFault):
    """Bytes on the link are no frame of ours."""


class HandshakeRefused(PeerFault):
    """One side will not talk to the other; the text names why."""


class WrongCluster(HandshakeRefused):
    """The peer is of another cluster."""


class WrongMember(HandshakeRefused):
    """The peer is not the member that was dialled, or not one of ours."""


class RemovedMember(HandshakeRefused):
    """The peer was removed from the cluster; its id is never used again."""


class WrongIncarnation(HandshakeRefused):
    """The peer's data directory is older than one seen before: it was rolled back or copied."""


class WrongVersion(HandshakeRefused):
    """The peer speaks another protocol or stores in another format."""


REFUSALS: dict[str, type[HandshakeRefused]] = {
    kind.__name__: kind
    for kind in (
        HandshakeRefused,
        WrongCluster,
        WrongMember,
        RemovedMember,
        WrongIncarnation,
        WrongVersion,
    )
}
