"""Whom we dial: where the roster or a member itself says that it is, and nobody who was removed."""

from collections.abc import Callable, Coroutine

from hypothesis import given
from hypothesis import strategies as st

from roost.peer import PeerConfig, RefusedThere, WrongCluster
from roost.peer.config import TransportStatistics
from roost.peer.dialled import Dialled
from roost.peer.greeter import Greeter
from roost.peer.lives import Lives
from roost.peer.local import BULK, CONTROL, Address
from roost.peer.secret import Secrets
from roost.peer.stream import Stream
from roost.sim.members.loop import run_virtually, until_idle, virtual_loop
from roost.sim.members.network import Host, SimNetwork
from roost.tasks import Tasks
from tests.peer.greetings import LOCAL
from tests.peer.peers import LowDice, Peer
from tests.peer.pipes import Pipe

MEMBER, OTHER = 2, 3
PLACES = st.lists(st.sampled_from([(f"10.0.0.{it}", 2380) for it in range(4)]), unique=True)


class Answers(Greeter):
    """Whoever is dialled answers, unless it is said to refuse or to be away."""

    def __init__(self, network: SimNetwork) -> None:
        super().__init__(
            LOCAL,
            Lives(lambda _member_id: (0, 0)),
            Secrets(),
            network=Host(network, ("10.0.0.1", 2380)),
            config=PeerConfig(),
            dice=LowDice(),
        )
        self.fault: Exception | None = None
        self.pipes: dict[tuple[int, int], Pipe] = {}
        self.dialled: list[Address] = []

    async def greet(
        self,
        member_id: int,
        channel: int,
        address: Address,
        on_reached: Callable[[], None] = lambda: None,
    ) -> Stream:
        self.dialled.append(address)
        if self.fault is not None:
            raise self.fault
        pipe = self.pipes[member_id, channel] = Pipe()
        return Stream(pipe, 1000)


class Dialling:
    """The dialled of member 1, and what it told."""

    def __init__(self) -> None:
        self.greeter = Answers(Peer.network)
        self.connected: list[int] = []
        self.unreachable: list[int] = []
        self.refused: list[int] = []
        self.tasks = Tasks()
        self.statistics = TransportStatistics()
        self.dialled = Dialled(
            self.greeter,
            config=PeerConfig(),
            dice=LowDice(),
            tasks=self.tasks,
            statistics=self.statistics,
            on_connected=self.connected.append,
            on_unreachable=self.unreachable.append,
            on_refused=lambda member_id, _said: self.refused.append(member_id),
        )
        self.dialled.loop = virtual_loop()


def dialling(story: Callable[[Dialling], Coroutine[None, None, None]]) -> None:
    async def main() -> None:
        it = Dialling()
        await story(it)
        it.dialled.close()
        for member_id in list(it.dialled):
            it.dialled.remove(member_id)
        await it.tasks.close()

    run_virtually(main())


def test_a_member_has_two_links_and_each_frame_its_own() -> None:
    async def story(it: Dialling) -> None:
        it.dialled.add(MEMBER, [("10.0.0.2", 2380)])
        await until_idle()
        assert it.connected == [MEMBER, MEMBER]
        assert it.dialled.send(MEMBER, [b"small"], bulk=False)
        assert it.dialled.send(MEMBER, [b"lar", b"ge"], bulk=True)
        left = {channel: pipe.left for (_, channel), pipe in it.greeter.pipes.items()}
        assert left == {CONTROL: b"small", BULK: b"large"}
        assert (it.statistics.sent_count, it.statistics.sent_bytes) == (2, 10)
        assert it.dialled.is_open_to(MEMBER)

    dialling(story)


