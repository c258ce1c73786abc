"""Members are asked while somebody looks, and shown with how old it is what they have told."""

from pathlib import Path

import pytest

from roost.dashboard import Gathering
from roost.dashboard.facts import FRAME_ASK, FRAME_TELL, MalformedFacts, encode
from roost.dashboard.gathering import ASK_S
from tests.dashboard.alone import Alone, facts
from tests.member.members import Cluster, run_cluster


def test_the_others_are_asked_and_not_too_often() -> None:
    alone = Alone()
    gathering = Gathering(alone, facts, alone.clock_s)
    assert alone.sent == []
    gathering.ask()
    gathering.ask()
    assert [(it.member_id, it.kind) for it in alone.sent] == [(2, FRAME_ASK), (3, FRAME_ASK)]
    alone.now_s += ASK_S
    gathering.ask()
    assert len(alone.sent) == 4


def test_who_is_asked_tells() -> None:
    alone = Alone()
    Gathering(alone, facts, alone.clock_s)
    alone.handlers[FRAME_ASK](3, b"")
    assert alone.sent == [(3, FRAME_TELL, encode(facts()))]


def test_a_member_that_has_told_nothing_is_shown_and_one_that_has_with_its_age() -> None:
    alone = Alone()
    gathering = Gathering(alone, facts, alone.clock_s)
    gathering.ask()
    assert not gathering.is_whole
    alone.handlers[FRAME_TELL](2, encode(facts(role="leader", commit_index=25, applied_index=24)))
    alone.now_s += 3
    m1, m2, m3 = gathering.rows()
    assert (m1.name, m1.is_here, m1.age_s, m1.lag_entries) == ("m1", True, 0, 15)
    assert (m2.name, m2.age_s, m2.lag_entries) == ("m2", 3, 1)
    assert m2.facts is not None
    assert m2.facts.role == "leader"
    assert (m3.age_s, m3.lag_entries, m3.facts) == (None, None, None)


def test_all_have_told_when_each_has_since_it_was_asked() -> None:
    alone = Alone()
    gathering = Gathering(alone, facts, alone.clock_s)
    heard: list[bool] = []
    gathering.on_told = lambda: heard.append(gathering.is_whole)
    gathering.ask()
    alone.handlers[FRAME_TELL](2, encode(facts()))
    alone.handlers[FRAME_TELL](3, encode(facts()))
    assert heard == [False, True]
    alone.now_s += ASK_S
    gathering.ask()
    assert not gathering.is_whole


def test_of_who_is_no_member_any_more_nothing_is_kept() -> None:
    alone = Alone()
    gathering = Gathering(alone, facts, alone.clock_s)
    alone.handlers[FRAME_TELL](2, encode(facts(commit_index=99)))
    alone.ids = [1, 3]
    assert [it.name for it in gathering.rows()] == ["m1", "m3"]
    alone.ids = [1, 2, 3]
    assert [it.facts is None for it in gathering.rows()] == [False, True, True]


def test_what_nobody_says_is_the_peers_fault() -> None:
    alone = Alone()
    Gathering(alone, facts, alone.clock_s)
    with pytest.raises(MalformedFacts):
        alone.handlers[FRAME_TELL](2, b"\xc1")


def test_members_hear_of_each_other_over_their_links(tmp_path: Path) -> None:
    async def story(cluster: Cluster) -> None:
        await cluster.quiet()
        rooms = []
        for position, member in cluster.members.items():

            def said(position: int = position) -> object:
                return facts(role=f"at {position}")

            world = cluster.network.machine(cluster.config(position).listen_peer_urls[0])
            rooms.append(Gathering(member, said, world.clock_s))  # type: ignore[arg-type]  # facts
        rooms[0].ask()
        await cluster.until(lambda: rooms[0].is_whole)
        shown = [it.facts.role for it in rooms[0].rows() if it.facts is not None]
        assert sorted(shown) == ["at 0", "at 1", "at 2"]

    run_cluster(tmp_path, 3, story)
