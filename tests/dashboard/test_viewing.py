"""Who looks sees a state a second, at once when something happens, and as many look as can."""

import asyncio

import pytest

from roost.dashboard import Raised
from roost.dashboard.facts import FRAME_TELL, encode
from roost.dashboard.viewing import INTERVAL_S, TELLING_S, VIEWERS_MAX, AlarmRow
from roost.database import events
from roost.errors import Overloaded
from roost.sim.members.loop import run_virtually
from tests.dashboard.alone import Alone, facts, hub_of

ELECTED = events.LeaderChanged(2, "m2", 7)


def test_a_state_says_who_leads_and_what_is_wrong() -> None:
    hub, _ = hub_of(Alone(), [Raised(0xAB, "NOSPACE")])
    state = hub.state(0)
    assert (state.at_s, state.cluster, state.here, state.leader, state.term) == (
        *(1000.0, "c", "1", "2"),
        7,
    )
    assert list(state.alarms) == [AlarmRow(member="ab", alarm="NOSPACE")]
    assert len(state.members) == 3
    nobody, _ = hub_of(Alone(leader_id=0))
    assert nobody.state(0).leader == ""


def test_a_state_comes_each_second_and_each_happening_once() -> None:
    hub, happenings = hub_of(Alone())
    happenings.note(ELECTED)

    async def story() -> None:
        clock_s = asyncio.get_running_loop().time
        viewer = hub.view()
        states = viewer.states()
        begin_s = clock_s()
        assert [it.text for it in (await anext(states)).happenings] == ["m2 leads in term 7"]
        assert clock_s() - begin_s == pytest.approx(TELLING_S, abs=1e-3), "nobody has told"
        begin_s = clock_s()
        assert (await anext(states)).happenings == []
        assert clock_s() - begin_s == pytest.approx(INTERVAL_S, abs=1e-3)
        asyncio.get_running_loop().call_later(0.25, happenings.note, ELECTED)
        assert [it.number for it in (await anext(states)).happenings] == [2]
        assert clock_s() - begin_s == pytest.approx(INTERVAL_S + 0.25, abs=1e-3), "it did not wait"
        viewer.close()
        assert [it async for it in states] == []
        assert not hub.viewers

    run_virtually(story())


def test_who_comes_back_hears_what_happened_meanwhile() -> None:
    hub, happenings = hub_of(Alone())
    for _ in range(3):
        happenings.note(ELECTED)

    async def story() -> None:
        state = await anext(hub.view(2).states())
        assert [it.number for it in state.happenings] == [3]

    run_virtually(story())


def test_one_more_than_can_look_is_refused_until_somebody_leaves() -> None:
    hub, _ = hub_of(Alone())
    viewers = [hub.view() for _ in range(VIEWERS_MAX)]
    with pytest.raises(Overloaded):
        hub.view()
    viewers[0].close()
    hub.view()
    hub.close()
    assert not hub.viewers


def test_a_look_waits_for_all_who_tell_and_not_for_those_who_do_not() -> None:
    alone = Alone()
    hub, _ = hub_of(alone)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        told = encode(facts())
        for at_s, member in ((0.1, 2), (0.2, 3)):
            loop.call_later(at_s, alone.handlers[FRAME_TELL], member, told)
        state = await hub.look()
        assert loop.time() - begin_s == pytest.approx(0.2, abs=1e-3)
        assert [it.facts is None for it in state.members] == [False, False, False]
        alone.now_s += 1
        begin_s = loop.time()
        state = await hub.look()
        assert loop.time() - begin_s == pytest.approx(TELLING_S, abs=1e-3)
        assert [it.age_s for it in state.members] == [0, 1, 1]

    run_virtually(story())
