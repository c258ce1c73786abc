"""What a greeting claims is held against what we are and know, in one order, by name."""

from dataclasses import dataclass, replace

import msgspec
import pytest

from roost.peer.claims import check_certificate, check_hello, check_join
from roost.peer.errors import (
    HandshakeRefused,
    UnprovenMember,
    WrongCluster,
    WrongMember,
    WrongVersion,
)
from roost.peer.local import CHANNELS, Known
from tests.peer.greetings import FAR, HOME, LOCAL, Certificate, hello, joining


# In the order in which they are looked for: the first that is wrong is said.
@dataclass(frozen=True)
class Wrong:
    """One thing that may be wrong, and what is said of it."""

    changes: dict[str, object]
    error: type[HandshakeRefused]
    words: str


WRONG = [
    Wrong({"cluster_id": 8}, WrongCluster, "cluster 8"),
    Wrong({"protocol_version": 2}, WrongVersion, "protocol 2"),
    Wrong({"storage_version": 2}, WrongVersion, "storage 2"),
    Wrong({"target_id": 3}, WrongMember, "was meant"),
    Wrong({"member_id": 1}, WrongMember, "dialled itself"),
    Wrong({"channel": 9}, WrongMember, "channel 9"),
]


def test_who_is_right_in_everything_is_refused_for_nothing() -> None:
    for channel in CHANNELS:
        check_hello(LOCAL, hello(channel=channel))
    check_join(LOCAL, joining())


@pytest.mark.parametrize("position", range(len(WRONG)))
def test_the_first_that_is_wrong_is_said_whatever_else_is(position: int) -> None:
    """An operator who mistook the cluster is not helped by hearing of a channel."""
    changes: dict[str, object] = {}
    for wrong in WRONG[position:]:
        changes |= wrong.changes
    with pytest.raises(WRONG[position].error, match=WRONG[position].words):
        check_hello(LOCAL, hello(**changes))


def test_a_newcomer_knows_no_cluster_and_must_speak_our_language() -> None:
    for changes in ({"protocol_version": 2}, {"storage_version": 0}):
        with pytest.raises(WrongVersion):
            check_join(LOCAL, msgspec.structs.replace(joining(), **changes))


def test_a_wrong_cluster_is_told_what_to_look_at() -> None:
    with pytest.raises(WrongCluster, match="--initial-cluster-token"):
        check_hello(replace(LOCAL, cluster_id=7), hello())


@pytest.mark.parametrize("name", ["10.0.0.2", "m2", f"{2:x}"], ids=["host", "name", "id"])
def test_a_certificate_is_a_members_by_its_host_its_name_or_its_id(name: str) -> None:
    check_certificate(Certificate((name,)), Known((HOME, FAR), ("m2",)), 2)


def test_a_certificate_of_somebody_else_proves_nothing() -> None:
    with pytest.raises(UnprovenMember, match="greets as member 2"):
        check_certificate(Certificate(("m3",)), Known((HOME,), ("m2",)), 2)


def test_where_none_is_asked_for_or_it_is_allowed_by_the_settings_names_do_not_matter() -> None:
    check_certificate(None, Known((HOME,)), 2)
    check_certificate(Certificate(("m3",), is_allowed=True), Known((HOME,)), 2)
