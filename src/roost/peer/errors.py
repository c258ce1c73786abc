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


class AlreadyBootstrapped(HandshakeRefused):
    """The peer's data directory is new, and its member has lived in another one before."""


class UnprovenMember(HandshakeRefused):
    """The peer did not prove that it is who it says it is."""


class WrongVersion(HandshakeRefused):
    """The peer speaks another protocol or stores in another format."""


class RefusedThere(PeerFault):
    """The other side will not talk to us; `refusal` is what it said.

    `is_proven` says whether it is known that a member of our cluster said so.
    """

    def __init__(self, refusal: HandshakeRefused, *, is_proven: bool) -> None:
        """Keep what was said."""
        super().__init__(str(refusal))
        self.refusal = refusal
        self.is_proven = is_proven


REFUSALS: dict[str, type[HandshakeRefused]] = {
    kind.__name__: kind
    for kind in (
        HandshakeRefused,
        WrongCluster,
        WrongMember,
        RemovedMember,
        WrongIncarnation,
        AlreadyBootstrapped,
        UnprovenMember,
        WrongVersion,
    )
}
