"""Who our links lead to and who is invited; refusals end us only when they are proven."""

from dataclasses import replace
from pathlib import Path

import pytest

from roost.member import DirectoryLost, MemberConfig, MemberRemoved, RolledBack, added_anew
from roost.member.cluster.roster import MemberRecord
from roost.peer import AlreadyBootstrapped, Join, RefusedThere, RemovedMember, WrongMember
from roost.peer.errors import WrongIncarnation
from tests.member.cluster.stories import NEW, OWN, PEER, Story, url


def test_a_newcomer_is_invited_where_it_was_added_and_only_once() -> None:
    story = Story()
    story.roster.held[NEW] = MemberRecord(id=NEW, name="", peer_urls=url(NEW))

    def join(number: int, directory: int = 0) -> Join:
        return Join(
            peer_urls=url(number), protocol_version=1, storage_version=1, nonce=b"1" * 16,
            directory=directory,
        )  # fmt: skip

    invitation, known = story.neighbours.invite(join(NEW))
    assert (invitation.member_id, known.addresses) == (NEW, (("10.0.0.5", 2380),))
    with pytest.raises(WrongMember):
        story.neighbours.invite(join(9))
    for number in (PEER, OWN):
        with pytest.raises(AlreadyBootstrapped, match="has already been bootstrapped"):
            story.neighbours.invite(join(number))
    # Its store is damaged, its directory is the one it had.
    invitation, _ = story.neighbours.invite(join(PEER, directory=20))
    assert invitation.member_id == PEER


@pytest.mark.parametrize(
    ("refusal", "end"),
    [
        (RemovedMember("x"), MemberRemoved),
        (WrongIncarnation("x"), RolledBack),
        (AlreadyBootstrapped("x"), DirectoryLost),
        (WrongMember("x"), type(None)),
    ],
)
def test_a_refusal_ends_us_only_when_it_is_proven(refusal: WrongMember, end: type[object]) -> None:
    neighbours = Story().neighbours
    assert neighbours.on_refused(PEER, RefusedThere(refusal, is_proven=False)) is None
    ended = neighbours.on_refused(PEER, RefusedThere(refusal, is_proven=True))
    assert isinstance(ended, end)
    if isinstance(ended, RolledBack | DirectoryLost):
        assert "roost member remove 1" in str(ended)


def test_the_way_back_names_urls_that_others_can_dial(tmp_path: Path) -> None:
    listens = ("http://10.0.0.3:2380",)
    config = MemberConfig(
        name="m3",
        data_dir=tmp_path,
        initial_cluster={},
        advertise_peer_urls=("http://localhost:2380",),
        listen_peer_urls=listens,
    )
    assert "`roost member add m3 --peer-urls http://10.0.0.3:2380`" in added_anew(config)
    named = replace(config, advertise_peer_urls=("http://m3.example:2380",))
    assert "--peer-urls http://m3.example:2380`" in added_anew(named)