def test_what_goes_to_nobody_is_dropped_and_counted_for_whom_it_was() -> None:
    async def story(it: Dialling) -> None:
        it.greeter.fault = ConnectionRefusedError()
        it.dialled.add(MEMBER, [("10.0.0.2", 2380)])
        await until_idle()
        assert not it.dialled.is_open_to(MEMBER)
        assert not it.dialled.send(MEMBER, [b"x"], bulk=False)
        assert not it.dialled.send(OTHER, [b"x"], bulk=True)
        assert not it.dialled.send(OTHER, [b"x"], bulk=True)
        assert it.dialled.dropped_counts == {MEMBER: 1, OTHER: 2}
        assert it.statistics.dropped_count == 3

    dialling(story)


@given(st.lists(st.tuples(st.sampled_from(["roster", "hear"]), PLACES), max_size=8))
def test_a_member_is_dialled_where_the_roster_or_itself_says(
    said: list[tuple[str, list[Address]]],
) -> None:
    """Its own word counts until the roster says as much; a newer word of it replaces the older."""
    Peer.network = SimNetwork(LowDice(), delay_s_mean=0.0005)  # type: ignore[arg-type]  # nobody is dialled through it

    async def story(it: Dialling) -> None:
        roster: list[Address] = []
        own: list[Address] = []
        for who, places in said:
            if who == "roster":
                roster = places
                it.dialled.add(MEMBER, places)
                own = [] if set(own) <= set(roster) else own
            else:
                # What only an older word of it said is forgotten with that word.
                roster = [at for at in roster if at not in own]
                own = places
                it.dialled.hear_of(MEMBER, tuple(places))
                own = [] if set(own) <= set(roster) else own
            assert it.dialled.addresses_of(MEMBER) == list(dict.fromkeys((*roster, *own)))

    dialling(story)


def test_a_link_that_breaks_is_told_and_one_that_was_removed_is_not() -> None:
    async def story(it: Dialling) -> None:
        for member_id in (MEMBER, OTHER):
            it.dialled.add(member_id, [("10.0.0.2", 2380)])
        await until_idle()
        it.greeter.fault = ConnectionRefusedError()
        it.greeter.pipes[MEMBER, CONTROL].put(b"")
        await until_idle()
        assert it.unreachable == [MEMBER]
        it.dialled.remove(OTHER)
        it.dialled.on_unreachable(OTHER)
        await until_idle()
        assert it.unreachable == [MEMBER]
        assert all(it.greeter.pipes[OTHER, channel].is_closed for channel in (CONTROL, BULK))
        assert (list(it.dialled), it.dialled.addresses_of(OTHER)) == ([MEMBER], [])
        it.dialled.close()
        it.dialled.on_unreachable(MEMBER)
        assert it.unreachable == [MEMBER], "who ends wants to hear nothing more"

    dialling(story)


def test_who_will_not_talk_to_us_is_told_to_our_owner() -> None:
    async def story(it: Dialling) -> None:
        it.greeter.fault = RefusedThere(WrongCluster("another"), is_proven=True)
        it.dialled.add(MEMBER, [("10.0.0.2", 2380)])
        await until_idle()
        assert set(it.refused) == {MEMBER}

    dialling(story)


def test_who_dials_us_is_dialled_at_once() -> None:
    """It is there again: to wait for the back-off would be to wait for nothing."""

    async def story(it: Dialling) -> None:
        it.greeter.fault = ConnectionRefusedError()
        it.dialled.add(MEMBER, [("10.0.0.2", 2380)])
        await until_idle()
        it.greeter.fault = None
        begun_s = virtual_loop().time()
        it.dialled.wake(MEMBER)
        it.dialled.wake(OTHER)  # nobody that we know
        await until_idle()
        assert it.dialled.is_open_to(MEMBER)
        assert virtual_loop().time() - begun_s < 0.001

    dialling(story)


def test_nobody_dials_itself() -> None:
    async def story(it: Dialling) -> None:
        try:
            it.dialled.add(LOCAL.member_id, [("10.0.0.1", 2380)])
        except AssertionError:
            return
        raise AssertionError("a member that is its own peer counts itself twice")

    dialling(story)
