"""What a greeting claims, held against what we are and know; each refusal has its name.

Nothing of this needs a proof, and nothing here is one: see `greeting` for the order.
"""

from collections.abc import Sequence
from typing import Protocol

from roost.peer.errors import UnprovenMember, WrongCluster, WrongMember, WrongVersion
from roost.peer.frame import Hello, Join
from roost.peer.local import CHANNELS, Known, LocalPeer


class Shown(Protocol):
    """A good certificate that the other side has shown."""

    @property
    def is_allowed(self) -> bool:
        """Whether it is what the settings say a member's certificate is."""

    def foreign_to(self, names: Sequence[str]) -> str:
        """Why it belongs to nobody of these names; empty when it does."""


def check_hello(local: LocalPeer, hello: Hello) -> None:
    """Refuse whoever is wrong here, whatever it can prove.

    Raises:
        WrongCluster, WrongVersion, WrongMember: see the table.

    """
    if hello.cluster_id != local.cluster_id:
        raise WrongCluster(
            f"cluster {hello.cluster_id:x} dialled cluster {local.cluster_id:x}: --initial-cluster-"
            "token or --initial-cluster is another there, or the directory is another cluster's"
        )
    _check_versions(local, hello)
    if hello.target_id != local.member_id:
        raise WrongMember(f"member {hello.target_id:x} was meant, this is {local.member_id:x}")
    if hello.member_id == local.member_id:
        raise WrongMember(f"member {hello.member_id:x} dialled itself")
    if hello.channel not in CHANNELS:
        raise WrongMember(f"channel {hello.channel} is unknown")


def check_join(local: LocalPeer, join: Join) -> None:
    """Refuse a newcomer that speaks another language.

    Raises:
        WrongVersion: it does.

    """
    _check_versions(local, join)


def _check_versions(local: LocalPeer, said: Hello | Join) -> None:
    versions = (said.protocol_version, said.storage_version)
    if versions != (local.protocol_version, local.storage_version):
        raise WrongVersion(
            f"protocol {versions[0]} and storage {versions[1]} dialled protocol "
            f"{local.protocol_version} and storage {local.storage_version}"
        )


def check_certificate(shown: Shown | None, known: Known, member_id: int) -> None:
    """Refuse a good certificate that is somebody else's."""
    if shown is None or shown.is_allowed:
        return
    hosts = [host for host, _ in known.addresses]
    foreign = shown.foreign_to([*hosts, *known.names, f"{member_id:x}"])
    if foreign:
        raise UnprovenMember(f"who greets as member {member_id:x} shows {foreign}")
