"""Members that are new to us: asked about, vouched for, and no more than that."""

import msgspec
import pytest

from roost.errors import PeerFault
from roost.member.cluster.roster import RECORD_BYTES_MAX
from roost.member.cluster.vouching import ASKED_MAX, Vouched
from roost.member.protocol import FRAME_WHO, FRAME_WHO_IS
from tests.member.cluster.stories import GONE, NEW, OWN, PEER, Story, url


def test_who_is_new_is_asked_about_and_believed_when_a_member_vouches_for_it() -> None:
    """A member that is behind must reach a leader that joined after all it has applied."""
    story = Story()
    assert story.transport.peers() == [PEER]
    story.vouching.ask_about(NEW)
    assert story.transport.sent == [(PEER, FRAME_WHO, NEW.to_bytes(8, "big"))]
    story.vouch(NEW, 11)
    assert story.transport.links[NEW] == [("10.0.0.5", 2380)]
    story.neighbours.follow()
    assert NEW in story.transport.links


def test_who_has_moved_is_dialled_there_until_we_have_applied_that() -> None:
    story = Story()
    story.vouching.ask_about(PEER)
    story.vouch(PEER, 12, at=7)
    assert story.transport.links[PEER] == [("10.0.0.7", 2380)]
    story.neighbours.follow()
    assert story.transport.links[PEER] == [("10.0.0.7", 2380)]
    story.applied = 12
    story.neighbours.follow()
    assert story.transport.links[PEER] == [("10.0.0.2", 2380)]


def test_what_nobody_asked_or_is_older_or_concerns_us_does_not_count() -> None:
    story = Story()
    story.vouch(NEW, 11)  # not asked
    for member_id in (NEW, GONE, OWN):
        story.vouching.ask_about(member_id)
    story.vouch(NEW, 10)  # we have applied as much
    story.vouch(GONE, 11)
    story.vouch(OWN, 11, at=8)
    story.transport.full = True
    story.vouch(NEW, 11)
    assert story.transport.links == {PEER: [("10.0.0.2", 2380)]}


def test_a_stranger_cannot_make_us_ask_without_end() -> None:
    story = Story()
    for _ in range(3):
        for member_id in range(100, 100 + 2 * ASKED_MAX):
            story.vouching.ask_about(member_id)
    assert len(story.transport.sent) == ASKED_MAX
    story.now_s += 1
    story.vouching.ask_about(NEW)
    assert len(story.transport.sent) == ASKED_MAX + 1


def test_a_member_says_who_that_is_if_it_knows() -> None:
    story = Story()
    for member_id in (NEW, GONE, PEER):
        story.vouching.on_who(PEER, member_id.to_bytes(8, "big"))
    [(to, kind, body)] = story.transport.sent
    assert (to, kind) == (PEER, FRAME_WHO_IS)
    assert msgspec.json.decode(body, type=Vouched) == Vouched(10, story.roster.held[PEER])


@pytest.mark.parametrize("body", [b"", b"1234567", b"123456789"])
def test_a_question_about_nobody_ends_the_link(body: bytes) -> None:
    with pytest.raises(PeerFault):
        Story().vouching.on_who(PEER, body)


NO_ADDRESS = b'{"index":1,"record":{"id":2,"name":"","peer_urls":["no"]}}'


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"x":' * 5000, NO_ADDRESS])
def test_an_answer_that_is_none_ends_the_link(body: bytes) -> None:
    with pytest.raises(PeerFault):
        Story().vouching.on_who_is(PEER, body)


def test_what_was_vouched_for_counts_until_we_have_applied_as_much() -> None:
    """Then our own roster knows better: also that the member is gone again."""
    story = Story()
    story.vouching.ask_about(NEW)
    story.vouch(NEW, 12)
    for applied, is_known in ((11, True), (12, False), (11, False)):
        story.applied = applied
        assert (NEW in story.vouching.records()) is is_known


def test_a_newer_word_replaces_an_older_one() -> None:
    story = Story()
    story.vouching.ask_about(NEW)
    story.vouch(NEW, 11, at=7)
    story.vouch(NEW, 13, at=8)
    assert story.vouching.records()[NEW].peer_urls == url(8)
    assert story.transport.links[NEW] == [("10.0.0.8", 2380)]


def test_a_full_house_takes_a_new_address_of_who_is_in_it_and_no_stranger() -> None:
    story = Story()
    for member_id in (NEW, PEER):
        story.vouching.ask_about(member_id)
    story.transport.full = True
    story.vouch(NEW, 11)
    story.vouch(PEER, 11, at=7)
    assert story.transport.links == {PEER: [("10.0.0.7", 2380)]}
    assert set(story.vouching.records()) == {PEER}


def test_what_is_more_than_there_is_to_say_of_a_member_is_not_read() -> None:
    story = Story()
    story.vouching.ask_about(NEW)
    with pytest.raises(PeerFault, match="more than there is to say"):
        story.vouching.on_who_is(PEER, b"[" * (2 * RECORD_BYTES_MAX + 1))
